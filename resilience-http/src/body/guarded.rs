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

/// What a call holds until its body has ended.
///
/// Dropped without [`ended`](Guard::ended), the body was abandoned midway.
pub trait Guard<E> {
    /// Somebody asks the body for more, for the first time or again.
    fn asked(&mut self) {}

    /// The head of a response whose body is still to come is passed on, with these extensions.
    fn attach(&mut self, extensions: &mut Extensions) {
        let _unused = extensions;
    }

    /// The body ended: well, with these trailers (often none), or in this error.
    fn ended(self, end: Result<&HeaderMap, &E>);
}

/// A permit goes back, however the body ended.
impl<E> Guard<E> for BulkheadPermit {
    fn ended(self, _: Result<&HeaderMap, &E>) {}
}

/// A body that ended well is a success, and one that broke off a transient failure.
impl<E> Guard<E> for Admitted {
    fn ended(self, end: Result<&HeaderMap, &E>) {
        self.outcome(end.map_or(Outcome::transient(), |_| Outcome::Success));
    }
}

/// Both, the first one first.
impl<E, A: Guard<E>, B: Guard<E>> Guard<E> for (A, B) {
    fn asked(&mut self) {
        self.0.asked();
        self.1.asked();
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

/// Anything that only has to be dropped when the body has ended: a count of what is in flight, a span.
#[derive(Debug, Clone, Copy, Default)]
pub struct Held<T>(pub T);

impl<E, T> Guard<E> for Held<T> {
    fn ended(self, _: Result<&HeaderMap, &E>) {}
}

/// The number of bytes that are still to come where only the body knows its end.
const UNKNOWN: u64 = u64::MAX;

pin_project! {
    /// A body that holds a guard until its end, its error, or its drop, whichever is first. The guard hears of
    /// exactly one of them.
    ///
    /// The end is the last frame, not the `None` behind it: a server that knows the length, or has sent the
    /// trailers, does not ask for more. Bytes are counted against an [exact size hint](SizeHint::exact) or
    /// [the length in the head](GuardedBody::expecting), since files and streams do not notice their own end.
    /// A body that is at its end when this is made holds nothing.
    ///
    /// Frames, trailers and size hint are those of the body inside; nothing is allocated.
    pub struct GuardedBody<B, G> {
        // First, and so dropped first: what the guard admits is over when the guard goes.
        #[pin]
        body: B,
        guard: Option<G>,
        // Bytes that are still to come, or `UNKNOWN`: in eight bytes.
        left: u64,
    }
}

impl<B, G> GuardedBody<B, G> {
    /// `body`, which holds `guard` until it has ended.
    pub fn new(body: B, guard: G) -> GuardedBody<B, G>
    where
        B: Body,
        G: Guard<B::Error>,
    {
        let left = body.size_hint().exact();
        GuardedBody::expecting(body, guard, left)
    }

    /// `body`, which holds `guard` until it has ended, at the latest with byte number `length`. `None`: only the body
    /// knows where its end is, and trailers may follow its last byte.
    pub fn expecting(body: B, guard: G, length: Option<u64>) -> GuardedBody<B, G>
    where
        B: Body,
        G: Guard<B::Error>,
    {
        if length == Some(0) || body.is_end_stream() {
            guard.ended(Ok(&HeaderMap::new()));
            return GuardedBody::free(body);
        }
        GuardedBody { body, guard: Some(guard), left: length.unwrap_or(UNKNOWN) }
    }

    /// `body`, which holds nothing: where the call was over with its head.
    pub const fn free(body: B) -> GuardedBody<B, G> {
        GuardedBody { body, guard: None, left: UNKNOWN }
    }

    /// What it still holds.
    pub const fn guard(&self) -> Option<&G> {
        self.guard.as_ref()
    }

    /// The body inside.
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
            guard.asked();
        }
        let polled = ready!(this.body.as_mut().poll_frame(cx));
        let none = HeaderMap::new();
        let end = match &polled {
            None => Some(Ok(&none)),
            Some(Err(error)) => Some(Err(error)),
            // Nothing may follow trailers, and hyper does not look.
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
