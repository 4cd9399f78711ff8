//! What a call knows of the retries around it, so that those of several tiers do not multiply.
//!
//! Three tiers that make three attempts each make 27 of one request, and five make 243. A retry cannot
//! see the others; what it can be told is on which attempt of somebody else's call it works, and what it
//! can tell is that it has given up. A [`RetryScope`] is the place for both. Whoever answers calls opens
//! one around each; the retries inside find it, whatever the type of the request:
//!
//! - in a [`single`](RetryScope::single) scope they make one attempt each, since somebody above makes the
//!   others;
//! - one that has made its attempts, or whose budget is spent, [says so](RetryScope::give_up), and whoever
//!   opened the scope can tell the caller not to try again.
//!
//! The other way round, what is sent on a retry can read
//! [how many attempts came before it](previous_attempts). None of it costs a call anything that succeeds
//! at once. It is ambient, as a [`Deadline`](crate::Deadline) is, and does not cross `tokio::spawn`: take
//! [`RetryScope::current`] along, and [`scope`](RetryScope::scope) the task's future.
//!
//! ```
//! use resilience_core::retry::{RetryPolicy, RetryScope, retry};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let policy = RetryPolicy::builder().classifier(resilience_core::outcome::AnyError).build()?;
//! let mut tries = 0;
//! let scope = RetryScope::open();
//! let _failed = scope.scope(retry(&policy, || { tries += 1; async { Err::<(), _>("down") } })).await;
//! assert_eq!(tries, 3);
//! assert!(scope.gave_up());
//!
//! let scope = RetryScope::single();
//! let _failed = scope.scope(retry(&policy, || { tries += 1; async { Err::<(), _>("down") } })).await;
//! assert_eq!(tries, 4);
//! assert!(!scope.gave_up()); // whoever retries may go on
//! # Ok(())
//! # }
//! ```

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

thread_local! {
    static CURRENT: RefCell<Option<RetryScope>> = const { RefCell::new(None) };
    static PREVIOUS: Cell<u32> = const { Cell::new(0) };
}

/// Whether retries inside of one call may retry, and whether one of them has given up. Clones are of the
/// same call.
#[derive(Debug, Clone)]
pub struct RetryScope(Arc<State>);

#[derive(Debug)]
struct State {
    allowed: bool,
    gave_up: AtomicBool,
}

impl RetryScope {
    /// Retries inside do as their policies say.
    #[must_use]
    pub fn open() -> RetryScope {
        RetryScope::new(true)
    }

    /// Retries inside make one attempt each: this call is itself one of somebody else's attempts.
    #[must_use]
    pub fn single() -> RetryScope {
        RetryScope::new(false)
    }

    fn new(allowed: bool) -> RetryScope {
        RetryScope(Arc::new(State { allowed, gave_up: AtomicBool::new(false) }))
    }

    /// The scope that is being polled on this thread, if there is one.
    #[must_use]
    pub fn current() -> Option<RetryScope> {
        CURRENT.with_borrow(Option::clone)
    }

    /// Whether calls inside may be tried more than once.
    #[must_use]
    pub fn allows_retries(&self) -> bool {
        self.0.allowed
    }

    /// A call inside failed after what retries it is worth, or was asked not to be tried again: the same
    /// goes for the call that this is the scope of.
    pub fn give_up(&self) {
        self.0.gave_up.store(true, Ordering::Relaxed);
    }

    /// Whether a call inside was given up. It may have been one that the answer did not need.
    #[must_use]
    pub fn gave_up(&self) -> bool {
        self.0.gave_up.load(Ordering::Relaxed)
    }

    /// Runs `body` with this as the current scope, on its first attempt, and puts back what was there, also
    /// when `body` panics.
    pub fn enter<R>(&self, body: impl FnOnce() -> R) -> R {
        let _entered =
            Entered { scope: CURRENT.replace(Some(self.clone())), _previous: Numbered::entered(0) };
        body()
    }

    /// Polls `future` with this as the current scope.
    pub fn scope<F: Future>(&self, future: F) -> Scoped<F> {
        Scoped { future: Some(future), scope: self.clone() }
    }
}

/// How many attempts came before the one that is being polled or begun on this thread: 0 on the first.
#[must_use]
pub fn previous_attempts() -> u32 {
    PREVIOUS.get()
}

/// While this is kept, a scope is the current one.
struct Entered {
    scope: Option<RetryScope>,
    _previous: Numbered,
}

impl Drop for Entered {
    fn drop(&mut self) {
        // Dropped after the borrow is over: what it held is anybody's.
        let _left = CURRENT.replace(self.scope.take());
    }
}

/// While this is kept, so many attempts came before.
#[must_use]
pub(crate) struct Numbered {
    former: u32,
}

impl Numbered {
    #[inline]
    pub(crate) fn entered(previous: u32) -> Numbered {
        Numbered { former: PREVIOUS.replace(previous) }
    }

    /// The same on a retry; the first attempt has no need of it.
    #[inline(always)]
    pub(crate) fn on_retry(previous: u32) -> Option<Numbered> {
        (previous > 0).then(|| Numbered::entered(previous))
    }
}

impl Drop for Numbered {
    fn drop(&mut self) {
        PREVIOUS.set(self.former);
    }
}

pin_project! {
    /// The future of [`RetryScope::scope`]. Dropping it drops what is inside.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Scoped<F> {
        // Dropped as soon as there is an output: what it holds is free then (T7).
        #[pin]
        future: Option<F>,
        scope: RetryScope,
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Pending };
        let polled = this.scope.enter(|| future.poll(cx));
        if polled.is_ready() {
            this.future.set(None);
        }
        polled
    }
}

/// Begins an attempt that so many came before.
pub(super) fn begun<R>(previous: u32, begin: impl FnOnce() -> R) -> R {
    let _numbered = Numbered::on_retry(previous);
    begin()
}

/// Polls `future` as an attempt that so many came before.
pub(super) async fn numbered<F: Future>(previous: u32, future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        let _numbered = Numbered::on_retry(previous);
        future.as_mut().poll(cx)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_comes_back_after_a_panic() {
        let outer = RetryScope::single();
        outer.enter(|| {
            let _numbered = Numbered::entered(2);
            let inner = RetryScope::open();
            let panicked = std::panic::catch_unwind(|| {
                inner.enter(|| {
                    assert_eq!(previous_attempts(), 0);
                    panic!("on purpose")
                })
            });
            assert!(panicked.is_err());
            assert!(RetryScope::current().is_some_and(|scope| !scope.allows_retries()));
            assert_eq!(previous_attempts(), 2);
        });
        assert!(RetryScope::current().is_none());
        assert_eq!(previous_attempts(), 0);
    }
}
