//! Whether the reader of one stream of HTTP/2 reads.
//!
//! On HTTP/1 a client that does not read stops the socket, which is seen there. On HTTP/2 it leaves its stream's window
//! shut, and the connection goes on: all that can be seen is that nobody asks the answer's body for more.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pin_project_lite::pin_project;
use resilience_core::clock;
use tokio::time::{Sleep, sleep_until};

thread_local! {
    static CURRENT: RefCell<Option<Arc<Reader>>> = const { RefCell::new(None) };
}

/// Of one stream.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Since when its answer waits for it, if it does.
    since: Mutex<Option<Instant>>,
}

impl Reader {
    /// That of the stream that is polled on this thread, if one is.
    pub(super) fn current() -> Option<Arc<Reader>> {
        CURRENT.with_borrow(Option::clone)
    }

    /// The answer has handed something over and is asked for more when that has gone out; or has nothing to hand
    /// over, for which the reader cannot be blamed.
    pub(super) fn waited_for(&self, waited_for: bool) {
        *self.since.lock() = waited_for.then(clock::now);
    }
}

pin_project! {
    /// A stream, until its reader has not read for too long: then it is dropped, and so reset.
    pub(super) struct Read<F> {
        #[pin]
        stream: F,
        reader: Arc<Reader>,
        limit: Duration,
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<F> Read<F> {
    pub(super) fn new(stream: F, limit: Duration) -> Read<F> {
        Read { stream, reader: Arc::default(), limit, timer: None }
    }
}

impl<F: Future<Output = ()>> Future for Read<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let polled = {
            let _entered = Entered(CURRENT.replace(Some(this.reader.clone())));
            this.stream.poll(cx)
        };
        let since = *this.reader.since.lock();
        let (Poll::Pending, Some(since)) = (polled, since) else { return polled };
        let due = (since + *this.limit).into();
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(())
    }
}

/// While this is kept, there is another current stream.
struct Entered(Option<Arc<Reader>>);

impl Drop for Entered {
    fn drop(&mut self) {
        let _left = CURRENT.replace(self.0.take());
    }
}
