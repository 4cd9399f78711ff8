//! Bodies of HTTP/1 requests that their handlers drop before the end.
//!
//! hyper itself reads one more piece of such a body, then gives up and closes the connection. A client that has sent all, or does
//! so before it has its response, keeps the connection here, and is not mistaken for one that is still sending.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::Body;
use hyper::body::Incoming;

use super::activity::Activity;

/// Most bytes that are read once the response is sent: a client that sends more is still sending.
const AFTER_RESPONSE: u64 = 64 << 10;

/// Reads and discards the dropped body of a connection's request: while its response is not sent, and then what has
/// come by then.
pub(super) struct Discard<'a> {
    activity: &'a Activity,
    body: Option<Incoming>,
    /// Bytes that are read at most.
    most: u64,
    left: u64,
}

impl<'a> Discard<'a> {
    pub(super) const fn new(activity: &'a Activity, most: u64) -> Discard<'a> {
        Discard { activity, body: None, most, left: most }
    }

    /// Returns `true` if hyper has to be polled again: it can read more, or is to close the connection.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(body) = self.activity.dropped_body(cx) {
            self.body = Some(body);
            self.left = self.most;
        }
        let Some(body) = &mut self.body else { return false };
        let has_response = !self.activity.is_busy();
        if has_response {
            self.left = self.left.min(AFTER_RESPONSE);
        }
        let polled = Pin::new(&mut *body).poll_frame(cx);
        let read_to_end = match polled {
            Poll::Ready(None) => true,
            Poll::Ready(Some(Ok(frame))) => {
                let count = frame.data_ref().and_then(|data| u64::try_from(data.len()).ok());
                self.left = self.left.saturating_sub(count.unwrap_or(0));
                if self.left > 0 && !body.is_end_stream() {
                    return true;
                }
                body.is_end_stream()
            }
            Poll::Pending if !has_response => return false,
            Poll::Pending | Poll::Ready(Some(Err(_))) => false,
        };
        self.body = None;
        self.activity.body_ended(read_to_end);
        true
    }
}
