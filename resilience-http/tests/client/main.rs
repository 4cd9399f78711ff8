//! The client over real sockets.

#![cfg(all(feature = "client", feature = "reqwest"))]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod again;
mod authorities;
mod bodies;
mod cancel;
mod connections;
mod idle;
mod natural;
mod recorded;
mod server;
mod sizes;
mod streams;
mod told;

use resilience_core::profiles::{Profile, Profiles};

/// A profile that this text describes.
fn profile(text: &str) -> Profile {
    Profiles::from_toml(&format!("[api]\n{text}")).unwrap().profile("api").unwrap()
}
