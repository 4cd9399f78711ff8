#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod classify;
#[cfg(feature = "client")]
pub mod client;
pub mod clock;
pub mod idempotency;
pub mod retry_after;

pub use classify::StatusClassifier;
