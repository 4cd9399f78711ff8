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

/// More frames than this are not recorded: each costs memory, however small it is.
const MOST_FRAMES: usize = 1_024;

/// Why a body cannot be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotReplayable {
    /// It is larger than so many bytes, or comes in more than 1,024 frames.
    TooLarge {
        /// As many as are recorded.
        cap: usize,
    },
    /// Nobody knows how large it will be.
    UnknownSize,
    /// It ended in an error itself.
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

/// A request body that is recorded while it is sent, so that it can be sent again.
///
/// At most as many bytes are kept as it is given. A body that says that it is larger, or that does not know how large it is, is passed
/// on unrecorded, and says so at once ([`not_replayable`](ReplayBody::not_replayable)); so is one that turns out larger, whose
/// recording is dropped. Trailers are sent again too.
///
/// A [`copy`](ReplayBody::copy) starts at the beginning, plays what there is and goes on with the body itself. That is read
/// by one of them at a time: the others wait until it is dropped or at its end. Polling a copy of what cannot
/// be replayed is an error, never a panic.
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
///     .map_request(|request: Request<Full<bytes::Bytes>>| request.map(|body| ReplayBody::new(body, 64 * 1_024)))
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
    /// The body itself, while this one reads it. Not in the lock, under which nothing is polled.
    body: Option<Pin<Box<B>>>,
    /// Frames of the recording that were handed on.
    played: usize,
    /// Bytes that were handed on.
    sent: u64,
    /// Its trailers or an error were handed on.
    over: bool,
    /// The whole body's.
    size: SizeHint,
}

struct Recording<B> {
    /// The body, while nobody reads it.
    body: Option<Pin<Box<B>>>,
    frames: Vec<Bytes>,
    /// Bytes that came out of the body, recorded or not.
    read: u64,
    cap: usize,
    trailers: Option<HeaderMap>,
    ended: bool,
    fault: Option<NotReplayable>,
    /// Copies whose turn it is not. A few.
    waiting: Waiting,
}

impl<B: Body> ReplayBody<B> {
    /// Records at most `cap` bytes of a body whose size is known.
    pub fn new(body: B, cap: usize) -> ReplayBody<B> {
        let unknown = body.size_hint().upper().is_none() && !body.is_end_stream();
        let fault = unknown.then_some(NotReplayable::UnknownSize);
        ReplayBody::with(body, cap, fault)
    }

    /// Records also what is streamed, as far as `cap` bytes.
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
            waiting: Waiting::default(),
        };
        ReplayBody::of(Arc::new(Mutex::new(recording)), size)
    }
}

impl<B> ReplayBody<B> {
    fn of(shared: Arc<Mutex<Recording<B>>>, size: SizeHint) -> ReplayBody<B> {
        ReplayBody { shared, body: None, played: 0, sent: 0, over: false, size }
    }

    /// The same body from its beginning, unless it is known by now that it cannot be sent again.
    #[must_use]
    pub fn copy(&self) -> Option<ReplayBody<B>> {
        let replayable = self.not_replayable().is_none();
        replayable.then(|| ReplayBody::of(self.shared.clone(), self.size))
    }

    /// Why it cannot be sent again, as far as is known by now.
    #[must_use]
    pub fn not_replayable(&self) -> Option<NotReplayable> {
        self.shared.lock().fault
    }

    /// Whether all of it was read, by any of its copies.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.shared.lock().ended
    }

    /// What there is without a look at the body; None if it is this one's turn to look.
    fn play(&mut self, cx: &Context<'_>) -> Option<Poll<Polled>> {
        if self.over || self.body.is_some() {
            return self.over.then_some(Poll::Ready(None));
        }
        if let Some(played) = self.look(&mut None) {
            return played;
        }
        // Cloned outside of the lock, and the look is another one: wakers may be any code.
        self.look(&mut Some(cx.waker().clone())).unwrap_or(Some(Poll::Pending))
    }

    /// What [`play`](Self::play) returns; `None` if it has to wait, and there is no waker to wake.
    fn look(&mut self, waker: &mut Option<Waker>) -> Option<Option<Poll<Polled>>> {
        let mut recording = self.shared.lock();
        if let Some(frame) = recording.frames.get(self.played) {
            self.played += 1;
            self.sent += frame.len() as u64;
            return Some(Some(Poll::Ready(Some(Ok(Frame::data(frame.clone()))))));
        }
        // Of what was read and not recorded this one lacks the beginning.
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
        let crowd = recording.wait(waker);
        drop(recording);
        crowd.wake();
        Some(Some(Poll::Pending))
    }
}

/// Copies that wait for the body.
#[derive(Default)]
struct Waiting(VecDeque<Waker>);

impl Waiting {
    /// Wakes all of them, also if one of them panics.
    fn wake(mut self) {
        self.wake_all();
    }

    fn wake_all(&mut self) {
        while let Some(waker) = self.0.pop_front() {
            waker.wake();
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.wake_all();
    }
}

impl<B> Recording<B> {
    /// Adds a waker that is not there yet. Returns those that are too many, to be woken.
    fn wait(&mut self, waker: &mut Option<Waker>) -> Waiting {
        const MOST: usize = 8;
        let is_there = |waker: &Waker| self.waiting.0.iter().any(|other| other.will_wake(waker));
        let Some(waker) = waker.take_if(|waker| !is_there(waker)) else {
            return Waiting::default();
        };
        let is_full = self.waiting.0.len() == MOST;
        let crowd = if is_full { std::mem::take(&mut self.waiting) } else { Waiting::default() };
        self.waiting.0.push_back(waker);
        crowd
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
        // Before the lock: the data and the error are the user's.
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
                    (recording.ended, this.over) = (true, true);
                }
            },
            Some(Err(_)) => {
                recording.fault = Some(NotReplayable::Broken);
                (recording.ended, this.over) = (true, true);
                recording.frames = Vec::new();
            }
        }
        if recording.ended {
            let waiting = std::mem::take(&mut recording.waiting);
            drop(recording);
            // Woken by its own drop, if that of the body panics.
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

    /// What is left of it.
    fn size_hint(&self) -> SizeHint {
        let mut left = SizeHint::new();
        left.set_lower(self.size.lower().saturating_sub(self.sent));
        if let Some(upper) = self.size.upper() {
            left.set_upper(upper.saturating_sub(self.sent));
        }
        left
    }
}

/// Gives the body back to the copies.
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

/// Copies requests whose body is a [`ReplayBody`], head and extensions included.
///
/// There is no retry of what cannot be sent again, and none if the other side has answered before it had read the whole
/// request: such a response may leave the connection, and what it has done with the first half, in any state.
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

    fn is_still_valid(&self, copy: &Request<ReplayBody<B>>, answered: bool) -> bool {
        // See docs/decisions/0019-a-copy-can-become-unusable.md.
        let body = copy.body();
        body.not_replayable().is_none() && (!answered || body.is_read())
    }
}
