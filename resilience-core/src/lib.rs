#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod clock;
mod config;
mod deadline;
mod error;
#[cfg(feature = "tower")]
mod inherent;
mod name;
pub mod observe;
pub mod outcome;
pub mod rejection;
pub mod retry;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tokio")]
pub mod timeout;

pub use config::{InvalidConfig, OrInvalid};
pub use deadline::Deadline;
pub use error::{CarriesRejection, Error};
pub use name::Name;
pub use outcome::{AsOutcome, Classify, Outcome};
pub use rejection::{Rejection, RejectionKind};
