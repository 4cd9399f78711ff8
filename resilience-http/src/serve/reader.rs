//! Slow readers of streams of HTTP/2.
//!
//! On HTTP/1 a client that does not read fills the socket, which shows there. On HTTP/2 it leaves its stream's window
//! shut, and the connection goes on: it shows only in that the response's body is not polled for more, and its pieces
//! are not taken. The body yields its end after all pieces before it are gone: until
//! then there is a task that can be dropped, and with it the stream.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use parking_lot::Mutex;
use pin_project_lite::pin_project;
use resilience_core::clock;
use tokio::time::{Sleep, sleep_until};

use super::pace::{Pace, Progress};

thread_local! {
    static CURRENT: RefCell<Option<Arc<Reader>>> = const { RefCell::new(None) };
}

/// The reader of one stream.
#[derive(Debug)]
pub(super) struct Reader {
    state: Mutex<State>,
    pace: Pace,
}

#[derive(Debug)]
struct State {
    progress: Progress,
    /// Set while the body has yielded something and was not polled again.
    handed: bool,
    /// Pieces that have not gone out.
    pieces: usize,
    /// Wakes the task that waits until there are none.
    end: Option<Waker>,
}

impl Reader {
    fn new(pace: Pace) -> Reader {
        let progress = Progress::new(clock::now());
        let state = State { progress, handed: false, pieces: 0, end: None };
        Reader { state: Mutex::new(state), pace }
    }

    /// Returns the reader of the stream that is polled on this thread, if one is.
    pub(super) fn current() -> Option<Arc<Reader>> {
        CURRENT.with_borrow(Option::clone)
    }

    /// Notes whether the body has yielded something. If it has not, the reader has nothing to take.
    pub(super) fn waited_for(&self, handed: bool) {
        let mut state = self.state.lock();
        let had_all = !state.is_owed();
        state.handed = handed;
        if handed {
            let now = clock::now();
            match had_all {
                true => state.progress = Progress::new(now),
                false => state.progress.more(now),
            }
        }
    }

    pub(super) fn piece_begun(&self) {
        self.state.lock().pieces += 1;
    }

    /// Notes that `count` bytes of a piece have gone out.
    pub(super) fn took(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let now = clock::now();
        self.state.lock().progress.took(count, &self.pace, now);
    }

    pub(super) fn piece_gone(&self) {
        let mut state = self.state.lock();
        state.pieces -= 1;
        let end = if state.pieces == 0 { state.end.take() } else { None };
        drop(state);
        end.into_iter().for_each(Waker::wake);
    }

    /// Returns `true` if all pieces have gone out.
    pub(super) fn has_all(&self) -> bool {
        self.state.lock().pieces == 0
    }

    /// Waits until all pieces have gone out.
    pub(super) fn poll_has_all(&self, cx: &Context<'_>) -> Poll<()> {
        // Cloned, and the former one dropped, outside of the lock.
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

    /// Returns when it will have been too slow, if something is there for it.
    fn due(&self) -> Option<Instant> {
        let state = self.state.lock();
        state.is_owed().then(|| state.progress.due(&self.pace))
    }
}

impl State {
    /// Returns `true` if something is there for it that it has not taken.
    const fn is_owed(&self) -> bool {
        self.handed || self.pieces > 0
    }
}

pin_project! {
    /// A stream, which is dropped, and so reset, when its reader is too slow.
    pub(super) struct Read<F> {
        #[pin]
        stream: F,
        reader: Arc<Reader>,
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<F> Read<F> {
    pub(super) fn new(stream: F, pace: Pace) -> Read<F> {
        Read { stream, reader: Arc::new(Reader::new(pace)), timer: None }
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

/// Puts the former current stream back when it is dropped.
struct Entered(Option<Arc<Reader>>);

impl Drop for Entered {
    fn drop(&mut self) {
        let _left = CURRENT.replace(self.0.take());
    }
}
