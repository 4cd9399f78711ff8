use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use pin_project_lite::pin_project;
use resilience_core::{Deadline, InvalidConfig, Name, Rejection, RejectionKind, clock};
use tokio::time::{Sleep, sleep_until};

/// A limit on the time that a body may make no progress.
///
/// Only waiting counts: the time from a poll that returned `Pending` to the wake of the reader. A
/// reader that polls late after the wake, or does not poll at all, does not make a body stall.
#[derive(Debug, Clone)]
pub struct StallTimeout {
    name: Name,
    limit: Duration,
    min_bytes: u64,
}

impl StallTimeout {
    /// Creates a limit: a body must yield at least one byte within each `limit` of waiting.
    ///
    /// # Errors
    /// If `limit` is zero or more than 365 days.
    pub fn new(limit: Duration) -> Result<StallTimeout, InvalidConfig> {
        if limit.is_zero() || limit > clock::MAX_WAIT {
            return Err(InvalidConfig::new(
                "limit",
                format!("{limit:?}"),
                "more than zero and at most 365 days",
            ));
        }
        Ok(StallTimeout { name: Name::from("stall"), limit, min_bytes: 1 })
    }

    /// Sets the layer name in rejections, `stall` unless set.
    #[must_use]
    pub fn name(mut self, name: impl Into<Name>) -> StallTimeout {
        self.name = name.into();
        self
    }

    /// Sets how many bytes must come within each limit of waiting, 1 unless set: a protection
    /// against clients that send one byte just before the limit. 0 counts as 1.
    #[must_use]
    pub fn at_least(mut self, bytes: u64) -> StallTimeout {
        self.min_bytes = bytes.max(1);
        self
    }
}

pin_project! {
    /// A body that ends in a [`TimedOut`](RejectionKind::TimedOut) rejection when it stalls.
    ///
    /// The error type of the body must be convertible from a rejection: convert any other type
    /// first, with `body.map_err(BoxError::from)`. The inner body is dropped when the error is
    /// returned. Frames without bytes are no progress. The only allocations are the timer and the
    /// waker, at the first wait.
    ///
    /// ```
    /// use std::time::Duration;
    /// use http_body_util::{BodyExt, Full};
    /// use resilience_http::body::{StallBody, StallTimeout};
    /// use tower::BoxError;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BoxError> {
    /// let limit = StallTimeout::new(Duration::from_secs(30))?;
    /// let body = Full::new(bytes::Bytes::from("3.5")).map_err(BoxError::from);
    /// assert_eq!(StallBody::new(body, limit).collect().await?.to_bytes(), "3.5");
    /// # Ok(())
    /// # }
    /// ```
    pub struct StallBody<B> {
        // `None` after a stall.
        #[pin]
        body: Option<B>,
        settings: StallTimeout,
        timer: Option<Pin<Box<Sleep>>>,
        // Waker that the body registers, from the first wait on.
        wake_time: Option<(Arc<WakeTime>, Waker)>,
        // Start of the current wait.
        since: Option<Instant>,
        // Sum of the waits since `received` last reached `min_bytes`.
        waited: Duration,
        // Bytes since then.
        received: u64,
    }
}

impl<B> StallBody<B> {
    /// Creates a body that yields the frames of `body` as long as `body` makes progress.
    pub const fn new(body: B, settings: StallTimeout) -> StallBody<B> {
        StallBody {
            body: Some(body),
            settings,
            timer: None,
            wake_time: None,
            since: None,
            waited: Duration::ZERO,
            received: 0,
        }
    }
}

// `From` and not `CarriesRejection`: rustc checks the auto traits of a task with its lifetimes
// erased, and `CarriesRejection` is implemented for `Box<dyn Error>` with `'static` only, `From`
// with any lifetime.
impl<B> Body for StallBody<B>
where
    B: Body,
    B::Error: From<Rejection>,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(mut body) = this.body.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let settings = this.settings;
        // Before the timer: a frame that arrives together with the limit is still in time.
        let (mut polled, woken_at) =
            poll_with_wake_time(body.as_mut(), this.wake_time.as_ref(), cx);
        if polled.is_pending() && this.wake_time.is_none() {
            let wake_time = Arc::new(WakeTime::default());
            let waker = Waker::from(wake_time.clone());
            // The second poll registers the new waker in place of the task's own.
            let wake_time = &*this.wake_time.insert((wake_time, waker));
            (polled, _) = poll_with_wake_time(body, Some(wake_time), cx);
        }
        if let Poll::Ready(polled) = polled {
            if let Some(since) = this.since.take() {
                let until = woken_at.unwrap_or_else(clock::now);
                *this.waited += until.saturating_duration_since(since);
            }
            if let Some(Ok(frame)) = &polled {
                *this.received += frame.data_ref().map_or(0, |data| data.remaining() as u64);
            }
            if *this.received >= settings.min_bytes {
                *this.waited = Duration::ZERO;
                *this.received = 0;
            }
            return Poll::Ready(polled);
        }
        if this.since.is_none() {
            let now = clock::now();
            *this.since = Some(now);
            let end =
                Deadline::after(now, settings.limit.saturating_sub(*this.waited)).instant().into();
            match this.timer.as_mut() {
                Some(timer) => timer.as_mut().reset(end),
                None => *this.timer = Some(Box::pin(sleep_until(end))),
            }
        }
        match this.timer.as_mut().map(|timer| timer.as_mut().poll(cx)) {
            Some(Poll::Ready(())) => {
                this.body.set(None);
                let rejection = Rejection::new(RejectionKind::TimedOut, settings.name.clone())
                    .with_limit(settings.limit);
                Poll::Ready(Some(Err(rejection.into())))
            }
            _ => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

type Polled<B> = Poll<Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>>;

/// Polls `body`. Also returns the time of its first wake since the last poll, if it woke the
/// reader.
fn poll_with_wake_time<B: Body>(
    body: Pin<&mut B>,
    wake_time: Option<&(Arc<WakeTime>, Waker)>,
    cx: &mut Context<'_>,
) -> (Polled<B>, Option<Instant>) {
    let Some((wake_time, waker)) = wake_time else { return (body.poll_frame(cx), None) };
    // Before the poll: a wake during the poll belongs to the next wait.
    let woken_at = wake_time.begin_poll(cx.waker());
    (body.poll_frame(&mut Context::from_waker(waker)), woken_at)
}

/// Waker that passes a wake on to the reader of a body and records the time.
#[derive(Default)]
struct WakeTime(Mutex<Wakes>);

#[derive(Default)]
struct Wakes {
    reader: Option<Waker>,
    /// First wake since the last poll began.
    at: Option<Instant>,
}

impl WakeTime {
    /// Registers the reader of a poll that begins. Returns the first wake since the last poll
    /// began.
    fn begin_poll(&self, reader: &Waker) -> Option<Instant> {
        let mut wakes = self.0.lock();
        let at = wakes.at.take();
        if wakes.reader.as_ref().is_some_and(|known| known.will_wake(reader)) {
            return at;
        }
        let former = wakes.reader.replace(reader.clone());
        drop(wakes);
        // Outside of the lock: dropping a waker runs the executor's code.
        drop(former);
        at
    }
}

impl Wake for WakeTime {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let now = clock::now();
        let mut wakes = self.0.lock();
        wakes.at.get_or_insert(now);
        let reader = wakes.reader.clone();
        // Woken outside of the lock: a wake may poll the body, and with it take this lock.
        drop(wakes);
        reader.into_iter().for_each(Waker::wake);
    }
}

impl<B> fmt::Debug for StallBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StallBody").field("settings", &self.settings).finish_non_exhaustive()
    }
}
