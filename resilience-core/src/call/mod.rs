//! The machinery of a call: the traits of its parts, the order that they run in, and the future.
//!
//! This folder knows no policy. The policies implement [`Part`], [`RetryPart`] or [`TimeLimit`]; a
//! layer that stands alone is a call with one part, and `stack` puts all of them together.
//!
//! Nested layers would each take a handle, a clone of the service and a reading of the clock for
//! each call. Here a call has one handle on all parts, one clone of the service, one time for each
//! poll, one timer, and a state for each part ([`Part::CallState`]), which never moves.

#[cfg(feature = "tower")]
mod absent;
#[cfg(feature = "tower")]
mod boxed;
mod context;
mod draining;
#[cfg(feature = "tower")]
mod future;
#[cfg(feature = "tower")]
mod kept;
#[cfg(feature = "profiles")]
mod optional;
#[cfg(feature = "tower")]
mod part;
#[cfg(feature = "tower")]
mod parts;
#[cfg(feature = "tower")]
mod sequence;
#[cfg(feature = "tower")]
mod service;
#[cfg(feature = "tower")]
mod timer;

#[cfg(feature = "tower")]
pub use absent::Absent;
#[cfg(feature = "tower")]
pub use boxed::{BoxedFuture, BoxedService};
pub(crate) use context::{CallContext, Entered};
pub(crate) use draining::{
    DrainSource, DrainWait, Draining, can_drain, is_draining, register_drain_source,
};
#[cfg(feature = "tower")]
pub use future::CallFuture;
#[cfg(feature = "tower")]
pub(crate) use future::ResponseFuture;
#[cfg(feature = "tower")]
pub(crate) use kept::Kept;
#[cfg(feature = "profiles")]
pub(crate) use optional::delegate_to_part;
#[cfg(feature = "profiles")]
pub(crate) use part::Carry;
#[cfg(feature = "tower")]
pub(crate) use part::{AfterAttempt, AttemptEnd, AttemptsBefore, Part, RetryPart, TimeLimit};
#[cfg(feature = "tower")]
pub(crate) use parts::{
    OnlyBulkhead, OnlyCircuitBreaker, OnlyRateLimit, OnlyRetry, PartSet, Parts,
};
#[cfg(feature = "tower")]
pub use service::CallService;
#[cfg(feature = "tower")]
pub(crate) use timer::CallTimer;
