//! The parts of a call, in the one order that they run in.

use std::sync::Arc;

use super::absent::Absent;
use super::part::{Part, RetryPart, TimeLimit};
use super::service::CallService;
use super::timer::Timer;

/// The parts of a call, outermost first. [`sequence`](super::sequence) has the order in which they
/// run.
#[doc(hidden)]
// On another cache line than the reference count of its `Arc`, which every call writes: all threads
// read the parts.
#[derive(Debug, Clone)]
#[repr(align(128))]
pub struct Parts<D, B, R, L, C, A> {
    pub(crate) deadline: D,
    pub(crate) bulkhead: B,
    pub(crate) retry: R,
    pub(crate) rate_limit: L,
    pub(crate) circuit_breaker: C,
    pub(crate) attempt_timeout: A,
}

pub(crate) type OnlyBulkhead<B> = Parts<Absent, B, Absent, Absent, Absent, Absent>;
pub(crate) type OnlyRetry<R> = Parts<Absent, Absent, R, Absent, Absent, Absent>;
pub(crate) type OnlyRateLimit<L> = Parts<Absent, Absent, Absent, L, Absent, Absent>;
pub(crate) type OnlyCircuitBreaker<C> = Parts<Absent, Absent, Absent, Absent, C, Absent>;

impl<B, R, L, C> Parts<Absent, B, R, L, C, Absent> {
    /// Puts these parts around a service: a layer that stands alone is a stack of one part.
    pub(crate) fn around<S>(
        inner: S,
        bulkhead: B,
        retry: R,
        rate_limit: L,
        circuit_breaker: C,
    ) -> CallService<S, Self> {
        let parts = Parts {
            deadline: Absent,
            bulkhead,
            retry,
            rate_limit,
            circuit_breaker,
            attempt_timeout: Absent,
        };
        CallService::new(inner, Arc::new(parts))
    }
}

/// The types of the six parts. Any of them may be [`Absent`].
pub trait PartSet<Req, T, E> {
    /// The total deadline.
    type Deadline: TimeLimit;
    /// The limit on concurrent calls.
    type Bulkhead: Part<Req, T, E>;
    /// The retry.
    type Retry: RetryPart<Req, T, E>;
    /// The limit on the rate of attempts.
    type RateLimit: Part<Req, T, E>;
    /// The circuit breaker.
    type CircuitBreaker: Part<Req, T, E>;
    /// The time limit of one attempt.
    type AttemptTimeout: TimeLimit;
    /// The one timer of all parts.
    type Timer: Timer;

    /// Returns the parts.
    #[expect(clippy::type_complexity, reason = "a type for each part")]
    fn parts(
        &self,
    ) -> &Parts<
        Self::Deadline,
        Self::Bulkhead,
        Self::Retry,
        Self::RateLimit,
        Self::CircuitBreaker,
        Self::AttemptTimeout,
    >;
}

impl<Req, T, E, D, B, R, L, C, A> PartSet<Req, T, E> for Parts<D, B, R, L, C, A>
where
    D: TimeLimit,
    B: Part<Req, T, E>,
    R: RetryPart<Req, T, E>,
    L: Part<Req, T, E>,
    C: Part<Req, T, E>,
    A: TimeLimit,
{
    type Deadline = D;
    type Bulkhead = B;
    type Retry = R;
    type RateLimit = L;
    type CircuitBreaker = C;
    type AttemptTimeout = A;
    type Timer = <<D::Timer as Timer>::Or<R::Timer> as Timer>::Or<A::Timer>;

    #[inline(always)]
    fn parts(&self) -> &Parts<D, B, R, L, C, A> {
        self
    }
}
