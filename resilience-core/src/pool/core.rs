//! Creation, validation and retirement of objects, shared by the pool and the manager for
//! deadpool's pool.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use deadpool::managed::{Manager, Metrics};
use tokio::sync::Notify;

use super::Retired;
use super::create_backoff::CreateBackoff;
use super::lifetime::Lifetime;
use super::managed_object::ManagedObject;
use super::snapshot::PoolCounters;
use crate::breaker::CircuitBreaker;
use crate::clock;
use crate::deadline::Deadline;
use crate::error::Error;
use crate::name::Name;
use crate::observe::{ErrorText, Event, Listener};
use crate::outcome::Outcome;
use crate::rejection::{Rejection, RejectionKind};
use crate::timeout::Within;

/// Returns the outcome that the circuit counts for an error of `create`.
pub(super) type ClassifyError<E> = Arc<dyn Fn(&E) -> Outcome + Send + Sync>;

/// Functions that read errors of `create`.
pub(super) struct CreateErrors<E> {
    pub(super) classify: ClassifyError<E>,
    /// Returns the text of an error for events.
    pub(super) text: fn(&E) -> &dyn fmt::Display,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct ObjectLimits {
    pub(super) lifetime: Lifetime,
    pub(super) create_timeout: Duration,
    pub(super) recycle_timeout: Duration,
}

pub(super) struct Core<M: Manager> {
    pub(super) inner: M,
    pub(super) name: Name,
    pub(super) listener: Listener,
    pub(super) limits: ObjectLimits,
    pub(super) breaker: CircuitBreaker,
    pub(super) errors: CreateErrors<M::Error>,
    pub(super) backoff: CreateBackoff,
    pub(super) counters: PoolCounters,
    closed: AtomicBool,
    /// Wakes the maintenance before its interval is over.
    pub(super) changed: Arc<Notify>,
}

impl<M: Manager> Core<M> {
    pub(super) fn new(
        inner: M,
        (name, listener): (Name, Listener),
        limits: ObjectLimits,
        breaker: CircuitBreaker,
        errors: CreateErrors<M::Error>,
        backoff: CreateBackoff,
    ) -> Core<M> {
        Core {
            inner,
            name,
            listener,
            limits,
            breaker,
            errors,
            backoff,
            counters: PoolCounters::default(),
            closed: AtomicBool::new(false),
            changed: Arc::new(Notify::new()),
        }
    }

    pub(super) fn lifetime(&self) -> &Lifetime {
        &self.limits.lifetime
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Makes an object: waits for its turn in the backoff, then calls `create` within its timeout
    /// if the circuit admits it. Cancelling drops `create`, which the circuit counts as abandoned.
    pub(super) async fn create(self: &Arc<Self>) -> Result<ManagedObject<M>, Error<M::Error>> {
        // See docs/decisions/0043-a-pool-is-a-bulkhead-in-front-of-an-idle-list.md.
        self.backoff.turn(|now, until| self.may_wait(now, until)).await?;
        let admitted = self.breaker.try_admit()?;
        let limit = Deadline::after(clock::now(), self.limits.create_timeout);
        let result = Within::admitted(limit, self.inner.create()).await;
        let error = match result {
            Ok(Ok(object)) => {
                admitted.success();
                self.backoff.succeeded();
                return Ok(ManagedObject::new(self, object, clock::now(), sample()));
            }
            Ok(Err(error)) => {
                admitted.outcome((self.errors.classify)(&error));
                Error::Service(error)
            }
            Err(_) => {
                admitted.outcome(Outcome::TimedOut);
                let late = self.rejection(RejectionKind::TimedOut);
                Error::Rejected(self.notify_rejected(late.with_limit(self.limits.create_timeout)))
            }
        };
        self.create_failed(&error);
        Err(error)
    }

    fn create_failed(&self, error: &Error<M::Error>) {
        self.counters.create_failed();
        let (failures, pause) = self.backoff.failed(clock::now(), sample());
        let text = match error {
            Error::Service(error) => (self.errors.text)(error),
            Error::Rejected(rejection) => rejection,
        };
        let layer = self.name.as_str();
        let error = Some(ErrorText::of_text(text));
        self.listener.notify(|| Event::PoolCreateFailed { layer, failures, pause, error });
    }

    /// Rejects if the circuit is open, or if the caller's deadline comes before the end of the
    /// wait.
    fn may_wait(&self, now: Instant, until: Option<Instant>) -> Result<(), Rejection> {
        let Some(until) = until else { return self.breaker.check_now() };
        match Deadline::current() {
            Some(deadline) if deadline.instant() <= until => {
                let wait = until.saturating_duration_since(now);
                let late = self.rejection(RejectionKind::DeadlineExceeded).with_retry_after(wait);
                Err(self.notify_rejected(late))
            }
            _ => Ok(()),
        }
    }

    /// Returns `true` if the manager recycles the object within the timeout, counted from its last
    /// use.
    pub(super) async fn validate(&self, object: &mut ManagedObject<M>, metrics: &Metrics) -> bool {
        let limit = Deadline::after(object.life.last_used(), self.limits.recycle_timeout);
        let recycled = self.inner.recycle(object.object_mut(), metrics);
        let works = matches!(Within::admitted(limit, recycled).await, Ok(Ok(())));
        if !works {
            object.life.retire(Retired::Invalid);
        }
        works
    }

    /// Returns `true` if the object has not expired, and notes the current time as its last use.
    pub(super) fn is_within_lifetime(&self, object: &mut ManagedObject<M>) -> bool {
        let now = clock::now();
        let why = object.life.expired(now);
        object.life.used(now);
        why.inspect(|&why| object.life.retire(why)).is_none()
    }

    pub(super) fn retired(&self, why: Option<Retired>) {
        let default = if self.is_closed() { Retired::Closed } else { Retired::Surplus };
        let reason = why.unwrap_or(default);
        self.counters.retired(reason);
        self.changed.notify_one();
        let layer = self.name.as_str();
        self.listener.notify(|| Event::PoolRetired { layer, reason });
    }

    pub(super) fn rejection(&self, kind: RejectionKind) -> Rejection {
        Rejection::new(kind, self.name.clone())
    }

    pub(super) fn notify_rejected(&self, rejection: Rejection) -> Rejection {
        self.listener.notify(|| Event::Rejected(&rejection));
        rejection
    }

    #[cold]
    pub(super) fn reject_closed(&self) -> Rejection {
        self.notify_rejected(self.rejection(RejectionKind::ShuttingDown))
    }
}

impl<M: Manager> fmt::Debug for Core<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("name", &self.name).finish_non_exhaustive()
    }
}

fn sample() -> f64 {
    use rand::RngExt;
    rand::rng().random()
}
