//! The suites that every layer goes through.

mod auto_traits;
mod cancel;
mod conservation;
mod contract;
mod every;
