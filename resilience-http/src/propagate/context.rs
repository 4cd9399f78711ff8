//! What the calls made for a request need to know of it.

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

/// What the calls made for a request need to know of it: where it stands in its trace, which attempt it is, and
/// whether they may be tried again. Clones are of the same request.
///
/// [`ExtractContextLayer`](super::ExtractContextLayer) has it in place while the handler is polled, and
/// [`InjectContextLayer`](super::InjectContextLayer) reads it. It does not cross `tokio::spawn`, nor does the
/// deadline: take both along.
///
/// ```
/// use resilience_core::{Deadline, timeout::within};
/// use resilience_http::propagate::Context;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let work = async {};
/// let (context, deadline) = (Context::current().unwrap_or_default(), Deadline::current());
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
    /// What these headers of a request say.
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

    /// That of the request whose handler is being polled on this thread, if there is one.
    #[must_use]
    pub fn current() -> Option<Context> {
        CURRENT.with_borrow(Option::clone)
    }

    /// Where it stands in its trace.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// How many attempts at it came before, by what [it says](attempt::previous): 0 on the first. For a handler that
    /// has to know whether something may have been done already, and for logs; a stranger may say anything.
    #[must_use]
    pub const fn previous_attempts(&self) -> u32 {
        self.previous
    }

    /// Whether calls for it may be tried again, and whether one was given up.
    #[must_use]
    pub const fn retries(&self) -> &RetryScope {
        &self.retries
    }

    /// Runs `body` with this as the current context, and puts back what was there, also when `body` panics.
    pub fn enter<R>(&self, body: impl FnOnce() -> R) -> R {
        let _entered = Entered(CURRENT.replace(Some(self.clone())));
        self.retries.enter(body)
    }

    /// Polls `future` with this as the current context.
    pub fn scope<F: Future>(self, future: F) -> Scoped<F> {
        Scoped { future: Some(future), context: self }
    }
}

/// A request that came without headers: the first attempt, and in no trace.
impl Default for Context {
    fn default() -> Context {
        Context { trace: Arc::default(), previous: 0, retries: RetryScope::open() }
    }
}

/// While this is kept, there is another context.
struct Entered(Option<Context>);

impl Drop for Entered {
    fn drop(&mut self) {
        // Dropped after the borrow is over.
        let _left = CURRENT.replace(self.0.take());
    }
}

pin_project! {
    /// The future of [`Context::scope`]. Dropping it drops what is inside.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Scoped<F> {
        // Dropped as soon as there is an output: what it holds is free then (R14).
        #[pin]
        future: Option<F>,
        context: Context,
    }
}

impl<F: Future> Future for Scoped<F> {
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
