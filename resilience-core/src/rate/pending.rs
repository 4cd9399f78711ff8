//! Rejections between the lock and the caller.

use std::time::Duration;

use super::builder::RateConfig;
use super::gcra::{Gcra, Grant};
use super::limiter::RateLimiter;
use super::wait_queue::{Conditions, RateRejectReason};
use crate::name::Name;
use crate::observe::Event;
use crate::on_full::OnFull;
use crate::rejection::{Quantity, Rejection, RejectionKind, Unit};

/// A rejection that was counted under the lock, before the caller and the listener get it.
#[derive(Debug)]
pub(super) struct PendingRejection {
    reason: RateRejectReason,
    now: u64,
    on_full: OnFull,
    observe_only: bool,
}

impl PendingRejection {
    /// Counts a rejected call.
    pub(super) fn new(
        gcra: &mut Gcra,
        at: Conditions<'_>,
        config: &RateConfig,
        reason: RateRejectReason,
    ) -> PendingRejection {
        gcra.set_rejected(gcra.rejected() + 1);
        let RateConfig { on_full, observe_only, .. } = *config;
        PendingRejection { reason, now: at.now, on_full, observe_only }
    }

    /// Returns `true` if the call may join the queue.
    pub(super) fn may_wait(&self) -> bool {
        let waits = self.on_full != OnFull::Reject;
        waits && !self.observe_only && self.reason.at().is_some()
    }

    pub(super) const fn observes_only(&self) -> bool {
        self.observe_only
    }

    fn rejection(&self, layer: Name, key: Option<Name>) -> Rejection {
        let mut rejection = Rejection::new(RejectionKind::RateLimited, layer);
        if let Some(key) = key {
            rejection = rejection.with_key(key);
        }
        let Quantities { limit, observed } = self.reason.quantities();
        if let Some(limit) = limit {
            rejection = rejection.with_limit(limit);
        }
        if let Some(observed) = observed {
            rejection = rejection.with_observed(observed);
        }
        if matches!(self.reason, RateRejectReason::Queued { .. }) {
            rejection = rejection.with_unit(Unit::CallsWaiting);
        }
        match self.reason.at() {
            Some(at) => {
                rejection.with_retry_after(Duration::from_nanos(at.saturating_sub(self.now)))
            }
            None => rejection.never(),
        }
    }
}

impl RateLimiter {
    /// Notifies the listener, and rejects the call. A limiter that only observes returns `None`:
    /// the call passes, and there is nothing to refund.
    pub(super) fn reject(
        &self,
        pending: PendingRejection,
        key: Option<Name>,
    ) -> Result<Option<Grant>, Rejection> {
        let group = self.group();
        let rejection = pending.rejection(group.name.clone(), key);
        if pending.observe_only {
            group.listener.notify(|| Event::WouldReject(&rejection));
            return Ok(None);
        }
        group.listener.notify(|| Event::Rejected(&rejection));
        Err(rejection)
    }
}

/// The limit that was reached, and the value that reached it.
struct Quantities {
    limit: Option<Quantity>,
    observed: Option<Quantity>,
}

impl RateRejectReason {
    fn quantities(self) -> Quantities {
        let count = |count: u64| Some(Quantity::Count(count));
        let length = |ns: u64| Some(Quantity::Duration(Duration::from_nanos(ns)));
        let (limit, observed) = match self {
            RateRejectReason::Never { burst, cost } => (count(burst.into()), count(cost.into())),
            RateRejectReason::Tokens { burst, wanted, .. } => (count(burst.into()), count(wanted)),
            RateRejectReason::Gap { gap, passed, .. } => (length(gap), length(passed)),
            RateRejectReason::Paused { .. } => (None, None),
            RateRejectReason::Queued { limit, waiting, .. } => {
                (limit.and_then(|limit| count(limit.into())), count(waiting.into()))
            }
            RateRejectReason::TooLong { limit, wait, .. } => (length(limit), length(wait)),
        };
        Quantities { limit, observed }
    }
}
