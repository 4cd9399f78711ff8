//! Slow readers of HTTP/2 streams.
//!
//! On HTTP/1, a client that does not read fills the socket
//! ([`Outgoing`](super::outgoing::Outgoing)). On HTTP/2, such a client does not open the
//! flow-control window of its stream, while the connection goes on: the response body is not
//! polled, and its pieces are not written. The body yields its end only after all pieces are
//! written, because hyper would end the stream's task with the body, and dropping the task is what
//! resets the stream.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use parking_lot::Mutex;
use pin_project_lite::pin_project;
use resilience_core::clock;
use tokio::time::{Sleep, sleep_until};

use super::min_rate::{MinRate, Progress};

thread_local! {
    static CURRENT: RefCell<Option<Arc<Reader>>> = const { RefCell::new(None) };
}

/// The reader of one stream.
#[derive(Debug)]
pub(super) struct Reader {
    state: Mutex<State>,
    min_rate: MinRate,
}

#[derive(Debug)]
struct State {
    progress: Progress,
    /// Set while the body has yielded something and was not polled again.
    yielded: bool,
    /// Pieces that are not written yet.
    pieces: usize,
    /// Waker of the task that waits until all pieces are written.
    end: Option<Waker>,
}

impl Reader {
    fn new(min_rate: MinRate) -> Reader {
        let progress = Progress::new(clock::now());
        let state = State { progress, yielded: false, pieces: 0, end: None };
        Reader { state: Mutex::new(state), min_rate }
    }

    /// Returns the reader of the stream that this thread is polling.
    pub(super) fn current() -> Option<Arc<Reader>> {
        CURRENT.with_borrow(Option::clone)
    }

    /// Notes a poll of the body. If the body has not `yielded` anything, the reader is not at
    /// fault.
    pub(super) fn body_polled(&self, yielded: bool) {
        let mut state = self.state.lock();
        let had_read_all = !state.has_unread();
        state.yielded = yielded;
        if yielded {
            let now = clock::now();
            match had_read_all {
                true => state.progress = Progress::new(now),
                false => state.progress.more(now),
            }
        }
    }

    pub(super) fn piece_created(&self) {
        self.state.lock().pieces += 1;
    }

    /// Notes that `count` bytes of a piece are written.
    pub(super) fn took(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let now = clock::now();
        self.state.lock().progress.took(count, &self.min_rate, now);
    }

    pub(super) fn piece_dropped(&self) {
        let mut state = self.state.lock();
        state.pieces -= 1;
        let end = if state.pieces == 0 { state.end.take() } else { None };
        drop(state);
        end.into_iter().for_each(Waker::wake);
    }

    /// Returns `true` if all pieces are written.
    pub(super) fn is_flushed(&self) -> bool {
        self.state.lock().pieces == 0
    }

    /// Waits until all pieces are written.
    pub(super) fn poll_flushed(&self, cx: &Context<'_>) -> Poll<()> {
        // Cloned, and the former one dropped, outside of the lock: both run the executor's code.
        let waker = cx.waker().clone();
        let mut state = self.state.lock();
        if state.pieces == 0 {
            return Poll::Ready(());
        }
        let former = state.end.replace(waker);
        drop(state);
        drop(former);
        Poll::Pending
    }

    /// Returns when the reader becomes too slow. `None` if it has read everything.
    fn due(&self) -> Option<Instant> {
        let state = self.state.lock();
        state.has_unread().then(|| state.progress.due(&self.min_rate))
    }
}

impl State {
    /// Returns `true` if bytes are available that the reader has not taken.
    const fn has_unread(&self) -> bool {
        self.yielded || self.pieces > 0
    }
}

pin_project! {
    /// The task of a stream, which ends when its reader is too slow. Its drop resets the stream.
    pub(super) struct MinRateStream<F> {
        #[pin]
        stream: F,
        reader: Arc<Reader>,
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<F> MinRateStream<F> {
    pub(super) fn new(stream: F, min_rate: MinRate) -> MinRateStream<F> {
        MinRateStream { stream, reader: Arc::new(Reader::new(min_rate)), timer: None }
    }
}

impl<F: Future<Output = ()>> Future for MinRateStream<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let polled = {
            let _entered = RestoreCurrent(CURRENT.replace(Some(this.reader.clone())));
            this.stream.poll(cx)
        };
        let (Poll::Pending, Some(due)) = (polled, this.reader.due()) else { return polled };
        let due = due.into();
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(())
    }
}

/// Restores the former current reader when it is dropped, also during a panic.
struct RestoreCurrent(Option<Arc<Reader>>);

impl Drop for RestoreCurrent {
    fn drop(&mut self) {
        let _left = CURRENT.replace(self.0.take());
    }
}
