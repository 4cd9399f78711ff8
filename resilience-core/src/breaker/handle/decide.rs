//! The decisions of the handle: it adds time, chance, the lock and the listener to the engine.

use std::cell::OnceCell;
use std::error::Error as StdError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::CircuitBreaker;
use crate::breaker::circuit::{Admission, Circuit, CircuitRejection};
use crate::breaker::config::CircuitConfig;
use crate::breaker::guard::KeySource;
use crate::breaker::state::{Change, Changes};
use crate::clock::tick::Tick;
use crate::clock::{self, Now};
use crate::ended::Ended;
use crate::error::CarriesRejection;
use crate::name::Name;
use crate::observe::{ErrorText, Event, type_of};
use crate::outcome::{Classify, Outcome};
use crate::rejection::{Quantity, Rejection, RejectionKind};

impl CircuitBreaker {
    /// Rejects a call that would certainly be rejected. Takes no probe.
    #[cfg(feature = "tower")]
    #[inline]
    pub(in crate::breaker) fn check(
        &self,
        whose: &impl KeySource,
        now: &mut Now,
    ) -> Result<(), Rejection> {
        if self.0.shared.passes_all() {
            return Ok(());
        }
        match self.reject_fast(whose, now) {
            Some(rejection) => Err(rejection),
            None => self.check_slow(whose, now.tick()),
        }
    }

    /// Rejects a call during a break without the lock. `None` means "not decided": [`admit_slow`](Self::admit_slow) or
    /// [`check`](Self::check) decides.
    #[inline]
    pub(in crate::breaker) fn reject_fast(
        &self,
        whose: &impl KeySource,
        now: &mut Now,
    ) -> Option<Rejection> {
        if !self.0.group.listener.is_none() {
            return None;
        }
        let rejection = self.0.shared.reject_fast(&self.0.group.common, || now.tick())?;
        Some(self.rejection(rejection, whose))
    }

    #[cfg(feature = "tower")]
    #[cold]
    fn check_slow(&self, whose: &impl KeySource, now: Tick) -> Result<(), Rejection> {
        let (changed, rejection) = self.locked(|config, circuit| {
            let changed = NumberedChanges::new(&circuit.advance_at(config, now, sample), None);
            let rejection = circuit.rejection_at(config, now).filter(|_| !config.observe_only);
            if rejection.is_some() {
                circuit.count_rejections(1);
            }
            (changed, rejection)
        });
        self.tell(&changed, whose);
        rejection.map_or(Ok(()), |rejection| Err(self.reject(rejection, whose)))
    }

    /// Admits a call to a closed circuit. `None` means "not decided": [`admit_slow`](Self::admit_slow) decides.
    #[inline(always)]
    pub(in crate::breaker) fn admit_fast(&self, now: &mut Now) -> Option<Admission> {
        self.0.shared.admit_fast(|| now.tick())
    }

    /// Decides about a call under the lock. Returns no admission for a call that would have been rejected by a
    /// breaker that does more than observe: it is not counted.
    #[cold]
    pub(in crate::breaker) fn admit_slow(
        &self,
        whose: &impl KeySource,
        now: &mut Now,
    ) -> Result<Option<Admission>, Rejection> {
        let now = now.tick();
        let (changed, admitted, observe_only) = self.locked(|config, circuit| {
            let changed = NumberedChanges::new(&circuit.advance_at(config, now, sample), None);
            (changed, circuit.admit_at(config, now, sample), config.observe_only)
        });
        self.tell(&changed, whose);
        match admitted {
            Ok(admission) => Ok(Some(admission)),
            Err(rejection) if observe_only => {
                let rejection = self.rejection(rejection, whose);
                self.0.group.listener.tell(|| Event::WouldReject(&rejection));
                Ok(None)
            }
            Err(rejection) => Err(self.reject(rejection, whose)),
        }
    }

    /// Rejects or admits a call that was not [admitted fast](Self::admit_fast).
    #[cfg(feature = "tower")]
    #[cold]
    pub(in crate::breaker) fn reject_or_admit(
        &self,
        whose: &impl KeySource,
        now: &mut Now,
    ) -> Result<Option<Admission>, Rejection> {
        match self.reject_fast(whose, now) {
            Some(rejection) => Err(rejection),
            None => self.admit_slow(whose, now),
        }
    }

    /// Counts a success without the lock. `false` means that [`record`](Self::record) has to.
    #[inline(always)]
    pub(in crate::breaker) fn count(&self, admission: &Admission) -> bool {
        let (shared, common) = (&self.0.shared, &self.0.group.common);
        !admission.is_timed() && shared.count_success(common, admission, Tick::now)
    }

    /// Records how a call ended that belongs to no key.
    #[inline(never)]
    pub(in crate::breaker) fn record_unkeyed(&self, admission: Admission, outcome: Outcome) {
        self.record(admission, outcome.into(), &(), &mut Now::unread());
    }

    /// Records how a call ended that belongs to no key, with its error.
    #[inline(never)]
    pub(in crate::breaker) fn record_unkeyed_error(&self, admission: Admission, ended: Ended<'_>) {
        self.record(admission, ended, &(), &mut Now::unread());
    }

    /// Returns how a call with this result counts here: [`outcome_of`], but for the rejections that are
    /// [counted](crate::breaker::CircuitBreakerBuilder::count_rejections).
    #[inline]
    pub(in crate::breaker) fn outcome_of<T, E: CarriesRejection, C: Classify<T, E>>(
        &self,
        classifier: &C,
        result: Result<&T, &E>,
    ) -> Outcome {
        match result.err().and_then(CarriesRejection::rejection) {
            Some(rejection) if self.counts_as_failure(rejection.kind()) => {
                Outcome::Transient(rejection.retry_hint())
            }
            _ => outcome_of(classifier, result),
        }
    }

    #[cold]
    fn counts_as_failure(&self, kind: RejectionKind) -> bool {
        // Time-outs are failures of a kind of their own.
        kind != RejectionKind::TimedOut
            && self.0.group.common.config.get().counted_rejections.contains(&kind)
    }

    /// Records how a call ended. A success counts at the time of the poll; the clock is read again for everything else,
    /// and for a success that may count as slow.
    #[inline(always)]
    pub(in crate::breaker) fn record(
        &self,
        admission: Admission,
        ended: Ended<'_>,
        whose: &impl KeySource,
        now: &mut Now,
    ) {
        let outcome = ended.outcome;
        if admission.is_timed() || outcome != Outcome::Success {
            now.again();
        }
        let (shared, common) = (&self.0.shared, &self.0.group.common);
        if outcome != Outcome::Success || !shared.count_success(common, &admission, || now.tick()) {
            self.record_slow(admission, ended, whose, now.tick());
        }
    }

    #[cold]
    fn record_slow(
        &self,
        admission: Admission,
        ended: Ended<'_>,
        whose: &impl KeySource,
        now: Tick,
    ) {
        let outcome = ended.outcome;
        self.0.group.common.ended.add(outcome, 1);
        let changed = self.locked(|config, circuit| {
            // Time alone does nothing to a circuit that lets all pass, and most do.
            let changes = (!circuit.passes_all()).then(|| circuit.advance_at(config, now, sample));
            let change = circuit.record_at(config, admission, outcome, now, sample);
            (changes.is_some() || change.is_some())
                .then(|| NumberedChanges::new(&changes.unwrap_or_default(), change))
        });
        self.tell_unknown(ended, whose);
        if let Some(changed) = changed {
            self.tell_of(&changed, ended.error, whose);
        }
    }

    /// Notifies the listener of the first failure of this breaker that no code recognised.
    fn tell_unknown(&self, ended: Ended<'_>, whose: &impl KeySource) {
        let Ended { outcome: Outcome::Unknown, error, error_type: Some(error_type), .. } = ended
        else {
            return;
        };
        let group = &*self.0.group;
        if group.listener.is_none() || !group.common.meets_unknown() {
            return;
        }
        // Made in the event, whose panics are caught.
        let (key, name) = (OnceCell::new(), OnceCell::new());
        group.listener.tell(|| Event::UnknownError {
            layer: group.name.as_str(),
            key: key.get_or_init(|| self.key(whose)).as_ref().map(Name::as_str),
            error_type: name.get_or_init(|| type_of(error_type, error)),
            error: error.map(ErrorText::of),
        });
    }

    #[inline]
    pub(super) fn locked<R>(&self, body: impl FnOnce(&CircuitConfig, &mut Circuit) -> R) -> R {
        self.0.shared.with(&self.0.group.common, body)
    }

    /// Reads the circuit as it is now.
    pub(super) fn look<R>(
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
        self.tell(&changed, &());
        result
    }

    /// Changes the circuit, and returns nothing.
    pub(super) fn become_(
        &self,
        body: impl FnOnce(&CircuitConfig, &mut Circuit, Instant) -> Option<Change>,
    ) {
        self.change(|config, circuit, now| (body(config, circuit, now), ()));
    }

    fn tell(&self, changed: &NumberedChanges, whose: &impl KeySource) {
        self.tell_of(changed, None, whose);
    }

    /// Notifies the listener, outside of the lock: it may use the breaker.
    fn tell_of(
        &self,
        changed: &NumberedChanges,
        error: Option<&(dyn StdError + 'static)>,
        whose: &impl KeySource,
    ) {
        let group = &*self.0.group;
        if group.listener.is_none() {
            return;
        }
        for NumberedChange { sequence, change } in changed.iter() {
            let Change { from, to, reason, retry_after } = change;
            let layer = group.name.as_str();
            // Named in the event, whose panics are caught: the caller may hold an admission.
            let key = OnceCell::new();
            group.listener.tell(|| {
                let key = key.get_or_init(|| self.key(whose)).as_ref().map(Name::as_str);
                let error = error.map(ErrorText::of);
                Event::CircuitChanged { layer, key, sequence, from, to, reason, retry_after, error }
            });
        }
    }

    #[inline]
    fn key(&self, whose: &impl KeySource) -> Option<Name> {
        let own = self.0.group.key.as_ref();
        whose.name().or_else(|| own.map(own_key))
    }

    #[cold]
    fn reject(&self, rejection: CircuitRejection, whose: &impl KeySource) -> Rejection {
        let rejection = self.rejection(rejection, whose);
        self.0.group.listener.tell(|| Event::Rejected(&rejection));
        rejection
    }

    #[inline]
    fn rejection(&self, rejection: CircuitRejection, whose: &impl KeySource) -> Rejection {
        let CircuitRejection { observed, limit, unit, retry_after, .. } = rejection;
        let name = self.0.group.name.clone();
        let counts = (observed.map(Quantity::Count), limit.map(Quantity::Count), unit);
        let (kind, retry) = (RejectionKind::CircuitOpen, retry_after.into());
        Rejection::whole(kind, name, self.key(whose), counts, retry)
    }
}

/// Out of line, since most have no key.
#[cold]
fn own_key(key: &Name) -> Name {
    key.clone()
}

/// Returns the outcome of a result as circuits count it, for layers of your own.
///
/// Rejections of layers below are not passed to the classifier: they prove nothing about the service. A passed
/// deadline counts as a caller that left. The [counted
/// rejections](crate::breaker::CircuitBreakerBuilder::count_rejections) of a breaker apply to
/// [`Admitted::outcome_of`](crate::breaker::Admitted::outcome_of) only.
pub fn outcome_of<T, E: CarriesRejection, C: Classify<T, E>>(
    classifier: &C,
    result: Result<&T, &E>,
) -> Outcome {
    match result.err().and_then(CarriesRejection::rejection) {
        None => classifier.classify(result),
        Some(rejection) => match rejection.kind() {
            RejectionKind::TimedOut if rejection.may_have_run() => Outcome::TimedOut,
            RejectionKind::DeadlineExceeded => Outcome::Abandoned,
            // The call never reached the service.
            _ => Outcome::NotReady(rejection.retry_hint()),
        },
    }
}

pub(super) fn sample() -> f64 {
    use rand::RngExt;
    rand::rng().random()
}

/// The last number of a change, of all circuits of the process: the next circuit that is made for a key goes on
/// counting.
static LAST_CHANGE: AtomicU64 = AtomicU64::new(0);

/// The changes of a circuit while its lock was held, in order. Numbered under the lock, so that the numbers have the
/// order of the changes however late the listener is notified.
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
