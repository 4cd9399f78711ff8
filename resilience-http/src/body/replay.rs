use std::collections::VecDeque;
use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use http::{HeaderMap, Request};
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use resilience_core::retry::Replay;

type BoxError = Box<dyn StdError + Send + Sync>;
type Polled = Option<Result<Frame<Bytes>, BoxError>>;

/// Largest number of recorded frames: each costs memory, however few bytes it has.
const MOST_FRAMES: usize = 1_024;

/// The reason why a body cannot be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotReplayable {
    /// The body is larger than the cap, or has more than 1,024 frames.
    TooLarge {
        /// Most bytes that are recorded.
        cap: usize,
    },
    /// The size of the body is not known in advance.
    UnknownSize,
    /// The body broke off with an error.
    Broken,
}

impl fmt::Display for NotReplayable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotReplayable::TooLarge { cap } => {
                write!(f, "the body is not replayable: more than {cap} bytes")
            }
            NotReplayable::UnknownSize => {
                f.write_str("the body is not replayable: of unknown size")
            }
            NotReplayable::Broken => f.write_str("the body is not replayable: it broke off"),
        }
    }
}

impl StdError for NotReplayable {}

/// A request body that is recorded while it is sent, so that a retry can send it again.
///
/// The recording has at most `cap` bytes. A body whose size hint is larger than `cap`, or unknown,
/// is passed on unrecorded, and [`not_replayable`](ReplayBody::not_replayable) returns the reason
/// at once. The recording of a body that turns out larger is dropped. Trailers are sent again too.
///
/// A [`copy`](ReplayBody::copy) starts at the beginning, yields the recorded frames and goes on
/// with the body itself. One copy reads the body at a time: the others wait until that copy is
/// dropped or has reached the end. A copy of a body that cannot be replayed yields an error, never
/// a panic.
///
/// ```
/// use http::{Request, Response};
/// use http_body_util::{BodyExt, Full};
/// use resilience_core::retry::{RetryLayer, RetryPolicy};
/// use resilience_http::StatusClassifier;
/// use resilience_http::body::{ReplayBody, ReplayRequest};
/// use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), BoxError> {
/// let policy = RetryPolicy::builder().classifier(StatusClassifier).build()?;
/// let service = ServiceBuilder::new()
///     .map_request(|request: Request<Full<bytes::Bytes>>| {
///         request.map(|body| ReplayBody::new(body, 64 * 1_024))
///     })
///     .layer(RetryLayer::new(policy).replayed_by(ReplayRequest))
///     .service(service_fn(async |request: Request<ReplayBody<_>>| {
///         let body = request.into_body().collect().await?.to_bytes();
///         Ok::<_, BoxError>(Response::builder().status(503).body(body)?)
///     }));
/// let response = service.oneshot(Request::put("/").body(Full::from("3.5"))?).await?;
/// assert_eq!(response.into_body(), "3.5"); // of the last attempt
/// # Ok(())
/// # }
/// ```
pub struct ReplayBody<B> {
    shared: Arc<Mutex<Recording<B>>>,
    /// Inner body, while this copy reads it. Outside of the lock, because nothing is polled under a
    /// lock.
    body: Option<Pin<Box<B>>>,
    /// Recorded frames that this copy has yielded.
    played: usize,
    /// Bytes that this copy has yielded.
    sent: u64,
    /// Set once this copy has yielded trailers or an error.
    over: bool,
    /// Size hint of the whole body.
    size: SizeHint,
}

struct Recording<B> {
    /// Inner body, while no copy reads it.
    body: Option<Pin<Box<B>>>,
    frames: Vec<Bytes>,
    /// Bytes that were read from the inner body, recorded or not.
    read: u64,
    cap: usize,
    trailers: Option<HeaderMap>,
    ended: bool,
    fault: Option<NotReplayable>,
    /// Copies that wait for the inner body, at most [`MOST_WAITING`].
    waiting: WaitingCopies,
}

impl<B: Body> ReplayBody<B> {
    /// Creates a body that records at most `cap` bytes of `body`, if its size hint has an upper
    /// bound.
    pub fn new(body: B, cap: usize) -> ReplayBody<B> {
        let unknown = body.size_hint().upper().is_none() && !body.is_end_stream();
        let fault = unknown.then_some(NotReplayable::UnknownSize);
        ReplayBody::with(body, cap, fault)
    }

    /// Creates a body that records at most `cap` bytes of `body`, also if its size is unknown.
    pub fn streaming(body: B, cap: usize) -> ReplayBody<B> {
        ReplayBody::with(body, cap, None)
    }

    fn with(body: B, cap: usize, fault: Option<NotReplayable>) -> ReplayBody<B> {
        let size = body.size_hint();
        let too_large = usize::try_from(size.lower()).map_or(true, |lower| lower > cap);
        let fault = too_large.then_some(NotReplayable::TooLarge { cap }).or(fault);
        let recording = Recording {
            ended: body.is_end_stream(),
            body: Some(Box::pin(body)),
            frames: Vec::new(),
            read: 0,
            cap,
            trailers: None,
            fault,
            waiting: WaitingCopies::default(),
        };
        ReplayBody::of(Arc::new(Mutex::new(recording)), size)
    }
}

impl<B> ReplayBody<B> {
    fn of(shared: Arc<Mutex<Recording<B>>>, size: SizeHint) -> ReplayBody<B> {
        ReplayBody { shared, body: None, played: 0, sent: 0, over: false, size }
    }

    /// Returns a copy that starts at the beginning. `None` once the body is known not to be
    /// replayable.
    ///
    /// All copies share the recording and the inner body.
    #[must_use]
    pub fn copy(&self) -> Option<ReplayBody<B>> {
        let replayable = self.not_replayable().is_none();
        replayable.then(|| ReplayBody::of(self.shared.clone(), self.size))
    }

    /// Returns why the body cannot be sent again. `None` while it can, as far as is known.
    #[must_use]
    pub fn not_replayable(&self) -> Option<NotReplayable> {
        self.shared.lock().fault
    }

    /// Returns `true` once any copy has read the inner body to its end or to an error.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.shared.lock().ended
    }

    /// Yields the next recorded frame or end, or waits for the inner body. `None` if this copy has
    /// the inner body and must poll it.
    fn play(&mut self, cx: &Context<'_>) -> Option<Poll<Polled>> {
        if self.over || self.body.is_some() {
            return self.over.then_some(Poll::Ready(None));
        }
        if let Some(played) = self.try_play(&mut None) {
            return played;
        }
        // Cloned outside of the lock, because a waker runs the executor's code. The state may have
        // changed meanwhile, so that it is read again.
        self.try_play(&mut Some(cx.waker().clone())).unwrap_or(Some(Poll::Pending))
    }

    /// Returns the result of [`play`](Self::play). `None` if the copy has to wait and `waker` is
    /// `None`.
    fn try_play(&mut self, waker: &mut Option<Waker>) -> Option<Option<Poll<Polled>>> {
        let mut recording = self.shared.lock();
        if let Some(frame) = recording.frames.get(self.played) {
            self.played += 1;
            self.sent += frame.len() as u64;
            return Some(Some(Poll::Ready(Some(Ok(Frame::data(frame.clone()))))));
        }
        // Bytes were read that are not recorded and that this copy has not yielded: they are lost.
        if let Some(fault) = recording.fault
            && (recording.read != self.sent || fault == NotReplayable::Broken)
        {
            self.over = true;
            return Some(Some(Poll::Ready(Some(Err(fault.into())))));
        }
        if recording.ended {
            self.over = true;
            let trailers = recording.trailers.clone();
            return Some(Some(Poll::Ready(trailers.map(|it| Ok(Frame::trailers(it))))));
        }
        self.body = recording.body.take();
        if self.body.is_some() {
            return Some(None);
        }
        waker.as_ref()?;
        let displaced = recording.wait(waker);
        // Woken outside of the lock: each of the displaced copies takes the lock and registers
        // again.
        drop(recording);
        displaced.wake();
        Some(Some(Poll::Pending))
    }
}

/// Most copies that wait at once. One more displaces them, and each registers again.
const MOST_WAITING: usize = 8;

/// Wakers of the copies that wait for the inner body.
#[derive(Default)]
struct WaitingCopies(VecDeque<Waker>);

impl WaitingCopies {
    /// Wakes all copies, also if one waker panics: `drop` goes on with the others.
    fn wake(mut self) {
        self.wake_all();
    }

    fn wake_all(&mut self) {
        while let Some(waker) = self.0.pop_front() {
            waker.wake();
        }
    }
}

impl Drop for WaitingCopies {
    fn drop(&mut self) {
        self.wake_all();
    }
}

impl<B> Recording<B> {
    /// Registers a waker that is not registered yet. Returns the wakers that had to give way, to be
    /// woken by the caller outside of the lock.
    fn wait(&mut self, waker: &mut Option<Waker>) -> WaitingCopies {
        let is_there = |waker: &Waker| self.waiting.0.iter().any(|other| other.will_wake(waker));
        let Some(waker) = waker.take_if(|waker| !is_there(waker)) else {
            return WaitingCopies::default();
        };
        let is_full = self.waiting.0.len() == MOST_WAITING;
        let displaced =
            if is_full { std::mem::take(&mut self.waiting) } else { WaitingCopies::default() };
        self.waiting.0.push_back(waker);
        displaced
    }

    fn record(&mut self, data: &Bytes) {
        self.read += data.len() as u64;
        if self.fault.is_some() || data.is_empty() {
            return;
        }
        if self.read > self.cap as u64 || self.frames.len() == MOST_FRAMES {
            self.fault = Some(NotReplayable::TooLarge { cap: self.cap });
            self.frames = Vec::new();
        } else {
            self.frames.push(data.clone());
        }
    }
}

impl<B> Body for ReplayBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Polled> {
        let this = self.get_mut();
        if let Some(played) = this.play(cx) {
            return played;
        }
        let Some(body) = &mut this.body else { return Poll::Pending };
        let polled = ready!(body.as_mut().poll_frame(cx));
        let at_end = body.is_end_stream();
        // Before the lock: the conversions run the user's code.
        let polled = polled.map(|polled| {
            let frame = polled.map_err(Into::into)?;
            Ok(frame.map_data(|mut data| data.copy_to_bytes(data.remaining())))
        });
        let mut recording = this.shared.lock();
        if let Some(Ok(frame)) = &polled
            && let Some(data) = frame.data_ref()
        {
            recording.record(data);
            this.sent += data.len() as u64;
            this.played = recording.frames.len();
        }
        match &polled {
            None => recording.ended = true,
            Some(Ok(frame)) => match frame.trailers_ref() {
                None => recording.ended = at_end,
                Some(trailers) => {
                    recording.trailers = Some(trailers.clone());
                    recording.ended = true;
                    this.over = true;
                }
            },
            Some(Err(_)) => {
                recording.fault = Some(NotReplayable::Broken);
                recording.frames = Vec::new();
                recording.ended = true;
                this.over = true;
            }
        }
        if recording.ended {
            let waiting = std::mem::take(&mut recording.waiting);
            drop(recording);
            // Outside of the lock. If the drop of the body panics, the drop of `waiting` wakes the
            // copies.
            this.body = None;
            waiting.wake();
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        let recording = self.shared.lock();
        let all = recording.read == self.sent && recording.trailers.is_none();
        self.over || (recording.ended && all && recording.fault != Some(NotReplayable::Broken))
    }

    /// Returns the size of the part that this copy has not yielded.
    fn size_hint(&self) -> SizeHint {
        let mut left = SizeHint::new();
        left.set_lower(self.size.lower().saturating_sub(self.sent));
        if let Some(upper) = self.size.upper() {
            left.set_upper(upper.saturating_sub(self.sent));
        }
        left
    }
}

/// Returns the inner body to the other copies.
impl<B> Drop for ReplayBody<B> {
    fn drop(&mut self) {
        let Some(body) = self.body.take() else { return };
        let mut recording = self.shared.lock();
        recording.body = Some(body);
        let waiting = std::mem::take(&mut recording.waiting);
        drop(recording);
        waiting.wake();
    }
}

impl<B> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayBody")
            .field("sent", &self.sent)
            .field("fault", &self.shared.lock().fault)
            .finish_non_exhaustive()
    }
}

/// A [`Replay`] that copies requests with a [`ReplayBody`], head and extensions included.
///
/// A request whose body cannot be replayed is not retried. Neither is one whose response came
/// before the whole request was sent: the server may have acted on the first part, and the
/// connection may be unusable.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReplayRequest;

impl<B> Replay<Request<ReplayBody<B>>> for ReplayRequest {
    fn copy(&self, request: &Request<ReplayBody<B>>) -> Option<Request<ReplayBody<B>>> {
        let mut copy = Request::new(request.body().copy()?);
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.version_mut() = request.version();
        copy.headers_mut().clone_from(request.headers());
        copy.extensions_mut().clone_from(request.extensions());
        Some(copy)
    }

    fn is_still_valid(&self, copy: &Request<ReplayBody<B>>, has_response: bool) -> bool {
        // See docs/decisions/0019-a-copy-can-become-unusable.md.
        let body = copy.body();
        body.not_replayable().is_none() && (!has_response || body.is_read())
    }
}
