//! The body of an answer that came from the handler, or from here.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;

pin_project! {
    /// The handler's body, or that of a refusal.
    #[derive(Debug)]
    pub struct AnswerBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = KindProj]
    enum Kind<B> {
        Handler { #[pin] body: B },
        Refusal { #[pin] body: Full<Bytes> },
    }
}

impl<B> AnswerBody<B> {
    /// The handler's.
    pub const fn handler(body: B) -> AnswerBody<B> {
        AnswerBody { kind: Kind::Handler { body } }
    }

    pub(crate) fn refusal(body: impl Into<Bytes>) -> AnswerBody<B> {
        AnswerBody { kind: Kind::Refusal { body: Full::new(body.into()) } }
    }
}

impl<B: Body<Data = Bytes>> Body for AnswerBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProj::Handler { body } => body.poll_frame(cx),
            KindProj::Refusal { body } => body.poll_frame(cx).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Handler { body } => body.is_end_stream(),
            Kind::Refusal { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Handler { body } => body.size_hint(),
            Kind::Refusal { body } => body.size_hint(),
        }
    }
}
