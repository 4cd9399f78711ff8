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
use std::error::Error as StdError;
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
    /// It failed and will fail again: a 404, a bug. Only code that recognises the failure returns this.
    Permanent,
    /// A failure that no code recognised. A circuit counts it as a failure, a budget prices it as
    /// [transient](Outcome::Transient), and the request may have run. A retry repeats it unless the
    /// policy was built with `RetryPolicyBuilder::without_unknown_retries`.
    Unknown,
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

    /// Returns the price class of a failure that may pass, and `None` for everything else. An
    /// [unknown](Outcome::Unknown) failure has the class of a transient one.
    #[must_use]
    pub const fn failure(self) -> Option<FailureClass> {
        match self {
            Outcome::Transient(_) | Outcome::Unknown => Some(FailureClass::Transient),
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
    /// See [`Outcome::Transient`] and [`Outcome::Unknown`].
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
    note = "the default classifier, `Standard`, reads the outcome off the error: implement `AsOutcome` for your own error type (inside of a `resilience_core::Error<E>` that is `E`), or give the policy a closure with `.classify(..)`"
)]
pub trait Classify<T, E> {
    /// How the call that ended in `result` ended.
    fn classify(&self, result: Result<&T, &E>) -> Outcome;

    /// Whether the request may have had an effect, though it failed. Only what certainly had none is sent
    /// again for a request that may not run twice (`Replay::may_run_twice`).
    fn may_have_run(&self, result: Result<&T, &E>) -> bool {
        let _ = result;
        true
    }

    /// Returns `error` as a standard error, for the text of events; `None`, the default, leaves the text out.
    fn as_error<'e>(&self, error: &'e E) -> Option<&'e (dyn StdError + 'static)> {
        let _ = error;
        None
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
///
/// ```
/// use std::fmt;
/// use resilience_core::{AsOutcome, Outcome};
///
/// #[derive(Debug)]
/// enum OddsError { Unavailable, NoSuchGame }
/// # impl fmt::Display for OddsError {
/// #     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{self:?}") }
/// # }
/// impl std::error::Error for OddsError {}
///
/// impl AsOutcome for OddsError {
///     fn as_outcome(&self) -> Outcome {
///         match self {
///             OddsError::Unavailable => Outcome::transient(),
///             OddsError::NoSuchGame => Outcome::Permanent,
///         }
///     }
///     fn as_error(&self) -> Option<&(dyn std::error::Error + 'static)> { Some(self) }
/// }
/// # assert_eq!(OddsError::NoSuchGame.as_outcome(), Outcome::Permanent);
/// ```
/// Implement it for the service's own error type: `Error<E>` has it where `E` does.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not know which `Outcome` it is",
    label = "the default classifier, `Standard`, reads the outcome off this error",
    note = "implement `AsOutcome` for `{Self}`: which of its values may pass, and which will fail again",
    note = "or give the policy a closure with `.classify(..)`; `resilience_core::AnyError` calls every error transient"
)]
pub trait AsOutcome {
    /// Returns the outcome of a call that ended in this error. An error that is not recognised is
    /// [`Outcome::Unknown`], and not [`Outcome::Permanent`].
    fn as_outcome(&self) -> Outcome;

    /// Returns `true`, the default, if the request may have had an effect; `false` only if it certainly had
    /// none.
    fn may_have_run(&self) -> bool {
        true
    }

    /// Returns this as a standard error, for the text of events; `None`, the default, leaves the text out.
    fn as_error(&self) -> Option<&(dyn StdError + 'static)> {
        None
    }
}

/// The default classifier: `Ok` is a success, and the outcome of an error is its own ([`AsOutcome`]).
///
/// An error type without an outcome does not compile. A boxed error whose type is not recognised has
/// [`Outcome::Unknown`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Standard;

impl<T, E: AsOutcome> Classify<T, E> for Standard {
    fn classify(&self, result: Result<&T, &E>) -> Outcome {
        result.map_or_else(AsOutcome::as_outcome, |_| Outcome::Success)
    }

    fn may_have_run(&self, result: Result<&T, &E>) -> bool {
        result.map_or_else(AsOutcome::may_have_run, |_| true)
    }

    fn as_error<'e>(&self, error: &'e E) -> Option<&'e (dyn StdError + 'static)> {
        error.as_error()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_that_may_pass_have_a_class() {
        assert_eq!(Outcome::transient().failure(), Some(FailureClass::Transient));
        assert_eq!(Outcome::Unknown.failure(), Some(FailureClass::Transient));
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
}
