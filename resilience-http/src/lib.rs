#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "layers")]
pub mod body;
pub mod classify;
pub mod clock;
pub mod hints;
pub mod retry_after;

pub use classify::StatusClassifier;
