//! Retries around a call, so that those of several tiers do not multiply.
//!
//! Three tiers that make three attempts each make 27 of one request, and five make 243. A retry
//! does not know of the others unless it can read that its call is an attempt of another call, and
//! report that it gave up. A [`RetryScope`] holds both. A server opens a scope around each call
//! that it handles, and the retries inside read it, whatever the type of the request:
//!
//! - in a [`single`](RetryScope::single) scope they make one attempt each, since the caller makes
//!   the others;
//! - a retry without attempts or budget left [gives up](RetryScope::give_up), and the server that
//!   opened the scope can forbid its caller to retry.
//!
//! In the other direction, an attempt can read [the number of attempts before
//! it](previous_attempts). A call that succeeds at once reads no scope. A scope is ambient, as a
//! [`Deadline`](crate::Deadline) is, and does not cross `tokio::spawn`: take
//! [`RetryScope::current`] along, and [`scope`](RetryScope::scope) the task's future.
//!
//! ```
//! use resilience_core::retry::{RetryPolicy, RetryScope, retry};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let policy = RetryPolicy::builder().classifier(resilience_core::AnyError).build()?;
//! let mut tries = 0;
//! let scope = RetryScope::open();
//! let _failed = scope.scope(retry(&policy, || { tries += 1; async { Err::<(), _>("down") } })).await;
//! assert_eq!(tries, 3);
//! assert!(scope.gave_up());
//!
//! let scope = RetryScope::single();
//! let _failed = scope.scope(retry(&policy, || { tries += 1; async { Err::<(), _>("down") } })).await;
//! assert_eq!(tries, 4);
//! assert!(!scope.gave_up()); // the caller may retry
//! # Ok(())
//! # }
//! ```

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::call::{self, CallContext};

thread_local! {
    static CURRENT: RefCell<Option<RetryScope>> = const { RefCell::new(None) };
}

/// The permission of the retries inside of one call, and their report. Clones share both.
#[derive(Debug, Clone)]
pub struct RetryScope(Arc<State>);

#[derive(Debug)]
struct State {
    allowed: bool,
    gave_up: AtomicBool,
}

impl RetryScope {
    /// Makes a scope in which retries follow their policies.
    #[must_use]
    pub fn open() -> RetryScope {
        RetryScope::new(true)
    }

    /// Makes a scope in which retries make one attempt each: the call is itself an attempt of its
    /// caller.
    #[must_use]
    pub fn single() -> RetryScope {
        RetryScope::new(false)
    }

    fn new(allowed: bool) -> RetryScope {
        RetryScope(Arc::new(State { allowed, gave_up: AtomicBool::new(false) }))
    }

    /// Returns the scope that is polled on this thread. `None` outside of any.
    #[must_use]
    pub fn current() -> Option<RetryScope> {
        CURRENT.with_borrow(Option::clone)
    }

    /// Returns `true` if calls inside may make more than one attempt.
    #[must_use]
    pub fn allows_retries(&self) -> bool {
        // See docs/decisions/0014-retries-know-about-each-other.md.
        self.0.allowed
    }

    /// Notes that a call inside failed after all its retries, or that its server forbids more: the
    /// call of this scope should not be retried either.
    pub fn give_up(&self) {
        self.0.gave_up.store(true, Ordering::Relaxed);
    }

    /// Returns `true` if a call inside was given up. The response may not have needed that call.
    #[must_use]
    pub fn gave_up(&self) -> bool {
        self.0.gave_up.load(Ordering::Relaxed)
    }

    /// Runs `body` with this as the current scope, as a first attempt. Restores the former scope,
    /// also if `body` panics.
    pub fn enter<R>(&self, body: impl FnOnce() -> R) -> R {
        let first = CallContext::current().with_previous(0).entered();
        let _entered = Entered { scope: CURRENT.replace(Some(self.clone())), _first: first };
        body()
    }

    /// Polls `future` with this as the current scope.
    pub fn scope<F: Future>(&self, future: F) -> Scoped<F> {
        Scoped { future: Some(future), scope: self.clone() }
    }
}

/// Returns the number of attempts before the one that is polled or begun on this thread: 0 on the
/// first.
#[must_use]
pub fn previous_attempts() -> u32 {
    CallContext::current().previous()
}

/// Restores the former scope when it is dropped.
struct Entered {
    scope: Option<RetryScope>,
    _first: call::Entered,
}

impl Drop for Entered {
    fn drop(&mut self) {
        // Dropped after the borrow is over: the drop may run code that reads the scope.
        let _left = CURRENT.replace(self.scope.take());
    }
}

pin_project! {
    /// The future of [`RetryScope::scope`]. Dropping it drops the inner future.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    #[doc(hidden)]
    pub struct Scoped<F> {
        // Dropped with the output, not with this future (R14).
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

/// Makes the number of attempts before this one readable while the result is kept. `None` for the
/// first, where it is 0 already.
fn enter_attempt(previous: u32) -> Option<call::Entered> {
    (previous > 0).then(|| CallContext::current().with_previous(previous).entered())
}

/// Begins an attempt after `previous` others.
pub(super) fn begun<R>(previous: u32, begin: impl FnOnce() -> R) -> R {
    let _attempt = enter_attempt(previous);
    begin()
}

/// Polls `future` as an attempt after `previous` others.
pub(super) async fn numbered<F: Future>(previous: u32, future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        let _attempt = enter_attempt(previous);
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
            let _attempt = enter_attempt(2);
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
