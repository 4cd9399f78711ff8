//! What a stack asks of its parts.
//!
//! A layer owns what it needs, because it cannot know what it stands in. In a stack that would be a
//! handle, a copy of the service and a look at the clock for each part of each call. The parts of a
//! [`Stack`](super::Stack) own nothing: a call has one handle on all of them, knows the time, and keeps
//! for each part no more than what that part has taken (its *seat*).

use std::task::{Context, Poll};
use std::time::Duration;

#[cfg(feature = "profiles")]
use super::lasting::Rest;
use super::layer::Layers;
use super::watch::Timer;
use crate::clock::Now;
use crate::deadline::Deadline;
use crate::rejection::{Rejection, RejectionKind};

/// Lets a call, or an attempt, pass: a bulkhead, a rate limit, a circuit breaker.
///
/// For a call that ends in a `Result<T, E>`.
pub trait Gate<Req, T, E> {
    /// What one passage has taken: nothing, by default. It stays where it is from the call's beginning to
    /// its end, since to move it would be most of what it costs. To be [left](Gate::leave) before it is
    /// dropped.
    type Seat: Default;

    /// What [`poll`](Gate::poll) does if there is nothing to wait for, to refuse or to tell. Whether it was so.
    #[inline]
    fn pass(&self, _: &mut Self::Seat, _: &Req, _: &mut Now) -> bool {
        false
    }

    /// Waits until it is this one's turn. Asks for nothing before the first poll.
    #[inline]
    fn poll(
        &self,
        _: &mut Self::Seat,
        _: &Req,
        _: &mut Now,
        _: &mut Context<'_>,
    ) -> Poll<Result<(), Rejection>> {
        Poll::Ready(Ok(()))
    }

    /// What [`check`](Gate::check) does if it is nothing. Whether it is so.
    #[inline]
    fn is_clear(&self, _: &mut Self::Seat, _: &Req, _: &mut Now) -> bool {
        false
    }

    /// Refuses what would be refused for certain, before the service below is asked whether it is ready.
    ///
    /// # Errors
    /// The refusal.
    #[inline]
    fn check(&self, _: &mut Self::Seat, _: &Req, _: &mut Now) -> Result<(), Rejection> {
        Ok(())
    }

    /// What [`admit`](Gate::admit) does if there is nothing to decide. Whether it was so.
    #[inline]
    fn admit_at_once(&self, _: &mut Self::Seat, _: &mut Now) -> bool {
        false
    }

    /// Decides, when the service below is ready, or has failed to be.
    ///
    /// # Errors
    /// The refusal.
    #[inline]
    fn admit(&self, _: &mut Self::Seat, _: &mut Now) -> Result<(), Rejection> {
        Ok(())
    }

    /// The service below takes the request now.
    #[inline]
    fn sent(&self, _: &mut Self::Seat) {}

    /// It ended so: for a bulkhead that is the whole call, and for the others an attempt. What is held is given
    /// back, and the seat is empty, as if it were [left](Gate::leave).
    #[inline]
    fn settle(&self, _: &mut Self::Seat, _: Result<&T, &E>, _: &mut Now) {}

    /// The call goes on after this result. What it still has to hold then is put into the rest, and is gone from
    /// the seat.
    #[cfg(feature = "profiles")]
    #[inline]
    fn hand_over(&self, _: &mut Self::Seat, _: &T, _: &Rest) {}

    /// Gives back what is still held, and leaves an empty seat: what was not settled was abandoned, what
    /// was not sent was never made.
    #[inline]
    fn leave(&self, _: &mut Self::Seat) {}
}

/// Says whether there is another attempt.
pub trait Again<Req, T, E> {
    /// What one call has done so far: nothing, by default. To be [left](Again::leave) before it is dropped.
    type Course: Default;
    /// What it waits by between attempts.
    type Timer: Timer;

    /// The first attempt.
    fn start(&self, course: &mut Self::Course, request: &Req, now: &mut Now);

    /// The service below takes the request now. A copy of it, if there may be another attempt.
    fn sent(&self, course: &mut Self::Course, request: &Req) -> Option<Req>;

    /// Decides what follows an attempt that ended in `result`. `copy` is the request that another attempt
    /// would send, if there is one.
    fn ended(
        &self,
        course: &mut Self::Course,
        result: Result<&T, &E>,
        copy: Option<&Req>,
        reached: Reached,
        now: &mut Now,
    ) -> Next;

    /// Returns `true` if an attempt that has ended may have had an effect.
    #[inline]
    fn ran_before(&self, _: &Self::Course) -> bool {
        false
    }

    /// What the call ends in if there is no other attempt, while it waits. Kept where it takes no room of calls that do
    /// not wait.
    #[inline]
    fn keep(&self, _: &mut Self::Course, _: Result<T, E>) {}

    /// Whether there is one that is kept.
    #[inline]
    fn keeps(&self, _: &Self::Course) -> bool {
        false
    }

    /// It, not kept any longer.
    #[inline]
    fn kept(&self, _: &mut Self::Course) -> Option<Result<T, E>> {
        None
    }

    /// While it waits for another attempt, or is kept: whether that must not go on. There is no other attempt
    /// then, and what it has cost goes back.
    #[inline]
    fn interrupted(&self, _: &mut Self::Course, _: &mut Context<'_>) -> bool {
        false
    }

    /// How many attempts came before the one under way.
    #[inline]
    fn previous(&self, _: &Self::Course) -> u32 {
        0
    }

    /// The call is over: gives back what a retry that was not sent has cost.
    #[inline]
    fn leave(&self, _: &mut Self::Course) {}
}

/// How far an attempt came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the stages of an attempt")]
pub enum Reached {
    /// A part of the stack rejected it; the service below was not asked for it.
    Nothing,
    /// The service below failed to become ready, or did not in time.
    Readiness,
    /// The service below took the request.
    Service,
}

/// What follows an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "whoever carries it out must know them all")]
pub enum Next {
    /// This was the last.
    Done,
    /// Another, after so long.
    Again(Duration),
    /// This was the last, and the caller is kept for so long.
    Pause(Duration),
}

/// How long something may take.
pub trait TimeLimit {
    /// What ends it.
    type Timer: Timer;

    /// When what begins now must be over, if ever.
    fn due(&self, now: &mut Now) -> Option<Deadline>;

    /// Returns the limit itself in nanoseconds, if there is one.
    fn limit_nanos(&self) -> Option<u64>;

    /// Returns the rejection of a call whose time is over, and notifies the listener. `may_have_run` is its
    /// [`Rejection::may_have_run`].
    fn refuse(&self, kind: RejectionKind, may_have_run: bool) -> Rejection;
}

/// The six parts of a stack, of which any may be [`Absent`](super::Absent).
pub trait Parts<Req, T, E> {
    /// The total deadline.
    type Deadline: TimeLimit;
    /// Bounds calls.
    type Bulkhead: Gate<Req, T, E>;
    /// Makes another attempt.
    type Retry: Again<Req, T, E>;
    /// Paces attempts.
    type RateLimit: Gate<Req, T, E>;
    /// The last decision about an attempt.
    type CircuitBreaker: Gate<Req, T, E>;
    /// The time that one attempt has.
    type AttemptTimeout: TimeLimit;
    /// One for all of them.
    type Timer: Timer;

    /// The parts.
    #[expect(clippy::type_complexity, reason = "a type for each part")]
    fn parts(
        &self,
    ) -> &Layers<
        Self::Deadline,
        Self::Bulkhead,
        Self::Retry,
        Self::RateLimit,
        Self::CircuitBreaker,
        Self::AttemptTimeout,
    >;
}

impl<Req, T, E, D, B, R, L, C, A> Parts<Req, T, E> for Layers<D, B, R, L, C, A>
where
    D: TimeLimit,
    B: Gate<Req, T, E>,
    R: Again<Req, T, E>,
    L: Gate<Req, T, E>,
    C: Gate<Req, T, E>,
    A: TimeLimit,
{
    type Deadline = D;
    type Bulkhead = B;
    type Retry = R;
    type RateLimit = L;
    type CircuitBreaker = C;
    type AttemptTimeout = A;
    type Timer = <<D::Timer as Timer>::Or<R::Timer> as Timer>::Or<A::Timer>;

    #[inline]
    fn parts(&self) -> &Layers<D, B, R, L, C, A> {
        self
    }
}
