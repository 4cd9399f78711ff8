#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod classify;
pub mod clock;
pub mod retry_after;
#[cfg(feature = "server")]
pub mod serve;

pub use classify::StatusClassifier;
