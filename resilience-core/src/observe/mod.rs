//! Events and gauges of policies.
//!
//! A rejected call, a retry, an opened circuit are decisions that leave no trace by themselves.
//! Policies report each as a typed [`Event`] to a [`Listen`]er: a closure, [`Tracing`] (feature
//! `tracing`), [`Metrics`] (feature `metrics`), or several of them joined with [`Listen::and`].
//! What changes all the time, permits in use or tokens left, is polled: [`Gauges`].
//!
//! - **No listener, no event.** An event borrows names and numbers. A success at the first attempt
//!   has no event.
//! - **The listener** is the policy's own if it has one, or else the process's at that moment
//!   ([`set_default`]). Never both.
//! - **The thread** is that of the decision, outside of every lock. A listener that blocks, blocks
//!   the call.
//! - **A panic** of a listener is caught, also in a drop and while another panic unwinds: the call
//!   goes on, and joined listeners are still notified. The panic hook reports the panic. (Not with
//!   `panic = "abort"`.)
//! - **Stable** are [`Event::name`], the words of `as_str`
//!   ([`Outcome::as_str`](crate::Outcome::as_str),
//!   [`StopReason::as_str`](words::StopReason::as_str) …) and [`names`].
//!
//! ```
//! use std::sync::atomic::{AtomicUsize, Ordering};
//! use std::sync::Arc;
//! use resilience_core::observe::Event;
//! use resilience_core::retry::RetryPolicy;
//!
//! let retries = Arc::new(AtomicUsize::new(0));
//! let counter = retries.clone();
//! let policy = RetryPolicy::builder()
//!     .listen(move |event: &Event<'_>| {
//!         if event.name() == "retry_scheduled" {
//!             counter.fetch_add(1, Ordering::Relaxed);
//!         }
//!     })
//!     .build()?;
//! # let _ = policy;
//! # Ok::<_, resilience_core::InvalidConfig>(())
//! ```
// Links to items of features that are off lead to the page of the crate, which lists the features.
#![cfg_attr(not(feature = "tracing"), doc = "\n[`Tracing`]: crate")]
#![cfg_attr(not(feature = "metrics"), doc = "\n[`Metrics`]: crate")]

mod default;
mod event;
#[cfg(feature = "metrics")]
mod labels;
mod listener;
#[cfg(feature = "metrics")]
mod metrics;
pub mod names;
mod text;
#[cfg(feature = "tracing")]
mod tracing;
pub(crate) mod words;

pub use crate::rounded::Rounded;
pub use default::{AlreadySet, notify, set_default};
pub use event::Event;
#[cfg(feature = "metrics")]
pub use labels::KeyLabels;
pub(crate) use listener::Listener;
pub use listener::{And, Listen};
#[cfg(feature = "metrics")]
pub use metrics::Metrics;
pub use text::ErrorText;
pub(crate) use text::type_of;
#[cfg(feature = "tracing")]
pub use tracing::Tracing;

/// State that changes with every call: permits in use, tokens left, keys kept.
///
/// Counting up and down by events would drift with the first call that is cancelled between two
/// events, so a recorder reads the state instead. Implementations take what they need under their
/// lock and visit after it; names are those of [`names`], values are in their units.
///
/// ```
/// use resilience_core::observe::{Gauges, names};
/// use resilience_core::retry::RetryBudget;
///
/// let budget = RetryBudget::builder().reserve(10).build()?;
/// let mut seen = Vec::new();
/// budget.gauges(&mut |name, value| seen.push((name, value)));
/// assert_eq!(seen, [(names::BUDGET_AVAILABLE, 10.0)]);
/// # Ok::<_, resilience_core::InvalidConfig>(())
/// ```
pub trait Gauges {
    /// Calls `visit` with each name and its current value, at most once for a name. A recorder
    /// keeps the last value of a name that is no longer visited.
    fn gauges(&self, visit: &mut dyn FnMut(&'static str, f64));
}
