#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "tower")]
pub mod admission;
pub mod breaker;
pub mod bulkhead;
#[cfg(feature = "tokio")]
mod call;
pub mod clock;
mod config;
mod deadline;
mod ended;
mod error;
#[cfg(feature = "flow")]
pub mod flow;
pub mod health;
#[cfg(feature = "tower")]
mod inherent;
pub mod keyed;
#[cfg(feature = "tokio")]
mod live;
#[cfg(feature = "testing")]
mod model_input;
mod name;
pub mod observe;
#[cfg(feature = "tokio")]
mod on_full;
mod outcome;
#[cfg(feature = "tower")]
mod plan_input;
pub mod pool;
#[cfg(feature = "profiles")]
pub mod profiles;
pub mod rate;
mod recognise;
mod rejection;
pub mod retry;
mod rounded;
#[cfg(feature = "tower")]
pub mod select;
pub mod shutdown;
#[cfg(feature = "tower")]
pub mod stack;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tokio")]
pub mod timeout;
#[cfg(feature = "tokio")]
mod timer;
mod timestamp;
#[cfg(feature = "tokio")]
mod wakes;

pub use config::{InvalidConfig, OrInvalid};
pub use deadline::Deadline;
pub use error::{CarriesRejection, Error};
pub use name::Name;
pub use outcome::{AnyError, AsOutcome, Classify, FailureClass, Outcome, RetryHint, Standard};
pub use rejection::{Quantity, Rejection, RejectionKind, Unit};
pub use timestamp::Timestamp;
