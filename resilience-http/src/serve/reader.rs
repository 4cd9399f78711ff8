//! Whether the reader of one stream of HTTP/2 reads.
//!
//! On HTTP/1 a client that does not read stops the socket, which is seen there. On HTTP/2 it leaves its stream's window
//! shut, and the connection goes on: all that can be seen is that nobody asks the answer's body for more, and that what it
//! has handed over is not taken. The end of an answer is handed over when all large pieces before it are gone: until
//! then there is a task that can be ended, and with it the stream.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pin_project_lite::pin_project;
use resilience_core::clock;
use tokio::time::{Sleep, sleep_until};

thread_local! {
    static CURRENT: RefCell<Option<Arc<Reader>>> = const { RefCell::new(None) };
}

/// Of one stream.
#[derive(Debug)]
pub(super) struct Reader(Mutex<State>);

#[derive(Debug)]
struct State {
    /// When it took something, or something was there for it after it had everything.
    since: Instant,
    /// Whether its answer was not asked for more since it has handed something over.
    handed: bool,
    /// How many large pieces are on their way to it.
    pieces: usize,
    /// Who waits until none is.
    end: Option<Waker>,
}

impl Reader {
    fn new() -> Reader {
        Reader(Mutex::new(State { since: clock::now(), handed: false, pieces: 0, end: None }))
    }

    /// That of the stream that is polled on this thread, if one is.
    pub(super) fn current() -> Option<Arc<Reader>> {
        CURRENT.with_borrow(Option::clone)
    }

    /// The answer has handed something over and is asked for more when that has gone out; or has nothing to hand
    /// over, for which the reader cannot be blamed.
    pub(super) fn waited_for(&self, handed: bool) {
        let mut state = self.0.lock();
        state.handed = handed;
        if handed {
            state.since = clock::now();
        }
    }

    pub(super) fn piece_begun(&self) {
        self.0.lock().pieces += 1;
    }

    /// Some of a piece has gone out.
    pub(super) fn took(&self) {
        self.0.lock().since = clock::now();
    }

    pub(super) fn piece_gone(&self) {
        let mut state = self.0.lock();
        state.pieces -= 1;
        let end = if state.pieces == 0 { state.end.take() } else { None };
        drop(state);
        end.into_iter().for_each(Waker::wake);
    }

    /// Whether all large pieces have gone out.
    pub(super) fn has_all(&self) -> bool {
        self.0.lock().pieces == 0
    }

    /// Waits until all large pieces have gone out.
    pub(super) fn poll_has_all(&self, cx: &Context<'_>) -> Poll<()> {
        // Cloned, and the former one dropped, outside of the lock.
        let waker = cx.waker().clone();
        let mut state = self.0.lock();
        if state.pieces == 0 {
            return Poll::Ready(());
        }
        let former = state.end.replace(waker);
        drop(state);
        drop(former);
        Poll::Pending
    }

    /// Since when something is there for it that it does not take, if anything is.
    fn slow_since(&self) -> Option<Instant> {
        let state = self.0.lock();
        (state.handed || state.pieces > 0).then_some(state.since)
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
        Read { stream, reader: Arc::new(Reader::new()), limit, timer: None }
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
        let since = this.reader.slow_since();
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
