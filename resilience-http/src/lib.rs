#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "layers")]
pub mod body;
pub mod classify;
#[cfg(feature = "client")]
pub mod client;
pub mod clock;
#[cfg(feature = "layers")]
pub mod health;
pub mod hints;
pub mod idempotency;
pub mod propagate;
pub mod retry_after;
#[cfg(feature = "server")]
pub mod serve;
#[cfg(feature = "layers")]
pub mod server;
#[cfg(feature = "reqwest")]
pub mod smoke;

pub use classify::StatusClassifier;
