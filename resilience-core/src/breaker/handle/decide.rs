//! The decisions of the handle: it adds time, chance, the lock and the listener to the engine.

use std::cell::OnceCell;
use std::error::Error as StdError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::CircuitBreaker;
use crate::breaker::circuit::{Admission, Circuit, CircuitRejection};
use crate::breaker::config::CircuitConfig;
use crate::breaker::shared::FastCheck;
use crate::breaker::state::{Change, Changes};
use crate::clock::tick::Tick;
use crate::clock::{self, Now};
use crate::ended::Ended;
use crate::error::CarriesRejection;
use crate::name::Name;
use crate::observe::{ErrorText, Event, type_of};
use crate::outcome::{Classify, Outcome, RetryHint};
use crate::rejection::{Quantity, Rejection, RejectionKind};

impl CircuitBreaker {
    /// Rejects a call that would certainly be rejected. Takes no probe.
    ///
    /// `key` names the key of the call, for the rejection and events, here and in all other
    /// methods.
    #[cfg(feature = "tower")]
    #[inline]
    pub(in crate::breaker) fn check(
        &self,
        key: impl Fn() -> Option<Name>,
        now: &mut Now,
    ) -> Result<(), Rejection> {
        match self.0.shared.check_fast(&self.0.group.common, || now.tick()) {
            FastCheck::Passes => Ok(()),
            FastCheck::Rejected(rejection) => Err(self.reject(rejection, key)),
            FastCheck::Undecided => self.check_slow(key, now.tick()),
        }
    }

    #[cfg(feature = "tower")]
    #[cold]
    fn check_slow(&self, key: impl Fn() -> Option<Name>, now: Tick) -> Result<(), Rejection> {
        let (changed, rejection) = self.locked(|config, circuit| {
            let changed = NumberedChanges::new(&circuit.advance_at(config, now, sample), None);
            let rejection = circuit.rejection_at(config, now).filter(|_| !config.observe_only);
            if rejection.is_some() {
                circuit.count_rejections(1);
            }
            (changed, rejection)
        });
        self.notify(&changed, None, &key);
        rejection.map_or(Ok(()), |rejection| Err(self.reject(rejection, key)))
    }

    /// Admits or rejects a call. Returns no admission for a call that only observing has admitted:
    /// it is not counted.
    #[inline(always)]
    pub(in crate::breaker) fn admit(
        &self,
        key: impl Fn() -> Option<Name>,
        now: &mut Now,
    ) -> Result<Option<Admission>, Rejection> {
        match self.0.shared.admit_fast(|| now.tick()) {
            Some(admission) => Ok(Some(admission)),
            None => self.admit_slow(key, now),
        }
    }

    #[cold]
    fn admit_slow(
        &self,
        key: impl Fn() -> Option<Name>,
        now: &mut Now,
    ) -> Result<Option<Admission>, Rejection> {
        let checked = self.0.shared.check_fast(&self.0.group.common, || now.tick());
        if let FastCheck::Rejected(rejection) = checked {
            return Err(self.reject(rejection, key));
        }
        let now = now.tick();
        let (changed, admitted, observe_only) = self.locked(|config, circuit| {
            let changed = NumberedChanges::new(&circuit.advance_at(config, now, sample), None);
            (changed, circuit.admit_at(config, now, sample), config.observe_only)
        });
        self.notify(&changed, None, &key);
        match admitted {
            Ok(admission) => Ok(Some(admission)),
            Err(rejection) if observe_only => {
                let rejection = self.rejection(rejection, key);
                self.0.group.listener.notify(|| Event::WouldReject(&rejection));
                Ok(None)
            }
            Err(rejection) => Err(self.reject(rejection, key)),
        }
    }

    /// Counts a success without the lock. `false` means that [`record`](Self::record) has to.
    #[inline(always)]
    pub(in crate::breaker) fn count(&self, admission: &Admission) -> bool {
        let common = &self.0.group.common;
        !admission.is_timed() && self.0.shared.count_success(common, admission, Tick::now)
    }

    /// Records the end of a call without a key.
    #[inline(never)]
    pub(in crate::breaker) fn record_unkeyed(&self, admission: Admission, ended: Ended<'_>) {
        self.record(admission, ended, || None, &mut Now::unread());
    }

    /// Returns the outcome of a result as this breaker counts it: as [`outcome_of`], except for the
    /// rejections that are [counted](crate::breaker::CircuitBreakerBuilder::count_rejections).
    #[inline]
    pub(in crate::breaker) fn outcome_of<T, E: CarriesRejection, C: Classify<T, E>>(
        &self,
        classifier: &C,
        result: Result<&T, &E>,
    ) -> Outcome {
        match result.err().and_then(CarriesRejection::rejection) {
            None => classifier.classify(result),
            Some(rejection) if self.counts_as_failure(rejection.kind()) => {
                Outcome::Transient(rejection.retry_hint())
            }
            Some(rejection) => outcome_of_rejection(rejection),
        }
    }

    #[cold]
    fn counts_as_failure(&self, kind: RejectionKind) -> bool {
        // A timeout has an outcome of its own.
        kind != RejectionKind::TimedOut
            && self.0.group.common.config.get().counted_rejections.contains(&kind)
    }

    /// Records the end of a call. A success counts at the time of the poll; the clock is read again
    /// for everything else, and for a success that may count as slow.
    #[inline(always)]
    pub(in crate::breaker) fn record(
        &self,
        admission: Admission,
        ended: Ended<'_>,
        key: impl Fn() -> Option<Name>,
        now: &mut Now,
    ) {
        let is_success = matches!(ended.outcome, Outcome::Success);
        if admission.is_timed() || !is_success {
            now.again();
        }
        let common = &self.0.group.common;
        if !is_success || !self.0.shared.count_success(common, &admission, || now.tick()) {
            self.record_slow(admission, ended, key, now.tick());
        }
    }

    #[cold]
    fn record_slow(
        &self,
        admission: Admission,
        ended: Ended<'_>,
        key: impl Fn() -> Option<Name>,
        now: Tick,
    ) {
        let outcome = ended.outcome;
        self.0.group.common.ended.add(outcome, 1);
        let changed = self.locked(|config, circuit| {
            // Time alone does not change a circuit that admits all calls, the usual case.
            let changes = (!circuit.passes_all()).then(|| circuit.advance_at(config, now, sample));
            let change = circuit.record_at(config, admission, outcome, now, sample);
            (changes.is_some() || change.is_some())
                .then(|| NumberedChanges::new(&changes.unwrap_or_default(), change))
        });
        self.notify_unknown(ended, &key);
        if let Some(changed) = changed {
            self.notify(&changed, ended.error, &key);
        }
    }

    /// Notifies the listener of the first failure of this breaker that no code recognised.
    fn notify_unknown(&self, ended: Ended<'_>, key: impl Fn() -> Option<Name>) {
        let Ended { outcome: Outcome::Unknown, error, error_type: Some(error_type), .. } = ended
        else {
            return;
        };
        let group = &*self.0.group;
        if group.listener.is_none() || !group.common.meets_unknown() {
            return;
        }
        // Made in the closure: `tell` catches panics of the user's code.
        let name_of_key = OnceCell::new();
        let name = OnceCell::new();
        group.listener.notify(|| Event::UnknownError {
            layer: group.name.as_str(),
            key: name_of_key.get_or_init(|| self.key_or_own(key)).as_ref().map(Name::as_str),
            error_type: name.get_or_init(|| type_of(error_type, error)),
            error: error.map(ErrorText::of),
        });
    }

    #[inline]
    pub(super) fn locked<R>(&self, body: impl FnOnce(&CircuitConfig, &mut Circuit) -> R) -> R {
        self.0.shared.with(&self.0.group.common, body)
    }

    /// Reads the circuit as it is now.
    pub(super) fn read<R>(
        &self,
        body: impl FnOnce(&CircuitConfig, &mut Circuit, Instant) -> R,
    ) -> R {
        self.change(|config, circuit, now| (None, body(config, circuit, now)))
    }

    /// Changes the circuit, and notifies the listener.
    pub(super) fn change<R>(
        &self,
        body: impl FnOnce(&CircuitConfig, &mut Circuit, Instant) -> (Option<Change>, R),
    ) -> R {
        let now = clock::now();
        let (changed, result) = self.locked(|config, circuit| {
            let changes = circuit.advance(config, now, sample);
            let (change, result) = body(config, circuit, now);
            (NumberedChanges::new(&changes, change), result)
        });
        self.notify(&changed, None, || None);
        result
    }

    /// Changes the state, and notifies the listener.
    pub(super) fn set_state(
        &self,
        body: impl FnOnce(&CircuitConfig, &mut Circuit, Instant) -> Option<Change>,
    ) {
        self.change(|config, circuit, now| (body(config, circuit, now), ()));
    }

    /// Notifies the listener of changes, outside of the lock: it may use the breaker.
    fn notify(
        &self,
        changed: &NumberedChanges,
        error: Option<&(dyn StdError + 'static)>,
        key: impl Fn() -> Option<Name>,
    ) {
        let group = &*self.0.group;
        if group.listener.is_none() {
            return;
        }
        for NumberedChange { sequence, change } in changed.iter() {
            let Change { from, to, reason, retry_after } = change;
            let layer = group.name.as_str();
            // In the closure: `tell` catches panics of the user's code, and the caller may hold an
            // admission.
            let name_of_key = OnceCell::new();
            group.listener.notify(|| {
                let key = name_of_key.get_or_init(|| self.key_or_own(&key));
                let key = key.as_ref().map(Name::as_str);
                let error = error.map(ErrorText::of);
                Event::CircuitChanged { layer, key, sequence, from, to, reason, retry_after, error }
            });
        }
    }

    /// Returns the key of a call, or of all calls of this breaker.
    fn key_or_own(&self, key: impl Fn() -> Option<Name>) -> Option<Name> {
        key().or_else(|| self.0.group.key.clone())
    }

    fn reject(&self, rejection: CircuitRejection, key: impl Fn() -> Option<Name>) -> Rejection {
        let rejection = self.rejection(rejection, key);
        self.0.group.listener.notify(|| Event::Rejected(&rejection));
        rejection
    }

    fn rejection(&self, rejection: CircuitRejection, key: impl Fn() -> Option<Name>) -> Rejection {
        let CircuitRejection { observed, limit, unit, retry_after, .. } = rejection;
        Rejection {
            kind: RejectionKind::CircuitOpen,
            layer: self.0.group.name.clone(),
            key: self.key_or_own(key),
            limit: limit.map(Quantity::Count),
            observed: observed.map(Quantity::Count),
            unit,
            retry: retry_after.map_or(RetryHint::None, RetryHint::After),
            may_have_run: false,
        }
    }
}

/// Returns the outcome of a result as circuits count it, for layers of your own.
///
/// Rejections of layers below are not passed to the classifier: they prove nothing about the
/// service. A passed deadline counts as a caller that left. The [counted
/// rejections](crate::breaker::CircuitBreakerBuilder::count_rejections) of a breaker apply to
/// [`Admitted::outcome_of`](crate::breaker::Admitted::outcome_of) only.
pub fn outcome_of<T, E: CarriesRejection, C: Classify<T, E>>(
    classifier: &C,
    result: Result<&T, &E>,
) -> Outcome {
    match result.err().and_then(CarriesRejection::rejection) {
        None => classifier.classify(result),
        Some(rejection) => outcome_of_rejection(rejection),
    }
}

/// Returns the outcome of a call that a layer below rejected.
fn outcome_of_rejection(rejection: &Rejection) -> Outcome {
    match rejection.kind() {
        RejectionKind::TimedOut if rejection.may_have_run() => Outcome::TimedOut,
        RejectionKind::DeadlineExceeded => Outcome::Abandoned,
        // The call never reached the service.
        _ => Outcome::NotReady(rejection.retry_hint()),
    }
}

pub(super) fn sample() -> f64 {
    use rand::RngExt;
    rand::rng().random()
}

/// The last number of a change, of all circuits of the process: the next circuit that is made for a
/// key goes on counting.
static LAST_CHANGE: AtomicU64 = AtomicU64::new(0);

/// The changes of a circuit while its lock was held, in order. Numbered under the lock, so that the
/// numbers have the order of the changes however late the listener is notified.
#[derive(Default)]
struct NumberedChanges([Option<NumberedChange>; 3]);

#[derive(Clone, Copy)]
struct NumberedChange {
    sequence: u64,
    change: Change,
}

impl NumberedChanges {
    /// Numbers the changes `by_time`, and `other` after them.
    fn new(by_time: &Changes, other: Option<Change>) -> NumberedChanges {
        let mut all = NumberedChanges::default();
        if by_time.is_empty() && other.is_none() {
            return all;
        }
        let changes = by_time.iter().copied().chain(other);
        for (place, change) in all.0.iter_mut().zip(changes) {
            let sequence = LAST_CHANGE.fetch_add(1, Ordering::Relaxed) + 1;
            *place = Some(NumberedChange { sequence, change });
        }
        all
    }

    fn iter(&self) -> impl Iterator<Item = NumberedChange> {
        self.0.iter().flatten().copied()
    }
}
