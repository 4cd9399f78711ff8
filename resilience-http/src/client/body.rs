//! The response body of a client.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use resilience_core::Error;

use super::body_guard::BodyGuard;
use crate::body::{GuardedBody, StallBody, StallTimeout};

pin_project! {
    /// The body of a client's response. It holds the permits of the call until it ends, fails or is
    /// dropped, whichever is first.
    ///
    /// The error is that of the body below, which
    /// [`TimedOut`](resilience_core::RejectionKind::TimedOut) replaces if the body
    /// [stalls](super::ResilientLayerBuilder::body_stall).
    /// [`TransportError::new`](crate::classify::TransportError::new) classifies it.
    pub struct ClientBody<B> {
        #[pin]
        body: GuardedBody<MaybeStallBody<B>, BodyGuard>,
    }
}

impl<B: Body> ClientBody<B> {
    pub(super) fn new(body: B, guard: BodyGuard, stall: Option<StallTimeout>) -> ClientBody<B> {
        let body = CarryRejection { body };
        let body = match stall {
            Some(stall) => MaybeStallBody::Limited { body: Box::pin(StallBody::new(body, stall)) },
            None => MaybeStallBody::Unlimited { body },
        };
        ClientBody { body: GuardedBody::new(body, guard) }
    }
}

impl<B: Body> Body for ClientBody<B> {
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
    /// A body with or without a stall timeout. The timeout is boxed, since a body is moved a few
    /// times before it is read.
    #[project = MaybeStallBodyProj]
    enum MaybeStallBody<B> {
        Unlimited { #[pin] body: CarryRejection<B> },
        Limited { body: Pin<Box<StallBody<CarryRejection<B>>>> },
    }
}

impl<B: Body> Body for MaybeStallBody<B> {
    type Data = B::Data;
    type Error = Error<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Self::Error>>> {
        match self.project() {
            MaybeStallBodyProj::Unlimited { body } => body.poll_frame(cx),
            MaybeStallBodyProj::Limited { body } => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            MaybeStallBody::Unlimited { body } => body.is_end_stream(),
            MaybeStallBody::Limited { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            MaybeStallBody::Unlimited { body } => body.size_hint(),
            MaybeStallBody::Limited { body } => body.size_hint(),
        }
    }
}

pin_project! {
    /// A body with an error type that can carry a rejection.
    struct CarryRejection<B> {
        #[pin]
        body: B,
    }
}

impl<B: Body> Body for CarryRejection<B> {
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

impl<B> fmt::Debug for ClientBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBody").field("body", &self.body).finish()
    }
}
