//! Request bodies, and the record of how they end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::{Request, Version, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::activity::Activity;

/// The body of a request to a [`Server`](super::Server): the frames of hyper's [`Incoming`].
///
/// Dropping a body before its end is allowed, and the client may then still be sending. If its
/// connection is to be closed, the server lingers as
/// [`linger_timeout`](super::ServerBuilder::linger_timeout) describes.
#[derive(Debug)]
pub struct RequestBody {
    /// `None` only during the drop.
    incoming: Option<Incoming>,
    /// `None` once the end, or an error, was read.
    unread: Option<Unread>,
}

#[derive(Debug)]
struct Unread {
    activity: Arc<Activity>,
    multiplexed: bool,
    /// Set while a client with `expect: 100-continue` waits for the first read.
    is_expecting: bool,
}

impl RequestBody {
    pub(super) fn wrap(
        request: Request<Incoming>,
        activity: &Arc<Activity>,
    ) -> Request<RequestBody> {
        let multiplexed = request.version() == Version::HTTP_2;
        let is_expecting = !multiplexed && request.headers().contains_key(header::EXPECT);
        request.map(|incoming| {
            let activity = (!incoming.is_end_stream()).then(|| activity.clone());
            let unread = activity.map(|activity| Unread { activity, multiplexed, is_expecting });
            RequestBody { incoming: Some(incoming), unread }
        })
    }

    fn ended(&mut self, read_to_end: bool) {
        if let Some(unread) = self.unread.take() {
            unread.activity.body_ended(read_to_end);
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(unread) = &mut self.unread {
            unread.is_expecting = false;
        }
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let polled = ready!(Pin::new(&mut *incoming).poll_frame(cx));
        match &polled {
            None => self.ended(true),
            Some(Ok(frame)) if frame.is_trailers() || incoming.is_end_stream() => self.ended(true),
            Some(Ok(_)) => {}
            Some(Err(_)) => self.ended(false),
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let (Some(mut incoming), Some(unread)) = (self.incoming.take(), self.unread.take()) else {
            return;
        };
        if unread.multiplexed {
            // h2 has buffered the frames that have arrived. If the end is not among them, the
            // client is still sending.
            let mut cx = Context::from_waker(Waker::noop());
            let read_to_end = loop {
                match Pin::new(&mut incoming).poll_frame(&mut cx) {
                    Poll::Ready(Some(Ok(_))) => {}
                    Poll::Ready(None) => break true,
                    Poll::Ready(Some(Err(_))) | Poll::Pending => break incoming.is_end_stream(),
                }
            };
            unread.activity.body_ended(read_to_end);
        } else if unread.is_expecting {
            // Not discarded: a read would make hyper send `100 Continue` (RFC 9110, 10.1.1).
            unread.activity.body_ended(false);
        } else {
            unread.activity.body_dropped(incoming);
        }
    }
}
