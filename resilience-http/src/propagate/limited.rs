//! A response body that ends at the deadline of its call.

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

/// The `grpc-status` DEADLINE_EXCEEDED.
const DEADLINE_EXCEEDED: HeaderValue = HeaderValue::from_static("4");

pin_project! {
    /// A body that ends at the deadline of its call, with a `DeadlineExceeded` rejection, or with
    /// gRPC status 4.
    ///
    /// The inner body is dropped then. The timer is armed when the body is first pending. A body
    /// that is not polled, since its client does not read, is ended by `write_timeout` instead.
    /// `serve` wraps each response; under another server, wrap the response where it leaves the
    /// layers.
    #[derive(Debug)]
    pub struct LimitedBody<B> {
        // `None` after the deadline.
        #[pin]
        body: Option<B>,
        end: Option<CallEnd>,
        timer: Option<Pin<Box<Sleep>>>,
    }
}

/// The deadline of a call, its body included. [`ExtractContextLayer`](super::ExtractContextLayer)
/// adds it to the extensions of the response.
#[derive(Debug, Clone, Copy)]
pub struct CallEnd {
    pub(super) at: Instant,
    pub(super) grpc: bool,
}

impl CallEnd {
    /// Returns the deadline.
    #[must_use]
    pub const fn at(&self) -> Instant {
        self.at
    }
}

impl<B> LimitedBody<B> {
    /// Ends `body` at `end`, if there is one.
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
        // Checked before each frame: a body that is always ready must not outlast its deadline.
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
        Poll::Ready(Some(deadline_exceeded(end.grpc)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

fn deadline_exceeded<D>(grpc: bool) -> Result<Frame<D>, BoxError> {
    if grpc {
        return Ok(Frame::trailers(HeaderMap::from_iter([(GRPC_STATUS, DEADLINE_EXCEEDED)])));
    }
    Err(Rejection::new(RejectionKind::DeadlineExceeded, "deadline").into())
}
