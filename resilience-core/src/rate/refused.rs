//! What a refusal is told to people as.

use std::time::Duration;

use super::builder::{Patience, RateConfig};
use super::gate::{At, Refusal};
use super::meter::{Grant, Meter};
use crate::live::Seen;
use crate::name::Name;
use crate::observe::Event;
use crate::rejection::{Rejection, RejectionKind};

/// A refusal on its way out of the lock.
#[derive(Debug)]
pub(super) struct Refused {
    config: Seen<RateConfig>,
    refusal: Refusal,
    now: u64,
}

impl Refused {
    /// Counts it.
    #[cold]
    pub(super) fn new(
        meter: &mut Meter,
        at: At<'_>,
        config: &Seen<RateConfig>,
        refusal: Refusal,
    ) -> Refused {
        meter.desk_mut().rejected += 1;
        Refused { config: config.clone(), refusal, now: at.now }
    }

    /// Whether it is worth a place in the queue.
    pub(super) fn may_wait(&self) -> bool {
        let patient = !matches!(self.config.patience, Patience::Reject);
        patient && !self.config.observe_only && self.refusal.at().is_some()
    }

    pub(super) fn observes_only(&self) -> bool {
        self.config.observe_only
    }

    /// Tells the listener; then lets the call pass for all that, if the limiter only observes.
    pub(super) fn told(self, key: Option<Name>) -> Result<Option<Grant>, Rejection> {
        let rejection = self.rejection(key);
        let config = &self.config;
        if config.observe_only {
            config.listener.tell(|| Event::WouldReject(&rejection));
            return Ok(None);
        }
        config.listener.tell(|| Event::Rejected(&rejection));
        Err(rejection)
    }

    fn rejection(&self, key: Option<Name>) -> Rejection {
        let rejection = Rejection::new(RejectionKind::RateLimited, self.config.name.clone());
        let rejection = match key {
            Some(key) => rejection.with_key(key),
            None => rejection,
        };
        let ns = Duration::from_nanos;
        let rejection = match self.refusal {
            Refusal::Never { burst, cost } => {
                rejection.with_limit(u64::from(burst)).with_observed(u64::from(cost))
            }
            Refusal::Tokens { burst, wanted, .. } => {
                rejection.with_limit(u64::from(burst)).with_observed(wanted)
            }
            Refusal::Gap { gap, passed, .. } => {
                rejection.with_limit(ns(gap)).with_observed(ns(passed))
            }
            Refusal::Paused { .. } => rejection,
            Refusal::Queued { limit, waiting, .. } => {
                let rejection = rejection.with_observed(u64::from(waiting));
                match limit {
                    Some(limit) => rejection.with_limit(u64::from(limit)),
                    None => rejection,
                }
            }
            Refusal::TooLong { limit, wait, .. } => {
                rejection.with_limit(ns(limit)).with_observed(ns(wait))
            }
        };
        match self.refusal.at() {
            Some(at) => rejection.with_retry_after(ns(at.saturating_sub(self.now))),
            None => rejection.never(),
        }
    }
}
