//! What a refusal is told to people as.

use std::sync::Arc;
use std::time::Duration;

use super::gate::{At, Refusal};
use super::meter::Meter;
use super::terms::Terms;
use crate::name::Name;
use crate::observe::Event;
use crate::patience::Patience;
use crate::rejection::{Quantity, Rejection, RejectionKind, Unit};

/// A refusal on its way out of the lock.
#[derive(Debug)]
pub(super) struct Refused {
    config: Arc<Terms>,
    refusal: Refusal,
    now: u64,
}

impl Refused {
    /// Counts it.
    #[inline]
    pub(super) fn new(
        meter: &mut Meter,
        at: At<'_>,
        config: &Arc<Terms>,
        refusal: Refusal,
    ) -> Refused {
        meter.set_rejected(meter.rejected() + 1);
        Refused { config: config.clone(), refusal, now: at.now }
    }

    /// Whether it is worth a place in the queue.
    pub(super) fn may_wait(&self) -> bool {
        let patient = !matches!(self.config.patience, Patience::None);
        patient && !self.config.observe_only && self.refusal.at().is_some()
    }

    pub(super) fn observes_only(&self) -> bool {
        self.config.observe_only
    }

    /// Tells the listener; then lets the call pass for all that, with nothing
    /// to give back, if the limiter only observes.
    #[inline]
    pub(super) fn told<T: Default>(self, key: Option<Name>) -> Result<T, Rejection> {
        if !self.config.observe_only && self.config.listener().is_none() {
            return Err(self.rejection(key));
        }
        self.told_to_all(key)
    }

    #[inline(never)]
    fn told_to_all<T: Default>(self, key: Option<Name>) -> Result<T, Rejection> {
        let rejection = self.rejection(key);
        let config = &self.config;
        if config.observe_only {
            config.listener().tell(|| Event::WouldReject(&rejection));
            return Ok(T::default());
        }
        config.listener().tell(|| Event::Rejected(&rejection));
        Err(rejection)
    }

    #[inline]
    fn rejection(&self, key: Option<Name>) -> Rejection {
        let mut rejection = Rejection::new(RejectionKind::RateLimited, self.config.name().clone());
        if let Some(key) = key {
            rejection = rejection.with_key(key);
        }
        let (limit, observed) = self.refusal.quantities();
        if let Some(limit) = limit {
            rejection = rejection.with_limit(limit);
        }
        if let Some(observed) = observed {
            rejection = rejection.with_observed(observed);
        }
        if matches!(self.refusal, Refusal::Queued { .. }) {
            rejection = rejection.with_unit(Unit::CallsWaiting);
        }
        match self.refusal.at() {
            Some(at) => rejection.with_retry_after(ns(at.saturating_sub(self.now))),
            None => rejection.never(),
        }
    }
}

const fn ns(ns: u64) -> Duration {
    Duration::from_nanos(ns)
}

impl Refusal {
    /// The limit that was reached, and what there was.
    #[inline]
    fn quantities(self) -> (Option<Quantity>, Option<Quantity>) {
        let count = |count: u64| Some(Quantity::Count(count));
        let length = |length: u64| Some(Quantity::Duration(ns(length)));
        match self {
            Refusal::Never { burst, cost } => (count(burst.into()), count(cost.into())),
            Refusal::Tokens { burst, wanted, .. } => (count(burst.into()), count(wanted)),
            Refusal::Gap { gap, passed, .. } => (length(gap), length(passed)),
            Refusal::Paused { .. } => (None, None),
            Refusal::Queued { limit, waiting, .. } => {
                (limit.and_then(|limit| count(limit.into())), count(waiting.into()))
            }
            Refusal::TooLong { limit, wait, .. } => (length(limit), length(wait)),
        }
    }
}
