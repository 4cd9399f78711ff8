//! The ambient context of a request, for the calls that are made to serve it.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use http::HeaderMap;
use pin_project_lite::pin_project;
use resilience_core::retry::RetryScope;

use super::attempt;
use super::trace::Trace;

thread_local! {
    static CURRENT: RefCell<Option<Context>> = const { RefCell::new(None) };
}

/// The context of a request, for the calls that are made to serve it: its trace, its attempt
/// number, and the permission to retry. Clones share the permission to retry.
///
/// [`ExtractContextLayer`](super::ExtractContextLayer) sets it while the handler is polled, and
/// [`InjectContextLayer`](super::InjectContextLayer) reads it. Neither the context nor the deadline
/// crosses `tokio::spawn`: pass both on.
///
/// ```
/// use resilience_core::{Deadline, timeout::within};
/// use resilience_http::propagate::Context;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let work = async {};
/// let context = Context::current().unwrap_or_default();
/// let deadline = Deadline::current();
/// tokio::spawn(async move {
///     match deadline {
///         Some(deadline) => within(deadline, context.scope(work)).await.is_ok(),
///         None => { context.scope(work).await; true }
///     }
/// });
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Context {
    trace: Arc<Trace>,
    previous: u32,
    retries: RetryScope,
}

impl Context {
    /// Reads the context from the headers of a request.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Context {
        let retries = if attempt::is_part_of_a_retry(headers) {
            RetryScope::single()
        } else {
            RetryScope::open()
        };
        let previous = attempt::previous(headers);
        Context { trace: Arc::new(Trace::read(headers)), previous, retries }
    }

    /// Returns the context of the request whose handler is being polled on this thread, if there is
    /// one.
    #[must_use]
    pub fn current() -> Option<Context> {
        CURRENT.with_borrow(Option::clone)
    }

    /// Returns the position of the request in its trace.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Returns the number of previous attempts at the request, as its [header](attempt::previous)
    /// claims: 0 on the first. For logs, and for a handler that must check if the work is already
    /// done. The value comes from the caller and is not verified.
    #[must_use]
    pub const fn previous_attempts(&self) -> u32 {
        self.previous
    }

    /// Returns the scope that permits retries of calls made for the request, and records if one of
    /// them gave up.
    #[must_use]
    pub const fn retries(&self) -> &RetryScope {
        &self.retries
    }

    /// Runs `body` with this context as the current one, and restores the previous one after that,
    /// also if `body` panics.
    pub fn enter<R>(&self, body: impl FnOnce() -> R) -> R {
        let _restore = Restore(CURRENT.replace(Some(self.clone())));
        self.retries.enter(body)
    }

    /// Returns a future that polls `future` with this context as the current one.
    pub fn scope<F: Future>(self, future: F) -> WithContext<F> {
        WithContext { future: Some(future), context: self }
    }
}

/// Returns the context of a request without headers: a first attempt, without a trace.
impl Default for Context {
    fn default() -> Context {
        Context { trace: Arc::default(), previous: 0, retries: RetryScope::open() }
    }
}

/// Restores the previous context when dropped.
struct Restore(Option<Context>);

impl Drop for Restore {
    fn drop(&mut self) {
        // `replace` ends the borrow before the old context is dropped here.
        let _replaced = CURRENT.replace(self.0.take());
    }
}

pin_project! {
    /// The future of [`Context::scope`]. Dropping it drops the future inside.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct WithContext<F> {
        // `None` after completion, so that everything it holds is dropped at once.
        #[pin]
        future: Option<F>,
        context: Context,
    }
}

impl<F: Future> Future for WithContext<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Pending };
        let polled = this.context.enter(|| future.poll(cx));
        if polled.is_ready() {
            this.future.set(None);
        }
        polled
    }
}
