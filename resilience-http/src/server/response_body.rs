//! The body of a response from the handler or from a layer.

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
    /// The body of the handler's response, or of a rejection or health probe.
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
        /// Body of a gRPC call, whose status comes in the trailers.
        Grpc { #[pin] body: B, context: Box<propagate::Context> },
        Generated { #[pin] body: Full<Bytes> },
    }
}

impl<B> ResponseBody<B> {
    /// Creates the body of a handler's response.
    pub const fn handler(body: B) -> ResponseBody<B> {
        ResponseBody { kind: Kind::Handler { body } }
    }

    /// Creates the body of a handler's gRPC response. `context` is current while the body is
    /// polled. If a retry inside has given up, trailers with an error status forbid the caller to
    /// retry.
    pub(crate) fn grpc(body: B, context: propagate::Context) -> ResponseBody<B> {
        ResponseBody { kind: Kind::Grpc { body, context: Box::new(context) } }
    }

    /// Creates the body of a rejection or of a health probe's response.
    pub(crate) fn generated(body: impl Into<Full<Bytes>>) -> ResponseBody<B> {
        ResponseBody { kind: Kind::Generated { body: body.into() } }
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
                let mark = |frame| forbid_retry_after_giving_up(frame, context);
                Poll::Ready(polled.map(|frame| frame.map(mark)))
            }
            KindProj::Generated { body } => body.poll_frame(cx).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Handler { body } | Kind::Grpc { body, .. } => body.is_end_stream(),
            Kind::Generated { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Handler { body } | Kind::Grpc { body, .. } => body.size_hint(),
            Kind::Generated { body } => body.size_hint(),
        }
    }
}

/// Adds `grpc-retry-pushback-ms: -1` to trailers with an error status if a retry inside has given
/// up.
fn forbid_retry_after_giving_up(frame: Frame<Bytes>, context: &propagate::Context) -> Frame<Bytes> {
    if !context.retries().gave_up() {
        return frame;
    }
    match frame.into_trailers() {
        Ok(trailers) => Frame::trailers(with_pushback(trailers)),
        Err(data) => data,
    }
}

fn with_pushback(mut trailers: HeaderMap) -> HeaderMap {
    if trailers.get(GRPC_STATUS).is_some_and(|status| status != "0") {
        trailers.insert(GRPC_PUSHBACK, attempt::NO_RETRY);
    }
    trailers
}
