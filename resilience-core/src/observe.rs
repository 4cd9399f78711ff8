//! What happened, for whoever wants to know.
//!
//! Policies report typed [`Event`]s to a [`Listen`]er, a closure for instance. Without one, no
//! event is built. Listeners run on the calling task, outside of every lock; one that blocks,
//! blocks the call it is told about.
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
//!         if let Event::RetryScheduled { .. } = event {
//!             counter.fetch_add(1, Ordering::Relaxed);
//!         }
//!     })
//!     .build()?;
//! # let _ = policy;
//! # Ok::<_, resilience_core::InvalidConfig>(())
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::outcome::Outcome;
use crate::rejection::Rejection;
use crate::retry::StopReason;

/// Something a policy decided.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// An attempt failed and another will follow.
    #[non_exhaustive]
    RetryScheduled {
        /// The policy's name.
        layer: &'a str,
        /// How many attempts were made so far.
        attempts: u32,
        /// How the last of them ended.
        outcome: Outcome,
        /// The wait before the next.
        delay: Duration,
    },
    /// No other attempt will follow; the caller gets the last result.
    #[non_exhaustive]
    RetryStopped {
        /// The policy's name.
        layer: &'a str,
        /// How many attempts were made.
        attempts: u32,
        /// How the last of them ended.
        outcome: Outcome,
        /// Why there is no other.
        reason: StopReason,
    },
    /// A call succeeded after at least one retry.
    #[non_exhaustive]
    RetrySucceeded {
        /// The policy's name.
        layer: &'a str,
        /// How many attempts were made.
        attempts: u32,
    },
    /// A layer refused a call.
    Rejected(&'a Rejection),
}

/// Is told of events.
pub trait Listen: Send + Sync + 'static {
    /// Something happened.
    fn event(&self, event: &Event<'_>);
}

impl<F> Listen for F
where
    F: Fn(&Event<'_>) + Send + Sync + 'static,
{
    fn event(&self, event: &Event<'_>) {
        self(event);
    }
}

/// A place for a listener. Empty by default.
#[derive(Clone, Default)]
pub(crate) struct Listener(Option<Arc<dyn Listen>>);

impl Listener {
    pub(crate) fn new(listener: impl Listen) -> Listener {
        Listener(Some(Arc::new(listener)))
    }

    /// Tells the listener, if there is one; the event is built only then.
    pub(crate) fn tell<'a>(&self, event: impl FnOnce() -> Event<'a>) {
        if let Some(listener) = &self.0 {
            listener.event(&event());
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Listener" } else { "no listener" })
    }
}
