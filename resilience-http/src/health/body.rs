//! The body of an answer, whoever gave it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;

pin_project! {
    /// A probe's body, or the service's own.
    #[derive(Debug)]
    pub struct HealthBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = KindProj]
    enum Kind<B> {
        Probe { #[pin] body: Full<Bytes> },
        Service { #[pin] body: B },
    }
}

impl<B> HealthBody<B> {
    pub(super) fn of_probe(body: Full<Bytes>) -> HealthBody<B> {
        HealthBody { kind: Kind::Probe { body } }
    }

    pub(super) fn of_service(body: B) -> HealthBody<B> {
        HealthBody { kind: Kind::Service { body } }
    }
}

impl<B: Body<Data = Bytes>> Body for HealthBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProj::Probe { body } => {
                let never = |error: Infallible| match error {};
                body.poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(never)))
            }
            KindProj::Service { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Probe { body } => body.is_end_stream(),
            Kind::Service { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Probe { body } => body.size_hint(),
            Kind::Service { body } => body.size_hint(),
        }
    }
}
