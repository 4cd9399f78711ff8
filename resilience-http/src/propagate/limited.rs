//! The body of a response whose call has only so much time.

use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use resilience_core::{Rejection, RejectionKind, clock};
use tokio::time::{Sleep, sleep_until};

use crate::server::GRPC_STATUS;

type BoxError = Box<dyn StdError + Send + Sync>;

/// gRPC's `DEADLINE_EXCEEDED`.
const TOO_LATE: HeaderValue = HeaderValue::from_static("4");

pin_project! {
    /// A body that ends when the time of its call is over: in a `DeadlineExceeded` rejection, or in gRPC's status 4.
    ///
    /// What the body holds is free then. The timer is made when the body is first waited for. A body that is not polled,
    /// since its client does not read, is not ended by this but by `write_timeout`. `serve` makes one for each response; under
    /// another server, make it where the response leaves the layers.
    #[derive(Debug)]
    pub struct LimitedBody<B> {
        // None once it was ended.
        #[pin]
        body: Option<B>,
        end: Option<CallEnd>,
        timer: Option<Pin<Box<Sleep>>>,
    }
}

/// When the time of a call is over, its body included. [`ExtractContextLayer`](super::ExtractContextLayer) puts it into the response's extensions.
#[derive(Debug, Clone, Copy)]
pub struct CallEnd {
    pub(super) at: Instant,
    pub(super) grpc: bool,
}

impl CallEnd {
    /// Returns the instant at which the time is over.
    #[must_use]
    pub const fn at(&self) -> Instant {
        self.at
    }
}

impl<B> LimitedBody<B> {
    /// `body`, until `end`, if there is one.
    pub const fn new(body: B, end: Option<CallEnd>) -> LimitedBody<B> {
        LimitedBody { body: Some(body), end, timer: None }
    }
}

impl<B> Body for LimitedBody<B>
where
    B: Body<Error: Into<BoxError>>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let mut this = self.project();
        let Some(body) = this.body.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let Some(end) = *this.end else {
            return body.poll_frame(cx).map_err(Into::into);
        };
        // A body that always has something is not to outlast its time.
        if clock::now() < end.at {
            if let Poll::Ready(polled) = body.poll_frame(cx) {
                return Poll::Ready(polled.map(|frame| frame.map_err(Into::into)));
            }
            let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(end.at.into())));
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        this.body.set(None);
        Poll::Ready(Some(too_late(end.grpc)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

fn too_late<D>(grpc: bool) -> Result<Frame<D>, BoxError> {
    if grpc {
        return Ok(Frame::trailers(HeaderMap::from_iter([(GRPC_STATUS, TOO_LATE)])));
    }
    Err(Rejection::new(RejectionKind::DeadlineExceeded, "deadline").into())
}
