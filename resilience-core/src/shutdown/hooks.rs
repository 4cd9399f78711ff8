//! What is done at the end.

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
/// What became of it, unless it was too late.
type Ended = Result<Result<(), String>, Rejection>;
type Start = Box<dyn FnOnce() -> Work + Send>;

/// What a hook may end in: nothing, or a result whose error can be shown.
pub trait HookOutput {
    /// What went wrong, if something did.
    ///
    /// # Errors
    /// In words.
    fn in_words(self) -> Result<(), String>;
}

impl HookOutput for () {
    fn in_words(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: fmt::Display> HookOutput for Result<(), E> {
    fn in_words(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}

/// One that has not run.
pub(super) struct Hook {
    pub(super) name: Name,
    /// Its own.
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
            Box::pin(async move { work.await.in_words() })
        };
        Hook { name, bound, start: Box::new(start) }
    }

    /// Within this time.
    pub(super) fn start(self, bound: Duration) -> Running {
        let deadline = Deadline::after(clock::now(), bound);
        let start = self.start;
        // It begins inside of the first poll, where a panic is caught and the deadline is known.
        Running(Some(Box::pin(within(deadline, async move { start().await }))))
    }
}

/// One that runs.
pub(super) struct Running(Option<Pin<Box<dyn Future<Output = Ended> + Send>>>);

impl Running {
    /// How it ended. Unwind safe: what panicked is dropped and never looked at again.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<HookEnd> {
        let Some(work) = &mut self.0 else { return Poll::Pending };
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(Ok(Ok(())))) => Poll::Ready(HookEnd::Done),
            Ok(Poll::Ready(Ok(Err(error)))) => Poll::Ready(HookEnd::Failed(error)),
            Ok(Poll::Ready(Err(_late))) => Poll::Ready(HookEnd::OutOfTime),
            Err(panic) => {
                let words = said(&*panic);
                contain(|| drop(panic));
                Poll::Ready(HookEnd::Panicked(words))
            }
        }
    }
}

/// Runs code of a user whose panic must not stop what comes after it: a destructor, a waker.
///
/// Unwind safe: the code owns all that it touches.
pub(super) fn contain(run: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(run)) {
        // A payload may panic as well while it is dropped.
        std::mem::forget(payload);
    }
}

/// What a panic said, if it was said in words.
fn said(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().map(ToString::to_string);
    words.or_else(|| panic.downcast_ref().cloned()).unwrap_or_else(|| "not in words".to_owned())
}
