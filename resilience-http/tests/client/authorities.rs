//! Many hosts.
