//! What became of a call, in the words that every policy shares.
//!
//! A retry, a breaker, a budget and an acknowledgement that each keep their own list of "errors that
//! count" end up disagreeing, and the disagreement is an outage: in the system this crate was made
//! for, "no data yet" was an error, the error was retried, and one evening became 7,139 runs. So
//! there is one vocabulary, [`Outcome`], and one place that speaks it, [`Classify`].
//!
//! ```
//! use resilience_core::{Classify, Outcome};
//!
//! struct Page { status: u16 }
//!
//! let by_status = |result: Result<&Page, &std::io::Error>| match result {
//!     Ok(page) if page.status == 503 => Outcome::transient(),
//!     Ok(_) => Outcome::Success,
//!     Err(_) => Outcome::transient(),
//! };
//! assert_eq!(by_status.classify(Ok(&Page { status: 503 })), Outcome::transient());
//! ```

use std::convert::Infallible;
use std::io;
use std::time::Duration;

/// What a server (or a layer below) said about trying again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "nothing, a time, or never: there is no fourth")]
pub enum RetryHint {
    /// Nothing was said.
    #[default]
    None,
    /// Not before this long after the outcome was observed.
    After(Duration),
    /// Do not try again (gRPC's negative pushback, for one).
    Never,
}

impl From<Option<Duration>> for RetryHint {
    fn from(after: Option<Duration>) -> RetryHint {
        after.map_or(RetryHint::None, RetryHint::After)
    }
}

/// How one attempt, or one call, ended.
///
/// *Not ready* is not *failed*: an upstream whose data is not there yet, an open circuit and a full
/// queue say nothing about the health of what they guard, must not be counted as failures, and must
/// not be answered with more attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It worked.
    Success,
    /// It failed in a way that may pass: a connection refused, a 503.
    Transient(RetryHint),
    /// No answer came in time. A failure that may pass, and the dearest kind: somebody may still be
    /// working on it.
    TimedOut,
    /// The other side asked for fewer calls: a 429, a quota.
    Throttled(RetryHint),
    /// It failed and will fail again: a 404, a bug.
    Permanent,
    /// It did not run, for want of something that is expected to come.
    NotReady(RetryHint),
    /// Nobody waited for the end.
    Abandoned,
}

impl Outcome {
    /// A transient failure without a hint.
    #[must_use]
    pub const fn transient() -> Outcome {
        Outcome::Transient(RetryHint::None)
    }

    /// A throttled call whose server named a time.
    #[must_use]
    pub const fn throttled(after: Duration) -> Outcome {
        Outcome::Throttled(RetryHint::After(after))
    }

    /// Not ready, expected to be after this long.
    #[must_use]
    pub const fn not_ready(after: Duration) -> Outcome {
        Outcome::NotReady(RetryHint::After(after))
    }

    /// The kind of failure that may pass, if it is one.
    #[must_use]
    pub const fn failure(self) -> Option<FailureClass> {
        match self {
            Outcome::Transient(_) => Some(FailureClass::Transient),
            Outcome::TimedOut => Some(FailureClass::TimedOut),
            Outcome::Throttled(_) => Some(FailureClass::Throttled),
            _ => None,
        }
    }

    /// What was said about trying again.
    #[must_use]
    pub const fn hint(self) -> RetryHint {
        match self {
            Outcome::Transient(hint) | Outcome::Throttled(hint) | Outcome::NotReady(hint) => hint,
            _ => RetryHint::None,
        }
    }
}

/// The kinds of failure that may pass. They differ in what a retry of them costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a budget must price every kind there is")]
pub enum FailureClass {
    /// See [`Outcome::Transient`].
    Transient,
    /// See [`Outcome::TimedOut`].
    TimedOut,
    /// See [`Outcome::Throttled`].
    Throttled,
}

/// Reads an [`Outcome`] off a result.
///
/// Closures over `Result<&T, &E>` are classifiers, and so is any type that implements this.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not classify `Result<&{T}, &{E}>`",
    label = "not a classifier of these results",
    note = "a classifier is a closure `|result: Result<&{T}, &{E}>| -> Outcome {{ .. }}`, or a type that implements `Classify<{T}, {E}>`",
    note = "the default classifier, `Standard`, asks the error: implement `AsOutcome` for `{E}`, or give the policy a closure with `.classify(..)`"
)]
pub trait Classify<T, E> {
    /// How the call that ended in `result` ended.
    fn classify(&self, result: Result<&T, &E>) -> Outcome;

    /// Whether the request may have had an effect, though it failed. Only what certainly had none is sent
    /// again for a request that [may not run twice](crate::retry::Replay::may_run_twice).
    fn may_have_run(&self, result: Result<&T, &E>) -> bool {
        let _ = result;
        true
    }
}

impl<F, T, E> Classify<T, E> for F
where
    F: Fn(Result<&T, &E>) -> Outcome,
{
    fn classify(&self, result: Result<&T, &E>) -> Outcome {
        self(result)
    }
}

/// An error that knows what it means for trying again.
pub trait AsOutcome {
    /// The outcome of a call that ended in this error.
    fn as_outcome(&self) -> Outcome;
}

/// The default classifier: `Ok` is a success, and an error says for itself ([`AsOutcome`]).
///
/// An error type that says nothing does not compile. Guessing "transient" is how a pipeline comes to
/// retry a missing column for six hours.
#[derive(Debug, Clone, Copy, Default)]
pub struct Standard;

impl<T, E: AsOutcome> Classify<T, E> for Standard {
    fn classify(&self, result: Result<&T, &E>) -> Outcome {
        result.map_or_else(AsOutcome::as_outcome, |_| Outcome::Success)
    }
}

/// Every error is a transient failure. For operations known to be safe to repeat, whose errors are
/// all worth it; ask for it by name.
#[derive(Debug, Clone, Copy, Default)]
pub struct AnyError;

impl<T, E> Classify<T, E> for AnyError {
    fn classify(&self, result: Result<&T, &E>) -> Outcome {
        result.map_or(Outcome::transient(), |_| Outcome::Success)
    }
}

impl AsOutcome for Infallible {
    fn as_outcome(&self) -> Outcome {
        match *self {}
    }
}

/// The connection's errors are transient, running out of time is [`Outcome::TimedOut`], and
/// everything else (not found, permission denied, invalid data …) is permanent.
impl AsOutcome for io::Error {
    fn as_outcome(&self) -> Outcome {
        use io::ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable,
            Interrupted, NetworkDown, NetworkUnreachable, NotConnected, TimedOut, UnexpectedEof,
            WouldBlock,
        };
        match self.kind() {
            TimedOut => Outcome::TimedOut,
            BrokenPipe | ConnectionAborted | ConnectionRefused | ConnectionReset
            | HostUnreachable | Interrupted | NetworkDown | NetworkUnreachable | NotConnected
            | UnexpectedEof | WouldBlock => Outcome::transient(),
            _ => Outcome::Permanent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_that_may_pass_have_a_class() {
        assert_eq!(Outcome::transient().failure(), Some(FailureClass::Transient));
        assert_eq!(Outcome::TimedOut.failure(), Some(FailureClass::TimedOut));
        assert_eq!(Outcome::throttled(Duration::ZERO).failure(), Some(FailureClass::Throttled));
        for other in [
            Outcome::Success,
            Outcome::Permanent,
            Outcome::Abandoned,
            Outcome::not_ready(Duration::ZERO),
        ] {
            assert_eq!(other.failure(), None, "{other:?}");
        }
    }

    #[test]
    fn the_standard_classifier_asks_the_error() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let missing = io::Error::from(io::ErrorKind::NotFound);
        let late = io::Error::from(io::ErrorKind::TimedOut);
        let classify = |error| Standard.classify(Result::<&(), _>::Err(error));
        assert_eq!(classify(&refused), Outcome::transient());
        assert_eq!(classify(&missing), Outcome::Permanent);
        assert_eq!(classify(&late), Outcome::TimedOut);
        assert_eq!(Classify::<_, io::Error>::classify(&Standard, Ok(&())), Outcome::Success);
    }
}
