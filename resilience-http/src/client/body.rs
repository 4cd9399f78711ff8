//! A body that holds what its call does.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use resilience_core::Error;

use super::body_guard::BodyGuard;
use crate::body::{GuardedBody, StallBody, StallTimeout};

pin_project! {
    /// The body of a response, which holds what the call holds until it is over: at its end, its error or
    /// its drop, whichever comes first.
    ///
    /// Its error is the body's own, which [`TransportError::new`](crate::classify::TransportError::new) reads, or the rejection
    /// of one that stalls.
    pub struct HeldBody<B> {
        #[pin]
        body: GuardedBody<Watched<B>, BodyGuard>,
    }
}

impl<B: Body> HeldBody<B> {
    pub(super) fn new(body: B, hold: BodyGuard, stall: Option<StallTimeout>) -> HeldBody<B> {
        let body = Wrapped { body };
        let body = match stall {
            Some(stall) => Watched::Limited { body: Box::pin(StallBody::new(body, stall)) },
            None => Watched::Unlimited { body },
        };
        HeldBody { body: GuardedBody::new(body, hold) }
    }
}

impl<B: Body> Body for HeldBody<B> {
    type Data = B::Data;
    type Error = Error<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Self::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pin_project! {
    /// A body that may stall, or may not: in a box then, since a body is moved a few times before it is read.
    #[project = WatchedProj]
    enum Watched<B> {
        Unlimited { #[pin] body: Wrapped<B> },
        Limited { body: Pin<Box<StallBody<Wrapped<B>>>> },
    }
}

impl<B: Body> Body for Watched<B> {
    type Data = B::Data;
    type Error = Error<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Self::Error>>> {
        match self.project() {
            WatchedProj::Unlimited { body } => body.poll_frame(cx),
            WatchedProj::Limited { body } => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Watched::Unlimited { body } => body.is_end_stream(),
            Watched::Limited { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Watched::Unlimited { body } => body.size_hint(),
            Watched::Limited { body } => body.size_hint(),
        }
    }
}

pin_project! {
    /// A body whose errors a rejection fits into.
    struct Wrapped<B> {
        #[pin]
        body: B,
    }
}

impl<B: Body> Body for Wrapped<B> {
    type Data = B::Data;
    type Error = Error<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Self::Error>>> {
        self.project().body.poll_frame(cx).map_err(Error::Service)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> fmt::Debug for HeldBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldBody").field("body", &self.body).finish()
    }
}
