//! How objects are made and looked at, whoever's pool they are in.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use deadpool::managed::{Manager, Metrics};
use tokio::sync::Notify;

use super::Retired;
use super::lifetime::Lifetime;
use super::pace::Pace;
use super::slot::Slot;
use super::tally::Tally;
use crate::breaker::CircuitBreaker;
use crate::clock;
use crate::deadline::Deadline;
use crate::error::Error;
use crate::name::Name;
use crate::observe::{ErrorText, Event, Listener};
use crate::outcome::Outcome;
use crate::rejection::{Rejection, RejectionKind};
use crate::timeout::Within;

/// What an error of `create` means.
pub(super) type ClassifyError<E> = Arc<dyn Fn(&E) -> Outcome + Send + Sync>;

/// How errors of `create` are read.
pub(super) struct Errors<E> {
    pub(super) classify: ClassifyError<E>,
    /// Returns what events show of an error.
    pub(super) text: fn(&E) -> &dyn fmt::Display,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) lifetime: Lifetime,
    pub(super) create_timeout: Duration,
    pub(super) recycle_timeout: Duration,
}

pub(super) struct Core<M: Manager> {
    pub(super) inner: M,
    pub(super) name: Name,
    pub(super) listener: Listener,
    pub(super) rules: Rules,
    pub(super) breaker: CircuitBreaker,
    pub(super) errors: Errors<M::Error>,
    pub(super) pace: Pace,
    pub(super) tally: Tally,
    /// No more are made, and what comes back goes.
    closed: AtomicBool,
    /// For the maintenance: something is to be done before its time.
    pub(super) news: Arc<Notify>,
}

impl<M: Manager> Core<M> {
    pub(super) fn new(
        inner: M,
        (name, listener): (Name, Listener),
        rules: Rules,
        breaker: CircuitBreaker,
        errors: Errors<M::Error>,
        pace: Pace,
    ) -> Core<M> {
        let (tally, closed) = (Tally::default(), AtomicBool::new(false));
        let news = Arc::new(Notify::new());
        Core { inner, name, listener, rules, breaker, errors, pace, tally, closed, news }
    }

    #[inline]
    pub(super) fn lifetime(&self) -> &Lifetime {
        &self.rules.lifetime
    }

    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// A new object: when it is this one's turn, if the circuit lets it, and in time. Dropped in the
    /// midst of it, what was begun is dropped, and the circuit told that it was abandoned.
    pub(super) async fn connect(self: &Arc<Self>) -> Result<Slot<M>, Error<M::Error>> {
        self.pace.turn(|now, until| self.may_wait(now, until)).await?;
        let admitted = self.breaker.try_admit()?;
        let limit = Deadline::after(clock::now(), self.rules.create_timeout);
        let result = Within::admitted(limit, self.inner.create()).await;
        let error = match result {
            Ok(Ok(object)) => {
                admitted.success();
                self.pace.succeeded();
                return Ok(Slot::new(self, object, clock::now(), sample()));
            }
            Ok(Err(error)) => {
                admitted.outcome((self.errors.classify)(&error));
                Error::Service(error)
            }
            Err(_) => {
                admitted.outcome(Outcome::TimedOut);
                let late = self.rejection(RejectionKind::TimedOut);
                Error::Rejected(self.told(late.with_limit(self.rules.create_timeout)))
            }
        };
        self.tally.failed();
        let (failures, pause) = self.pace.failed(clock::now(), sample());
        let layer = self.name.as_str();
        let text = match &error {
            Error::Service(error) => (self.errors.text)(error),
            Error::Rejected(rejection) => rejection,
        };
        let error_text = Some(ErrorText::of_text(text));
        self.listener.tell(|| Event::PoolCreateFailed {
            layer,
            failures,
            pause,
            error: error_text,
        });
        Err(error)
    }

    /// An open circuit is known before the wait, and a wait that the caller has no time for is not begun.
    fn may_wait(&self, now: Instant, until: Option<Instant>) -> Result<(), Rejection> {
        let Some(until) = until else { return self.breaker.refuses() };
        match Deadline::current() {
            Some(deadline) if deadline.instant() <= until => {
                let wait = until.saturating_duration_since(now);
                let late = self.rejection(RejectionKind::DeadlineExceeded).with_retry_after(wait);
                Err(self.told(late))
            }
            _ => Ok(()),
        }
    }

    /// Whether the object still works, as far as its manager can say in time. As of its last use.
    #[inline]
    pub(super) async fn validate(&self, slot: &mut Slot<M>, metrics: &Metrics) -> bool {
        let limit = Deadline::after(slot.life.last_used(), self.rules.recycle_timeout);
        let recycled = self.inner.recycle(slot.object_mut(), metrics);
        let works = matches!(Within::admitted(limit, recycled).await, Ok(Ok(())));
        if !works {
            slot.life.retire(Retired::Invalid);
        }
        works
    }

    /// Whether an object may be handed out at its age, and the time of it as that of its last use.
    #[inline]
    pub(super) fn is_of_age(&self, slot: &mut Slot<M>) -> bool {
        let now = clock::now();
        let why = Retired::of(slot.life.verdict(now));
        slot.life.used(now);
        why.inspect(|&why| slot.life.retire(why)).is_none()
    }

    pub(super) fn retired(&self, why: Option<Retired>) {
        let closed = if self.is_closed() { Retired::Closed } else { Retired::Surplus };
        let reason = why.unwrap_or(closed);
        self.tally.retired(reason);
        self.news.notify_one();
        let layer = self.name.as_str();
        self.listener.tell(|| Event::PoolRetired { layer, reason });
    }

    pub(super) fn rejection(&self, kind: RejectionKind) -> Rejection {
        Rejection::new(kind, self.name.clone())
    }

    /// A refusal of this pool's, told to the listener.
    pub(super) fn told(&self, rejection: Rejection) -> Rejection {
        self.listener.tell(|| Event::Rejected(&rejection));
        rejection
    }

    #[cold]
    pub(super) fn is_shut(&self) -> Rejection {
        self.told(self.rejection(RejectionKind::ShuttingDown))
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
