//! The result that a call keeps while it waits.

use std::fmt;
use std::task::Context;

use super::draining::Draining;

/// The result of the latest attempt, kept while the call waits for another attempt or pauses.
#[doc(hidden)]
pub struct Kept<T, E> {
    result: Option<Result<T, E>>,
    draining: Draining,
}

impl<T, E> Kept<T, E> {
    /// No result.
    pub(crate) const NONE: Kept<T, E> = Kept { result: None, draining: Draining::NEW };

    pub(super) fn put(&mut self, result: Result<T, E>) {
        self.result = Some(result);
    }

    pub(super) fn take(&mut self) -> Option<Result<T, E>> {
        self.result.take()
    }

    /// Returns `true` if there is a result and the shutdown around the call is draining. Registers
    /// the waker of `cx` otherwise.
    pub(super) fn is_cut_short(&mut self, cx: &mut Context<'_>) -> bool {
        self.result.is_some() && self.draining.poll(cx).is_ready()
    }
}

impl<T, E> fmt::Debug for Kept<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.result.is_some() { "a result" } else { "no result" })
    }
}
