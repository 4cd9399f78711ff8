//! The outcome of a call, in one vocabulary for all policies.
//!
//! A retry, a breaker, a budget and an acknowledgement that each keep a list of "errors that count"
//! end up disagreeing, and the disagreement is an outage: in the system this crate was made for,
//! "no data yet" was an error, the error was retried, and one evening became 7,139 runs.
//! [`Outcome`] is therefore the only vocabulary, and [`Classify`] the only source of it.
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

/// The advice of a server, or of a layer below, on another attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "nothing, a time, or never: there is no fourth")]
pub enum RetryHint {
    /// No advice.
    #[default]
    None,
    /// No attempt before this time has passed since the outcome was observed.
    After(Duration),
    /// No other attempt at all, such as gRPC's negative pushback.
    Never,
}

impl From<Option<Duration>> for RetryHint {
    fn from(after: Option<Duration>) -> RetryHint {
        after.map_or(RetryHint::None, RetryHint::After)
    }
}

/// The end of an attempt or a call.
///
/// *Not ready* is not *failed*: an upstream without data yet, an open circuit and a full queue
/// prove nothing about the health of the service behind them. Policies neither count them as
/// failures nor repeat them at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// A success.
    Success,
    /// A failure that may pass: a connection refused, a 503.
    Transient(RetryHint),
    /// No response in time. The dearest failure that may pass: the server may still work on the
    /// request.
    TimedOut,
    /// A request of the other side for fewer calls: a 429, a quota.
    Throttled(RetryHint),
    /// A failure that will happen again: a 404, a bug. Only code that recognises the failure
    /// returns this.
    Permanent,
    /// A failure that no code recognised. A circuit counts it as a failure, a budget prices it as
    /// [transient](Outcome::Transient), and the request may have run. A retry repeats it unless the
    /// policy was built with `RetryPolicyBuilder::without_unknown_retries`.
    Unknown,
    /// The call did not run, because something that it needs is still to come.
    NotReady(RetryHint),
    /// The caller left before the end.
    Abandoned,
}

impl Outcome {
    /// Returns a transient failure without a hint.
    #[must_use]
    pub const fn transient() -> Outcome {
        Outcome::Transient(RetryHint::None)
    }

    /// Returns the outcome of a throttled call, with the time that the server named.
    #[must_use]
    pub const fn throttled(after: Duration) -> Outcome {
        Outcome::Throttled(RetryHint::After(after))
    }

    /// Returns *not ready*, with the time after which the call is expected to be possible.
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

    /// Returns the hint; [`RetryHint::None`] for the outcomes that have none.
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

/// Reads the [`Outcome`] of a result. Closures over `Result<&T, &E>` implement this.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not classify `Result<&{T}, &{E}>`",
    label = "not a classifier of these results",
    note = "a classifier is a closure `|result: Result<&{T}, &{E}>| -> Outcome {{ .. }}`, or a type that implements `Classify<{T}, {E}>`",
    note = "the default classifier, `Standard`, reads the outcome off the error: implement `AsOutcome` for your own error type (inside of a `resilience_core::Error<E>` that is `E`), or give the policy a closure with `.classify(..)`"
)]
pub trait Classify<T, E> {
    /// Returns the outcome of `result`.
    fn classify(&self, result: Result<&T, &E>) -> Outcome;

    /// Returns `true`, the default, if the request may have had an effect though the call failed. A
    /// request that must not run twice (`Replay::may_run_twice`) is sent again only after `false`.
    fn may_have_run(&self, result: Result<&T, &E>) -> bool {
        let _ = result;
        true
    }

    /// Returns `error` as a standard error, for the text of events; `None`, the default, leaves the
    /// text out.
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

/// An error with an [`Outcome`] of its own.
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

    /// Returns `true`, the default, if the request may have had an effect; `false` only if it
    /// certainly had none.
    fn may_have_run(&self) -> bool {
        true
    }

    /// Returns this as a standard error, for the text of events; `None`, the default, leaves the
    /// text out.
    fn as_error(&self) -> Option<&(dyn StdError + 'static)> {
        None
    }
}

/// The default classifier: `Ok` is a success, and the outcome of an error is its own
/// ([`AsOutcome`]).
///
/// An error type without an outcome does not compile. A boxed error whose type is not recognised
/// has [`Outcome::Unknown`].
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

/// A classifier by which every error is a transient failure. For operations that are safe to
/// repeat, and worth repeating after any error.
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
