//! Hooks that run at the end of a shutdown.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::report::HookEnd;
use crate::clock;
use crate::deadline::Deadline;
use crate::name::Name;
use crate::rejection::Rejection;
use crate::timeout::within;

type Work = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
/// Result of a hook; the outer error is the end of its time.
type Ended = Result<Result<(), String>, Rejection>;
type Start = Box<dyn FnOnce() -> Work + Send>;

/// Output of a hook: `()`, or a result with an error that implements `Display`.
pub trait HookOutput {
    /// Converts the output to a result.
    ///
    /// # Errors
    /// The text of the error.
    fn into_result(self) -> Result<(), String>;
}

impl HookOutput for () {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: fmt::Display> HookOutput for Result<(), E> {
    fn into_result(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}

/// A hook that has not run.
pub(super) struct Hook {
    pub(super) name: Name,
    /// The hook's own bound; `None` for a share of the common one.
    pub(super) bound: Option<Duration>,
    start: Start,
}

impl Hook {
    pub(super) fn new<F, Fut>(name: Name, bound: Option<Duration>, hook: F) -> Hook
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output: HookOutput> + Send + 'static,
    {
        let start = move || -> Work {
            let work = hook();
            Box::pin(async move { work.await.into_result() })
        };
        Hook { name, bound, start: Box::new(start) }
    }

    /// Starts the hook with this bound.
    pub(super) fn start(self, bound: Duration) -> Running {
        let deadline = Deadline::after(clock::now(), bound);
        let start = self.start;
        // Called inside of the first poll, where a panic is caught and the deadline is set.
        Running(Some(Box::pin(within(deadline, async move { start().await }))))
    }
}

/// A hook that runs.
pub(super) struct Running(Option<Pin<Box<dyn Future<Output = Ended> + Send>>>);

impl Running {
    /// Polls the hook. Unwind safe: a future that panicked is dropped and never polled again.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<HookEnd> {
        let Some(work) = &mut self.0 else { return Poll::Pending };
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(Ok(Ok(())))) => Poll::Ready(HookEnd::Done),
            Ok(Poll::Ready(Ok(Err(error)))) => Poll::Ready(HookEnd::Failed(error)),
            Ok(Poll::Ready(Err(_late))) => Poll::Ready(HookEnd::OutOfTime),
            Err(panic) => {
                let words = panic_text(&*panic);
                contain(|| drop(panic));
                Poll::Ready(HookEnd::Panicked(words))
            }
        }
    }
}

/// Runs user code, such as a destructor or a waker, and contains its panic. Unwind safe: the code
/// owns its data.
pub(super) fn contain(run: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(run)) {
        // The destructor of the payload may panic as well.
        std::mem::forget(payload);
    }
}

/// Returns the text of a panic.
fn panic_text(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().map(ToString::to_string);
    words.or_else(|| panic.downcast_ref().cloned()).unwrap_or_else(|| "not in words".to_owned())
}
