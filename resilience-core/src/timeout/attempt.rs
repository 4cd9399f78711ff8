//! The future of an attempt with a time limit.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::layer::Settings;
use crate::call::{CallContext, Entered};
use crate::clock::tick::Tick;
use crate::deadline::Deadline;
use crate::error::CarriesRejection;
use crate::rejection::RejectionKind;
use crate::timer::Wait;

/// Returns the time that is left for the attempt that is called or polled on this thread, by the
/// limit of the [`TimeoutLayer`](super::TimeoutLayer) or the stack around it. `None` without a
/// limit.
///
/// The [deadline](Deadline::current) of the call is another limit, and either may be the shorter.
/// The limit does not cross `tokio::spawn`. Reads the clock if the attempt has waited already.
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
    CallContext::current().time_left()
}

/// Lets the attempt read its limit while the result is kept.
fn enter(settings: &Settings, due: Option<Deadline>) -> Entered {
    let due = due.unwrap_or(Deadline::NEVER);
    CallContext::current().with_limit(settings.nanos(), due).entered()
}

pin_project! {
    /// An attempt with a time limit. Dropping it drops the attempt.
    #[derive(Debug)]
    #[doc(hidden)]
    pub struct TimeoutFuture<F> {
        // Dropped with the result, not with this future.
        #[pin]
        inner: Option<F>,
        settings: Settings,
        // Counts from the first poll; set if that was pending.
        due: Option<Deadline>,
        #[pin]
        wait: Wait,
    }
}

impl<F> TimeoutFuture<F> {
    /// Calls the service with `call`.
    pub(super) fn begin(settings: &Settings, call: impl FnOnce() -> F) -> TimeoutFuture<F> {
        let entered = enter(settings, None);
        let inner = call();
        drop(entered);
        let settings = settings.clone();
        TimeoutFuture { inner: Some(inner), settings, due: None, wait: Wait::default() }
    }
}

impl<F, T, E> Future for TimeoutFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: CarriesRejection,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Pending };
        let entered = enter(this.settings, *this.due);
        let polled = inner.poll(cx);
        drop(entered);
        let result = if let Poll::Ready(result) = polled {
            result
        } else {
            let due = this.due.get_or_insert_with(|| this.settings.due(Tick::now()));
            ready!(this.wait.poll(*due, cx));
            Err(this.settings.reject(RejectionKind::TimedOut, true).into())
        };
        this.inner.set(None);
        Poll::Ready(result)
    }
}
