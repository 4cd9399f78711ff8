//! Requests that have become streams of another protocol.
//!
//! On HTTP/1 the upgraded stream is made of the connection's socket, which releases the request when it is dropped. On
//! HTTP/2 hyper spawns a task for the stream's sending side while the request's task is polled; that task holds the request.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use resilience_core::shutdown::InFlight;

use crate::body::WritePermit;

thread_local! {
    /// Request of the HTTP/2 stream that is polled on this thread, between its response and the task of its upgrade.
    static CURRENT: Cell<Option<Upgraded>> = const { Cell::new(None) };
}

/// Count and place of a request, held until its upgraded stream is dropped.
#[derive(Debug)]
pub(super) struct Upgraded {
    counted: InFlight,
    /// Dropped after the count is left.
    _place: Option<WritePermit>,
}

impl Upgraded {
    pub(super) const fn new(counted: InFlight, place: Option<WritePermit>) -> Upgraded {
        Upgraded { counted, _place: place }
    }

    /// Counts the request as finished. Dropped without it during a forced shutdown, the request was cut.
    pub(super) fn finish(self) {
        self.counted.finish();
    }

    /// Leaves the request to the task that hyper spawns next in this poll.
    pub(super) fn hand_over(self) {
        drop(CURRENT.replace(Some(self)));
    }
}

pin_project! {
    /// A task of HTTP/2 that holds an upgraded request until its end.
    pub(super) struct Holding<F> {
        // First, and so dropped first: the stream is reset before its place is free.
        #[pin]
        task: F,
        upgraded: Option<Upgraded>,
    }
}

impl<F> Holding<F> {
    /// Creates a task that holds the request that was handed over in this poll, if one was.
    pub(super) fn new(task: F) -> Holding<F> {
        Holding { task, upgraded: CURRENT.take() }
    }
}

impl<F: Future<Output = ()>> Future for Holding<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let polled = this.task.poll(cx);
        // Not taken: hyper could not send the response, and there is no stream.
        drop(CURRENT.take());
        ready!(polled);
        this.upgraded.take().into_iter().for_each(Upgraded::finish);
        Poll::Ready(())
    }
}
