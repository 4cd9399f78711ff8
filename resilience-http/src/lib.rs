#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod classify;
pub mod clock;
pub mod propagate;
pub mod retry_after;
#[cfg(feature = "layers")]
pub mod server;

pub use classify::StatusClassifier;
