//! Requests that were upgraded to another protocol.
//!
//! On HTTP/1, the upgraded stream is the connection's socket, whose drop releases the request. On
//! HTTP/2, hyper spawns a task for the stream's sending side while it polls the task of the
//! request; the new task holds the request.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use resilience_core::shutdown::InFlight;

use crate::body::WritePermit;

thread_local! {
    /// Request of the HTTP/2 stream that this thread polls, from its response to the spawn of its
    /// upgrade's task.
    static CURRENT: Cell<Option<Upgraded>> = const { Cell::new(None) };
}

/// The in-flight count and the permit of a request, held until its upgraded stream is dropped.
#[derive(Debug)]
pub(super) struct Upgraded {
    in_flight: InFlight,
    /// Declared, and so dropped, after `in_flight`.
    _permit: Option<WritePermit>,
}

impl Upgraded {
    pub(super) const fn new(in_flight: InFlight, permit: Option<WritePermit>) -> Upgraded {
        Upgraded { in_flight, _permit: permit }
    }

    /// Counts the request as finished. A request that is dropped without this call during a forced
    /// shutdown counts as cut.
    pub(super) fn finish(self) {
        self.in_flight.finish();
    }

    /// Passes the request to the task that hyper spawns next in this poll.
    pub(super) fn pass_to_next_task(self) {
        drop(CURRENT.replace(Some(self)));
    }
}

pin_project! {
    /// The task of an HTTP/2 stream, which holds an upgraded request until its end.
    pub(super) struct StreamTask<F> {
        // Declared first, so that the stream is reset before its permit is released.
        #[pin]
        task: F,
        upgraded: Option<Upgraded>,
    }
}

impl<F> StreamTask<F> {
    /// Creates a task that holds the request that was passed on in this poll, if any.
    pub(super) fn new(task: F) -> StreamTask<F> {
        StreamTask { task, upgraded: CURRENT.take() }
    }
}

impl<F: Future<Output = ()>> Future for StreamTask<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let polled = this.task.poll(cx);
        // Still there if hyper could not send the response and has spawned no task.
        drop(CURRENT.take());
        ready!(polled);
        this.upgraded.take().into_iter().for_each(Upgraded::finish);
        Poll::Ready(())
    }
}
