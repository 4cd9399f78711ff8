//! A deadline around any future.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use pin_project_lite::pin_project;

use crate::clock;
use crate::clock::tick::Tick;
use crate::deadline::Deadline;
use crate::rejection::{Rejection, RejectionKind};
use crate::timer::Wait;

/// Runs `future` until `deadline`, which the code inside can read with [`Deadline::current`].
///
/// An earlier deadline around the caller takes the place of `deadline`. A deadline that has passed
/// already ends the call before `future` is polled.
///
/// ```
/// use std::time::Duration;
/// use resilience_core::{Deadline, clock, timeout::within};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let deadline = Deadline::after(clock::now(), Duration::from_secs(1));
/// let seen = within(deadline, async { Deadline::current() }).await;
/// assert_eq!(seen, Ok(Some(deadline)));
/// let late = within(deadline, std::future::pending::<()>()).await;
/// assert_eq!(late.unwrap_err().to_string(), "deadline: deadline exceeded");
/// # }
/// ```
pub fn within<F: Future>(deadline: Deadline, future: F) -> Within<F> {
    Within { future: Some(future), deadline, admitted: false, wait: Wait::default() }
}

/// Makes a future, and runs it as [`within`] does. `make` runs under the deadline as well, for a
/// future that begins its work when it is made, as the call of a service does. `None` if the
/// deadline has passed at `now`: `make` does not run.
///
/// ```
/// use std::time::Duration;
/// use resilience_core::{Deadline, clock, timeout::within_call};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let now = clock::now();
/// let deadline = Deadline::after(now, Duration::from_secs(1));
/// let make = || std::future::ready(Deadline::current());
/// assert_eq!(within_call(now, deadline, make).unwrap().await, Ok(Some(deadline)));
/// assert!(within_call(deadline.instant(), deadline, make).is_none());
/// # }
/// ```
pub fn within_call<F: Future>(
    now: Instant,
    deadline: Deadline,
    make: impl FnOnce() -> F,
) -> Option<Within<F>> {
    begun(Tick::of(now), deadline, make)
}

/// Version of [`within_call`] for a caller that has read the time as a [`Tick`].
#[inline]
pub(super) fn begun<F: Future>(
    now: Tick,
    deadline: Deadline,
    make: impl FnOnce() -> F,
) -> Option<Within<F>> {
    if deadline.has_passed_at(now) {
        return None;
    }
    Some(Within::admitted(deadline, deadline.or_current().enter(make)))
}

impl<F> Within<F> {
    /// Creates the future for a caller that has checked the deadline: the first poll reads no
    /// clock.
    pub(crate) fn admitted(deadline: Deadline, future: F) -> Within<F> {
        Within { future: Some(future), deadline, admitted: true, wait: Wait::default() }
    }
}

pin_project! {
    /// The future of [`within`]. Ends in a [`Rejection`] at the deadline. Dropping it drops the
    /// inner future.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    #[doc(hidden)]
    pub struct Within<F> {
        // Dropped with the output, not with this future.
        #[pin]
        future: Option<F>,
        deadline: Deadline,
        // `true` if the deadline had not passed when the future began.
        admitted: bool,
        #[pin]
        wait: Wait,
    }
}

impl<F: Future> Future for Within<F> {
    type Output = Result<F::Output, Rejection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Pending };
        let deadline = *this.deadline;
        let output = if !*this.admitted && deadline.has_passed(clock::now()) {
            Err(too_late().with_may_have_run(false))
        } else if let Poll::Ready(output) = deadline.or_current().enter(|| future.poll(cx)) {
            // The response first: one that is ready at the deadline counts.
            Ok(output)
        } else {
            *this.admitted = true;
            ready!(this.wait.poll(deadline, cx));
            Err(too_late())
        };
        this.future.set(None);
        Poll::Ready(output)
    }
}

fn too_late() -> Rejection {
    Rejection::new(RejectionKind::DeadlineExceeded, "deadline")
}
