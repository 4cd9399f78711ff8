//! The client over real sockets.

#![cfg(all(feature = "client", feature = "reqwest"))]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod again;
mod authorities;
mod bodies;
mod cancel;
mod connections;
mod headers;
mod idle;
mod recorded;
mod requests;
mod server;
mod sizes;
mod streams;

use resilience_core::profiles::{Profile, Profiles};

/// Returns a profile with this text.
fn profile(text: &str) -> Profile {
    Profiles::from_toml(&format!("[api]\n{text}")).unwrap().profile("api").unwrap()
}
