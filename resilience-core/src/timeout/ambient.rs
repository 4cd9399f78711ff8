//! The time limit of the attempt that is being called or polled.

use std::cell::Cell;
use std::time::Duration;

use crate::clock;
use crate::deadline::Deadline;

thread_local! {
    static CURRENT: Cell<Option<AttemptLimit>> = const { Cell::new(None) };
}

/// The limit of one attempt. `due` is `NEVER` until the attempt has been pending once: before that, the attempt
/// has all of `limit` left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttemptLimit {
    pub(crate) limit: Duration,
    pub(crate) due: Deadline,
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
    CURRENT.get().map(AttemptLimit::left)
}

impl AttemptLimit {
    fn left(self) -> Duration {
        self.due.if_ever().map_or(self.limit, |due| due.remaining(clock::now()).min(self.limit))
    }

    /// Makes this the current limit for as long as the result is kept, unless a shorter one is around it.
    pub(crate) fn entered(self) -> EnteredLimit {
        let former = CURRENT.get();
        let outer_is_shorter = former.is_some_and(|outer| outer.limit < self.limit);
        CURRENT.set(if outer_is_shorter { former } else { Some(self) });
        EnteredLimit { former }
    }
}

/// Puts the former limit back, also after a panic.
pub(crate) struct EnteredLimit {
    former: Option<AttemptLimit>,
}

impl Drop for EnteredLimit {
    fn drop(&mut self) {
        CURRENT.set(self.former);
    }
}
