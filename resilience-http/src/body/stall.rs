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

/// How long a body may make no progress.
///
/// Only waiting counts: the time between a poll that found nothing and the moment at which the body wakes its reader.
/// A reader that takes its time after that, or does not read at all, does not make a body stall.
#[derive(Debug, Clone)]
pub struct StallTimeout {
    name: Name,
    limit: Duration,
    least: u64,
}

impl StallTimeout {
    /// Bodies must yield something whenever they were waited for so long.
    ///
    /// # Errors
    /// If `limit` is zero or more than a year.
    pub fn new(limit: Duration) -> Result<StallTimeout, InvalidConfig> {
        if limit.is_zero() || limit > clock::MAX_WAIT {
            return Err(InvalidConfig::new(
                "limit",
                format!("{limit:?}"),
                "must be more than 0 and at most a year",
            ));
        }
        Ok(StallTimeout { name: Name::from("stall"), limit, least: 1 })
    }

    /// What rejections call it.
    #[must_use]
    pub fn name(mut self, name: impl Into<Name>) -> StallTimeout {
        self.name = name.into();
        self
    }

    /// At least so many bytes whenever it was waited for that long, instead of one: against those who send one byte just
    /// before it is too late. 0 is as 1.
    #[must_use]
    pub fn at_least(mut self, bytes: u64) -> StallTimeout {
        self.least = bytes.max(1);
        self
    }
}

pin_project! {
    /// A body that ends in a [`TimedOut`](RejectionKind::TimedOut) rejection when it stalls.
    ///
    /// The error type is that of the body, which a rejection must fit into: wrap a foreign one below this, with
    /// `body.map_err(BoxError::from)`. What the body holds is free when the error is returned. Frames without bytes
    /// are no progress. The timer and the waker are made when the body is first waited for, and are the only allocations.
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
        // None once it stalled.
        #[pin]
        body: Option<B>,
        settings: StallTimeout,
        timer: Option<Pin<Box<Sleep>>>,
        // What the body wakes, once it was waited for.
        woken: Option<(Arc<Woken>, Waker)>,
        // Since when it is waited for, if it is.
        since: Option<Instant>,
        // How long it was waited for, and what came, since there was last enough.
        waited: Duration,
        came: u64,
    }
}

impl<B> StallBody<B> {
    /// `body`, if it makes progress.
    pub const fn new(body: B, settings: StallTimeout) -> StallBody<B> {
        let (since, waited) = (None, Duration::ZERO);
        StallBody { body: Some(body), settings, timer: None, woken: None, since, waited, came: 0 }
    }
}

// `From`, and not `CarriesRejection`: what a task holds across an await is looked at with its lifetimes forgotten, and a
// boxed error of any lifetime is made from a rejection, but carries none.
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
        // The body first: what is there at the last moment is there.
        let (mut polled, at) = poll_noting(body.as_mut(), this.woken.as_ref(), cx);
        if polled.is_pending() && this.woken.is_none() {
            let woken = Arc::new(Woken::default());
            let waker = Waker::from(woken.clone());
            // Registers the new waker, in place of the task's own.
            (polled, _) = poll_noting(body, Some(&*this.woken.insert((woken, waker))), cx);
        }
        if let Poll::Ready(polled) = polled {
            if let Some(since) = this.since.take() {
                let until = at.unwrap_or_else(clock::now);
                *this.waited += until.saturating_duration_since(since);
            }
            if let Some(Ok(frame)) = &polled {
                *this.came += frame.data_ref().map_or(0, |data| data.remaining() as u64);
            }
            if *this.came >= settings.least {
                (*this.waited, *this.came) = (Duration::ZERO, 0);
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

/// Polls `body`, and returns when it woke its reader, if it did since the last poll.
fn poll_noting<B: Body>(
    body: Pin<&mut B>,
    woken: Option<&(Arc<Woken>, Waker)>,
    cx: &mut Context<'_>,
) -> (Polled<B>, Option<Instant>) {
    let Some((woken, waker)) = woken else { return (body.poll_frame(cx), None) };
    let at = woken.begin(cx.waker());
    (body.poll_frame(&mut Context::from_waker(waker)), at)
}

/// Wakes the reader of a body, and notes when.
#[derive(Default)]
struct Woken(Mutex<Wakes>);

#[derive(Default)]
struct Wakes {
    reader: Option<Waker>,
    /// The first wake since the last poll began.
    at: Option<Instant>,
}

impl Woken {
    /// A poll begins, for this reader. Returns the first wake since the last one began.
    fn begin(&self, reader: &Waker) -> Option<Instant> {
        let mut wakes = self.0.lock();
        let at = wakes.at.take();
        if wakes.reader.as_ref().is_some_and(|known| known.will_wake(reader)) {
            return at;
        }
        let former = wakes.reader.replace(reader.clone());
        drop(wakes);
        // Outside of the lock.
        drop(former);
        at
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let now = clock::now();
        let mut wakes = self.0.lock();
        wakes.at.get_or_insert(now);
        let reader = wakes.reader.clone();
        drop(wakes);
        reader.into_iter().for_each(Waker::wake);
    }
}

impl<B> fmt::Debug for StallBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StallBody").field("settings", &self.settings).finish_non_exhaustive()
    }
}
