use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http::{Extensions, HeaderMap};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use resilience_core::Outcome;
use resilience_core::breaker::Admitted;
use resilience_core::bulkhead::BulkheadPermit;

/// A value that a call holds until its response body ends.
///
/// A guard that is dropped without a call of [`ended`](Guard::ended) belongs to an abandoned body.
pub trait Guard<E> {
    /// Notes a poll of the body, the first one included.
    fn polled(&mut self) {}

    /// Receives the extensions of the head before it is passed on. Not called for an empty body.
    fn attach(&mut self, extensions: &mut Extensions) {
        let _unused = extensions;
    }

    /// Ends the call: `Ok` with the trailers (often empty), or the error that the body broke off
    /// with.
    fn ended(self, end: Result<&HeaderMap, &E>);
}

/// Releases the permit at any end of the body.
impl<E> Guard<E> for BulkheadPermit {
    fn ended(self, _: Result<&HeaderMap, &E>) {}
}

/// Records a complete body as a success, and one that broke off as a transient failure.
impl<E> Guard<E> for Admitted {
    fn ended(self, end: Result<&HeaderMap, &E>) {
        self.outcome(end.map_or(Outcome::transient(), |_| Outcome::Success));
    }
}

/// Notifies both guards, the first one first.
impl<E, A: Guard<E>, B: Guard<E>> Guard<E> for (A, B) {
    fn polled(&mut self) {
        self.0.polled();
        self.1.polled();
    }

    fn attach(&mut self, extensions: &mut Extensions) {
        self.0.attach(extensions);
        self.1.attach(extensions);
    }

    fn ended(self, end: Result<&HeaderMap, &E>) {
        self.0.ended(end);
        self.1.ended(end);
    }
}

/// A guard that only drops its value at the end of the body: an in-flight count, a span.
#[derive(Debug, Clone, Copy, Default)]
pub struct DropOnEnd<T>(pub T);

impl<E, T> Guard<E> for DropOnEnd<T> {
    fn ended(self, _: Result<&HeaderMap, &E>) {}
}

/// Value of `GuardedBody::left` for a body of unknown length.
const UNKNOWN: u64 = u64::MAX;

pin_project! {
    /// A body that holds a guard until its end, its error, or its drop, whichever is first. Exactly
    /// one of the three reaches the guard.
    ///
    /// The end is the last frame, not the `None` after it: a server that knows the length, or has
    /// sent the trailers, does not poll again. Bytes are counted against an [exact size
    /// hint](SizeHint::exact) or [the length in the head](GuardedBody::expecting), because files
    /// and streams do not report `is_end_stream` after their last byte. A body that has ended at
    /// construction releases its guard at once.
    ///
    /// Frames, trailers and size hint are those of the inner body; nothing is allocated.
    pub struct GuardedBody<B, G> {
        // Declared first, so that the body is dropped before the guard that admitted it.
        #[pin]
        body: B,
        guard: Option<G>,
        // Bytes still to come, or `UNKNOWN`. Not an `Option`, which would take 16 bytes.
        left: u64,
    }
}

impl<B, G> GuardedBody<B, G> {
    /// Creates a body that holds `guard` until `body` ends, by its own exact size hint if it has
    /// one.
    pub fn new(body: B, guard: G) -> GuardedBody<B, G>
    where
        B: Body,
        G: Guard<B::Error>,
    {
        let left = body.size_hint().exact();
        GuardedBody::expecting(body, guard, left)
    }

    /// Creates a body that holds `guard` until `body` ends, at the latest after `length` bytes.
    /// With `None`, only the body determines its end, and trailers may follow its last byte.
    pub fn expecting(body: B, guard: G, length: Option<u64>) -> GuardedBody<B, G>
    where
        B: Body,
        G: Guard<B::Error>,
    {
        if length == Some(0) || body.is_end_stream() {
            guard.ended(Ok(&HeaderMap::new()));
            return GuardedBody::unguarded(body);
        }
        GuardedBody { body, guard: Some(guard), left: length.unwrap_or(UNKNOWN) }
    }

    /// Creates a body without a guard, for a call that ended with its head.
    pub const fn unguarded(body: B) -> GuardedBody<B, G> {
        GuardedBody { body, guard: None, left: UNKNOWN }
    }

    /// Returns the guard. `None` once the body has ended.
    pub const fn guard(&self) -> Option<&G> {
        self.guard.as_ref()
    }

    /// Returns the inner body.
    pub const fn get_ref(&self) -> &B {
        &self.body
    }
}

impl<B, G> Body for GuardedBody<B, G>
where
    B: Body,
    G: Guard<B::Error>,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        // See docs/decisions/0018-the-last-frame-ends-a-body.md.
        let mut this = self.project();
        if let Some(guard) = this.guard {
            guard.polled();
        }
        let polled = ready!(this.body.as_mut().poll_frame(cx));
        let none = HeaderMap::new();
        let end = match &polled {
            None => Some(Ok(&none)),
            Some(Err(error)) => Some(Err(error)),
            // Trailers are the last frame (RFC 9110, 6.5), and hyper does not poll after them.
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, |data| data.remaining() as u64);
                if *this.left != UNKNOWN {
                    *this.left = this.left.saturating_sub(bytes);
                }
                let is_last = *this.left == 0 || this.body.is_end_stream();
                frame.trailers_ref().map(Ok).or(is_last.then_some(Ok(&none)))
            }
        };
        if let Some(end) = end
            && let Some(guard) = this.guard.take()
        {
            guard.ended(end);
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B, G> fmt::Debug for GuardedBody<B, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedBody")
            .field("guarded", &self.guard.is_some())
            .finish_non_exhaustive()
    }
}
