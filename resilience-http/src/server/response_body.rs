//! The body of a response that came from the handler, or from here.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;

use super::rejection_format::GRPC_STATUS;
use crate::propagate;
use crate::propagate::attempt::{self, GRPC_PUSHBACK};

pin_project! {
    /// The handler's body, or that of a response of ours: a rejection, or a probe's.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = KindProj]
    enum Kind<B> {
        Handler { #[pin] body: B },
        /// Of a call whose status comes after it.
        Grpc { #[pin] body: B, context: Box<propagate::Context> },
        Ours { #[pin] body: Full<Bytes> },
    }
}

impl<B> ResponseBody<B> {
    /// The handler's.
    pub const fn handler(body: B) -> ResponseBody<B> {
        ResponseBody { kind: Kind::Handler { body } }
    }

    /// The handler's, of a call of gRPC: the context is in place while it is polled, and if a call inside was given
    /// up, trailers that tell of a failure say so.
    pub(crate) fn grpc(body: B, context: propagate::Context) -> ResponseBody<B> {
        ResponseBody { kind: Kind::Grpc { body, context: Box::new(context) } }
    }

    /// Of a rejection, or of a probe's response.
    pub(crate) fn ours(body: impl Into<Full<Bytes>>) -> ResponseBody<B> {
        ResponseBody { kind: Kind::Ours { body: body.into() } }
    }
}

impl<B: Body<Data = Bytes>> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProj::Handler { body } => body.poll_frame(cx),
            KindProj::Grpc { body, context } => {
                let polled = ready!(context.enter(|| body.poll_frame(cx)));
                Poll::Ready(polled.map(|frame| frame.map(|frame| told(frame, context))))
            }
            KindProj::Ours { body } => body.poll_frame(cx).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Handler { body } | Kind::Grpc { body, .. } => body.is_end_stream(),
            Kind::Ours { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Handler { body } | Kind::Grpc { body, .. } => body.size_hint(),
            Kind::Ours { body } => body.size_hint(),
        }
    }
}

fn told(frame: Frame<Bytes>, context: &propagate::Context) -> Frame<Bytes> {
    if !context.retries().gave_up() {
        return frame;
    }
    match frame.into_trailers() {
        Ok(trailers) => Frame::trailers(pushed_back(trailers)),
        Err(data) => data,
    }
}

fn pushed_back(mut trailers: HeaderMap) -> HeaderMap {
    if trailers.get(GRPC_STATUS).is_some_and(|status| status != "0") {
        trailers.insert(GRPC_PUSHBACK, attempt::NO_RETRY);
    }
    trailers
}
