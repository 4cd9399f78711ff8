//! The time limit of the attempt that is being called or polled.

use std::cell::Cell;
use std::time::Duration;

use crate::clock;
use crate::deadline::Deadline;

thread_local! {
    static CURRENT: Cell<AttemptLimit> = const { Cell::new(AttemptLimit::NONE) };
}

/// The limit of one attempt. `due` is `NEVER` until the attempt has been pending once: before that, the attempt
/// has all of its limit left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AttemptLimit {
    nanos: u64,
    due: Deadline,
}

/// Returns the time that is left for the attempt that is being called or polled on this thread: the limit of the
/// [`TimeoutLayer`](super::TimeoutLayer) or the stack around it. Returns `None` if no attempt with a limit is.
///
/// The [deadline](Deadline::current) of the call is a limit of its own, and either may be the shorter. As the deadline,
/// this does not cross `tokio::spawn`. Reads the clock if the attempt has waited already.
///
/// ```
/// use std::time::Duration;
/// use resilience_core::timeout::{TimeoutLayer, attempt_time_left};
/// use tower::{BoxError, ServiceBuilder, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), BoxError> {
/// let mut service = ServiceBuilder::new()
///     .layer(TimeoutLayer::new(Duration::from_millis(500))?)
///     .service(service_fn(async |(): ()| Ok::<_, BoxError>(attempt_time_left())));
/// assert_eq!(service.ready().await?.call(()).await?, Some(Duration::from_millis(500)));
/// assert_eq!(attempt_time_left(), None);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn attempt_time_left() -> Option<Duration> {
    let current = CURRENT.get();
    (current != AttemptLimit::NONE).then(|| current.left())
}

impl AttemptLimit {
    const NONE: AttemptLimit = AttemptLimit { nanos: u64::MAX, due: Deadline::NEVER };

    #[inline(always)]
    pub(crate) const fn new(nanos: u64, due: Deadline) -> AttemptLimit {
        AttemptLimit { nanos, due }
    }

    fn left(self) -> Duration {
        let limit = Duration::from_nanos(self.nanos);
        self.due.if_ever().map_or(limit, |due| due.remaining(clock::now()).min(limit))
    }

    /// Makes this a current limit, beside those around it, for as long as the result is kept.
    #[inline(always)]
    pub(crate) fn entered(self) -> EnteredLimit {
        let former = CURRENT.get();
        CURRENT.set(AttemptLimit {
            nanos: former.nanos.min(self.nanos),
            due: former.due.min(self.due),
        });
        EnteredLimit { former }
    }
}

/// Puts the former limit back, also after a panic.
pub(crate) struct EnteredLimit {
    former: AttemptLimit,
}

impl Drop for EnteredLimit {
    #[inline(always)]
    fn drop(&mut self) {
        CURRENT.set(self.former);
    }
}
