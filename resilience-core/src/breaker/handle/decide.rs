//! What the handle adds to the engine: time, chance, the lock, and who is told.

use std::cell::OnceCell;
use std::error::Error as StdError;
use std::time::Instant;

use super::CircuitBreaker;
use super::changed::{Changed, Numbered};
use crate::breaker::circuit::{Admission, Circuit, Refusal};
use crate::breaker::config::CircuitConfig;
use crate::breaker::guard::Whose;
use crate::breaker::state::Change;
use crate::clock::{self, Now};
use crate::ended::Ended;
use crate::error::CarriesRejection;
use crate::name::Name;
use crate::observe::{ErrorText, Event, type_of};
use crate::outcome::{Classify, Outcome};
use crate::rejection::{Quantity, Rejection, RejectionKind};
use crate::tick::Tick;

impl CircuitBreaker {
    /// Refuses what would be refused for certain.
    #[cfg(feature = "tower")]
    #[inline]
    pub(in crate::breaker) fn check(
        &self,
        whose: &impl Whose,
        now: &mut Now,
    ) -> Result<(), Rejection> {
        if self.0.cell.passes_all() {
            return Ok(());
        }
        match self.refuse(whose, now) {
            Some(rejection) => Err(rejection),
            None => self.check_closely(whose, now.tick()),
        }
    }

    /// Refuses a call in a break that nobody else needs to hear of. If not, [`admit`](Self::admit) may, or
    /// [`check`](Self::check).
    #[inline]
    pub(in crate::breaker) fn refuse(
        &self,
        whose: &impl Whose,
        now: &mut Now,
    ) -> Option<Rejection> {
        if !self.0.family.listener.is_none() {
            return None;
        }
        let refusal = self.0.cell.refuse(&self.0.family.rules, || now.tick())?;
        Some(self.rejection(refusal, whose))
    }

    #[cfg(feature = "tower")]
    #[cold]
    fn check_closely(&self, whose: &impl Whose, now: Tick) -> Result<(), Rejection> {
        let (changed, refusal) = self.locked(|config, circuit| {
            let changed = Changed::new(&circuit.advance_at(config, now, sample), None);
            let refusal = circuit.refusal_at(config, now).filter(|_| !config.observe_only);
            if refusal.is_some() {
                circuit.refused(1);
            }
            (changed, refusal)
        });
        self.tell(&changed, whose);
        refusal.map_or(Ok(()), |refusal| Err(self.reject(refusal, whose)))
    }

    /// Admits to a circuit that is closed. If not, [`admit`](Self::admit) may, and knows why not.
    #[inline(always)]
    pub(in crate::breaker) fn glance(&self, now: &mut Now) -> Option<Admission> {
        self.0.cell.glance(|| now.tick())
    }

    /// Decides about a call that was neither admitted at a [glance](Self::glance) nor [refused](Self::refuse).
    /// Nothing of one that passes though it would have been refused will be counted.
    #[cold]
    pub(in crate::breaker) fn admit(
        &self,
        whose: &impl Whose,
        now: &mut Now,
    ) -> Result<Option<Admission>, Rejection> {
        let now = now.tick();
        let (changed, admitted, observe_only) = self.locked(|config, circuit| {
            let changed = Changed::new(&circuit.advance_at(config, now, sample), None);
            (changed, circuit.admit_at(config, now, sample), config.observe_only)
        });
        self.tell(&changed, whose);
        match admitted {
            Ok(admission) => Ok(Some(admission)),
            Err(refusal) if observe_only => {
                let rejection = self.rejection(refusal, whose);
                self.0.family.listener.tell(|| Event::WouldReject(&rejection));
                Ok(None)
            }
            Err(refusal) => Err(self.reject(refusal, whose)),
        }
    }

    /// Rejects or admits a call that was not admitted at a [glance](Self::glance).
    #[cfg(feature = "tower")]
    #[cold]
    pub(in crate::breaker) fn refuse_or_admit(
        &self,
        whose: &impl Whose,
        now: &mut Now,
    ) -> Result<Option<Admission>, Rejection> {
        match self.refuse(whose, now) {
            Some(rejection) => Err(rejection),
            None => self.admit(whose, now),
        }
    }

    /// Counts a call that went well, if that is all there is to do. If not, [`record`](Self::record) does it.
    #[inline(always)]
    pub(in crate::breaker) fn count(&self, admission: &Admission) -> bool {
        let (cell, rules) = (&self.0.cell, &self.0.family.rules);
        !admission.is_timed() && cell.count_good(rules, admission, Tick::now)
    }

    /// How a call ended that belongs to nobody's key.
    // Not of what holds the admission: whose address is taken is kept in memory, written in parts and read whole.
    #[inline(never)]
    pub(in crate::breaker) fn told(&self, admission: Admission, outcome: Outcome) {
        self.record(admission, outcome.into(), &(), &mut Now::unread());
    }

    /// Records how a call ended that belongs to no key, with its error.
    #[inline(never)]
    pub(in crate::breaker) fn told_with(&self, admission: Admission, ended: Ended<'_>) {
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
            && self.0.family.rules.see().counted_rejections.contains(&kind)
    }

    /// A success is counted in the moment of the poll. Of everything else it is asked when it was, and
    /// of a success how long it took, if it may count as slow.
    #[inline(always)]
    pub(in crate::breaker) fn record(
        &self,
        admission: Admission,
        ended: Ended<'_>,
        whose: &impl Whose,
        now: &mut Now,
    ) {
        let outcome = ended.outcome;
        if admission.is_timed() || outcome != Outcome::Success {
            now.again();
        }
        let (cell, rules) = (&self.0.cell, &self.0.family.rules);
        if outcome != Outcome::Success || !cell.count_good(rules, &admission, || now.tick()) {
            self.record_closely(admission, ended, whose, now.tick());
        }
    }

    #[cold]
    fn record_closely(
        &self,
        admission: Admission,
        ended: Ended<'_>,
        whose: &impl Whose,
        now: Tick,
    ) {
        let outcome = ended.outcome;
        self.0.family.rules.ended.add(outcome, 1);
        let changed = self.locked(|config, circuit| {
            // Time alone does nothing to a circuit that lets all pass, and most do.
            let changes = (!circuit.passes_all()).then(|| circuit.advance_at(config, now, sample));
            let change = circuit.record_at(config, admission, outcome, now, sample);
            (changes.is_some() || change.is_some())
                .then(|| Changed::new(&changes.unwrap_or_default(), change))
        });
        self.tell_unknown(ended, whose);
        if let Some(changed) = changed {
            self.tell_of(&changed, ended.error, whose);
        }
    }

    /// Notifies the listener of the first failure of this breaker that no code recognised.
    fn tell_unknown(&self, ended: Ended<'_>, whose: &impl Whose) {
        let Ended { outcome: Outcome::Unknown, error, error_type: Some(error_type), .. } = ended
        else {
            return;
        };
        let family = &*self.0.family;
        if family.listener.is_none() || !family.rules.meets_unknown() {
            return;
        }
        // Made in the event, whose panics are caught.
        let (key, name) = (OnceCell::new(), OnceCell::new());
        family.listener.tell(|| Event::UnknownError {
            layer: family.name.as_str(),
            key: key.get_or_init(|| self.key(whose)).as_ref().map(Name::as_str),
            error_type: name.get_or_init(|| type_of(error_type, error)),
            error: error.map(ErrorText::of),
        });
    }

    #[inline]
    pub(super) fn locked<R>(&self, body: impl FnOnce(&CircuitConfig, &mut Circuit) -> R) -> R {
        self.0.cell.with(&self.0.family.rules, body)
    }

    /// Looks at the circuit as it is now.
    pub(super) fn look<R>(
        &self,
        body: impl FnOnce(&CircuitConfig, &mut Circuit, Instant) -> R,
    ) -> R {
        self.change(|config, circuit, now| (None, body(config, circuit, now)))
    }

    /// Looks at it, and changes it.
    pub(super) fn change<R>(
        &self,
        body: impl FnOnce(&CircuitConfig, &mut Circuit, Instant) -> (Option<Change>, R),
    ) -> R {
        let now = clock::now();
        let (changed, result) = self.locked(|config, circuit| {
            let changes = circuit.advance(config, now, sample);
            let (change, result) = body(config, circuit, now);
            (Changed::new(&changes, change), result)
        });
        self.tell(&changed, &());
        result
    }

    /// Changes it.
    pub(super) fn become_(
        &self,
        body: impl FnOnce(&CircuitConfig, &mut Circuit, Instant) -> Option<Change>,
    ) {
        self.change(|config, circuit, now| (body(config, circuit, now), ()));
    }

    fn tell(&self, changed: &Changed, whose: &impl Whose) {
        self.tell_of(changed, None, whose);
    }

    /// Notifies the listener, outside of the lock: it may use the breaker.
    fn tell_of(
        &self,
        changed: &Changed,
        error: Option<&(dyn StdError + 'static)>,
        whose: &impl Whose,
    ) {
        let family = &*self.0.family;
        if family.listener.is_none() {
            return;
        }
        for Numbered { sequence, change } in changed.iter() {
            let Change { from, to, reason, retry_after } = change;
            let layer = family.name.as_str();
            // Named in the event, whose panics are caught: an admission may be in the caller's hands.
            let key = OnceCell::new();
            family.listener.tell(|| {
                let key = key.get_or_init(|| self.key(whose)).as_ref().map(Name::as_str);
                let error = error.map(ErrorText::of);
                Event::CircuitChanged { layer, key, sequence, from, to, reason, retry_after, error }
            });
        }
    }

    #[inline]
    fn key(&self, whose: &impl Whose) -> Option<Name> {
        let own = self.0.family.key.as_ref();
        whose.name().or_else(|| own.map(own_key))
    }

    #[cold]
    fn reject(&self, refusal: Refusal, whose: &impl Whose) -> Rejection {
        let rejection = self.rejection(refusal, whose);
        self.0.family.listener.tell(|| Event::Rejected(&rejection));
        rejection
    }

    #[inline]
    fn rejection(&self, refusal: Refusal, whose: &impl Whose) -> Rejection {
        let Refusal { observed, limit, unit, retry_after, .. } = refusal;
        let name = self.0.family.name.clone();
        let counts = (observed.map(Quantity::Count), limit.map(Quantity::Count), unit);
        let (kind, retry) = (RejectionKind::CircuitOpen, retry_after.into());
        Rejection::whole(kind, name, self.key(whose), counts, retry)
    }
}

/// Away from those that have none.
#[cold]
fn own_key(key: &Name) -> Name {
    key.clone()
}

/// How a call that ended so counts with a circuit. For layers of one's own.
///
/// What a refusal from below means is not the classifier's to say. Of a caller that ran out of time
/// nothing is known; it might as well have left. Knows of no breaker's
/// [counted rejections](crate::breaker::CircuitBreakerBuilder::count_rejections):
/// [`Admitted::outcome_of`](crate::breaker::Admitted::outcome_of) does.
pub fn outcome_of<T, E: CarriesRejection, C: Classify<T, E>>(
    classifier: &C,
    result: Result<&T, &E>,
) -> Outcome {
    match result.err().and_then(CarriesRejection::rejection) {
        None => classifier.classify(result),
        Some(rejection) => match rejection.kind() {
            RejectionKind::TimedOut if rejection.may_have_run() => Outcome::TimedOut,
            RejectionKind::DeadlineExceeded => Outcome::Abandoned,
            // Kept in the house: of the other side nothing is known.
            _ => Outcome::NotReady(rejection.retry_hint()),
        },
    }
}

pub(super) fn sample() -> f64 {
    use rand::RngExt;
    rand::rng().random()
}
