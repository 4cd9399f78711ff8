//! The traits that the parts of a call implement. [`sequence`](super::sequence) has the order of
//! their methods.

use std::task::{Context, Poll};
use std::time::Duration;

use super::kept::Kept;
use super::timer::Timer;
use crate::clock::Now;
use crate::deadline::Deadline;
use crate::rejection::{Rejection, RejectionKind};

/// A part that lets a call or an attempt pass: a bulkhead, a rate limit, a circuit breaker.
///
/// `T` and `E` are the types of the call's result.
pub trait Part<Req, T, E> {
    /// The state of one passage. The default holds nothing. It stays in place from the beginning of
    /// the call to its end, and is [left](Part::leave) or [settled](Part::settle) before it is
    /// dropped.
    type CallState: Default;

    /// Waits until the call may pass. Takes nothing before the first poll. Not polled again after
    /// it passed.
    #[inline(always)]
    fn enter(
        &self,
        _: &mut Self::CallState,
        _: &Req,
        _: &mut Now,
        _: &mut Context<'_>,
    ) -> Poll<Result<(), Rejection>> {
        Poll::Ready(Ok(()))
    }

    /// Rejects a call that cannot pass, before the service below is polled for readiness.
    ///
    /// # Errors
    /// The rejection.
    #[inline]
    fn check(&self, _: &mut Self::CallState, _: &Req, _: &mut Now) -> Result<(), Rejection> {
        Ok(())
    }

    /// Makes the final decision, when the service below is ready or has failed to become ready.
    ///
    /// # Errors
    /// The rejection.
    #[inline]
    fn admit(&self, _: &mut Self::CallState, _: &mut Now) -> Result<(), Rejection> {
        Ok(())
    }

    /// Notes that the service below takes the request now.
    #[inline(always)]
    fn sent(&self, _: &mut Self::CallState) {}

    /// Records the result of the attempt (for a bulkhead: of the call), gives back what the state
    /// holds, and leaves the default state.
    fn settle(&self, state: &mut Self::CallState, result: Result<&T, &E>, now: &mut Now);

    /// Gives back what the state holds, without a result, and leaves the default state: an attempt
    /// that was sent is abandoned, one that was not sent never happened.
    fn leave(&self, state: &mut Self::CallState);
}

/// A part that can hold a permit for longer than the future of the call, for example for the body
/// of a response.
#[cfg(feature = "profiles")]
pub trait Carry<Req, T, E>: Part<Req, T, E> {
    /// The admission or permit of the rest of the call, given back when it is dropped.
    type Carried;

    /// Takes the admission or permit of the rest of the call out of the state. `None` if there is
    /// none, or if `result` already decides how the call counts.
    fn carry(&self, state: &mut Self::CallState, result: &T) -> Option<Self::Carried>;
}

/// The part that decides about further attempts.
pub trait RetryPart<Req, T, E> {
    /// The progress of one call. The default is a call that has not begun. Dropped, a retry that
    /// was granted and not sent gives its price back.
    type CallState: Default;
    /// The timer of the waits between attempts.
    type Timer: Timer;

    /// Begins the first attempt.
    fn start(&self, state: &mut Self::CallState, request: &Req, now: &mut Now);

    /// Notes that the service below takes `request` now. Returns the copy for another attempt, if
    /// there may be one.
    fn sent(&self, state: &mut Self::CallState, request: &Req) -> Option<Req>;

    /// Decides what follows an attempt. `copy` is the request of the next attempt, if there can be
    /// one.
    fn ended(
        &self,
        state: &mut Self::CallState,
        end: AttemptEnd<'_, T, E>,
        copy: Option<&Req>,
        now: &mut Now,
    ) -> AfterAttempt;

    /// Returns the attempts before the one under way.
    fn before(&self, state: &Self::CallState) -> AttemptsBefore;

    /// Returns the place of a result that is kept while the call waits: the call returns it after a
    /// pause, or if the wait is cut short. `None` before the first failure.
    fn kept<'s>(&self, state: &'s mut Self::CallState) -> Option<&'s mut Kept<T, E>>;

    /// Gives up the retry that the call waits for, because the process shuts down. Its price goes
    /// back to the budget.
    fn cut_short(&self, state: &mut Self::CallState);
}

/// The end of an attempt.
#[derive(Debug)]
pub enum AttemptEnd<'a, T, E> {
    /// A part rejected it before the service below was polled or called.
    Rejected(&'a Rejection),
    /// The service below failed to become ready, or was not ready in time.
    NotReady(&'a E),
    /// The service below took the request, and the attempt ended in this result.
    Returned(Result<&'a T, &'a E>),
}

/// The decision after an attempt.
#[derive(Debug, Clone, Copy)]
pub enum AfterAttempt {
    /// The call returns the result.
    Done,
    /// Another attempt begins after this wait.
    Again(Duration),
    /// The call returns the result after this pause.
    Pause(Duration),
}

/// The attempts of a call before the one under way.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct AttemptsBefore {
    /// The number of attempts.
    pub count: u32,
    /// `true` if one of them may have had an effect.
    pub may_have_run: bool,
}

impl AttemptsBefore {
    /// The first attempt is under way.
    pub(crate) const NONE: AttemptsBefore = AttemptsBefore { count: 0, may_have_run: false };
}

/// A limit on the time of a call or an attempt.
pub trait TimeLimit {
    /// The timer that enforces the limit.
    type Timer: Timer;

    /// Returns the deadline of a call or an attempt that begins now. `None` without a limit.
    fn due(&self, now: &mut Now) -> Option<Deadline>;

    /// Returns the limit in nanoseconds. `None` without a limit.
    fn limit_nanos(&self) -> Option<u64>;

    /// Returns the rejection of a call that has run out of time, and notifies the listener.
    /// `may_have_run` is that of the rejection ([`Rejection::may_have_run`]).
    fn reject(&self, kind: RejectionKind, may_have_run: bool) -> Rejection;
}
