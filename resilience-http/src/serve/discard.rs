//! HTTP/1 request bodies that are dropped before their end.
//!
//! hyper reads one more piece of such a body, and closes the connection if that was not the last
//! one. The server reads on, so that a client that sends all of the body before it has its response
//! keeps its connection, and is not mistaken for one that is still sending.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::Body;
use hyper::body::Incoming;

use super::activity::Activity;

/// Most bytes that are discarded after the response is sent: a client that sends more is still
/// sending.
const AFTER_RESPONSE: u64 = 64 << 10;

/// Discards the dropped body of a connection's request: all of it until the response is sent, and
/// afterwards only the bytes that have arrived by then.
pub(super) struct Discard<'a> {
    activity: &'a Activity,
    body: Option<Incoming>,
    /// Most bytes that are discarded of one body.
    most: u64,
    left: u64,
}

impl<'a> Discard<'a> {
    pub(super) const fn new(activity: &'a Activity, most: u64) -> Discard<'a> {
        Discard { activity, body: None, most, left: most }
    }

    /// Returns `true` if hyper has to be polled again: it can read more, or is to close the
    /// connection.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(body) = self.activity.dropped_body(cx) {
            if self.body.replace(body).is_some() {
                // The former body was read to its end: otherwise hyper would not have read another
                // request.
                self.activity.body_ended(true);
            }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Waker;

    use http::Version;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
    use tokio::sync::mpsc;

    use super::super::connection_limit::ConnectionLimit;
    use super::super::limits::Limits;
    use super::super::unread::Unread;
    use super::*;

    /// Returns a body that has not arrived in full, and its client.
    async fn begun() -> (DuplexStream, Incoming) {
        let (mut client, server) = duplex(1 << 10);
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let service = service_fn(move |request: http::Request<Incoming>| {
            sender.send(request.into_body()).unwrap();
            std::future::pending::<Result<http::Response<String>, std::io::Error>>()
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(server), service));
        client.write_all(b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\n123").await.unwrap();
        (client, receiver.recv().await.unwrap())
    }

    /// hyper may read the rest of a body and the next request in one poll.
    #[tokio::test]
    async fn a_body_before_another_request_counts_as_read() {
        let limits = Limits::default();
        let registered = Unread::new(&limits).register();
        let activity: Arc<Activity> =
            Activity::new(ConnectionLimit::new(1), registered.get().clone(), &limits);
        let mut discard = Discard::new(&activity, 100);
        let mut cx = Context::from_waker(Waker::noop());
        let mut clients = Vec::new();
        for _ in 0..2 {
            let (client, body) = begun().await;
            clients.push(client);
            let active = activity.begin(Version::HTTP_11, true, false);
            activity.body_dropped(body);
            while discard.poll(&mut cx) {}
            drop(active);
        }
        while discard.poll(&mut cx) {}
        assert!(activity.idle_since().is_some(), "a body is left");
    }
}
