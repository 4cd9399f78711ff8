use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use super::acquire::Acquire;
use super::bucket::{instant_at, line_of};
use super::builder::{RateConfig, RateLimiterBuilder};
use super::gate::At;
use super::meter::{Grant, Meter};
use super::permit::RatePermit;
use super::quota::Quota;
use super::refused::Refused;
use super::reservation::Reservation;
use super::terms::Terms;
use crate::clock::{self, MAX_WAIT};
use crate::config::InvalidConfig;
use crate::keyed::{Entry, allocated};
use crate::name::Name;
use crate::observe::{Event, Gauges, Listener, names};
use crate::rejection::Rejection;

/// So many in any time, and no more. See the [module](super).
///
/// Clones share the bucket, the queue and the configuration; [`fresh`](RateLimiter::fresh) ones the
/// configuration only.
#[derive(Clone)]
pub struct RateLimiter(Arc<Cell>);

/// Small, since there may be one for each of a million keys.
struct Cell {
    state: Mutex<State>,
}

struct State {
    terms: Arc<Terms>,
    meter: Meter,
}

/// What a limiter holds at one moment. For metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateSnapshot {
    /// What it goes by.
    pub quota: Quota,
    /// The most tokens that a new call gets at once: 0 while others wait, and during a pause or a gap. By
    /// the limit also where it only observes, and lets everything pass.
    pub available: u32,
    /// Calls that wait for one, reservations included.
    pub queued: u32,
    /// Calls that were let through, less those whose tokens were refunded before the next call.
    pub admitted: u64,
    /// Calls that were refused, or would have been.
    pub rejected: u64,
    /// For how long nobody is let through, because a server asked for it.
    pub paused_for: Option<Duration>,
}

impl RateLimiter {
    /// Starts from the defaults: waits for at most 30 s behind at most 1,024 others, follows a server's
    /// hint for at most five minutes. There is no default for the quota.
    pub fn builder() -> RateLimiterBuilder {
        RateLimiterBuilder::new()
    }

    pub(super) fn new(name: Name, listener: Listener, config: RateConfig) -> RateLimiter {
        RateLimiter::over(Terms::new(name, listener, config))
    }

    fn over(terms: Arc<Terms>) -> RateLimiter {
        RateLimiter(Arc::new(Cell { state: Mutex::new(State { terms, meter: Meter::default() }) }))
    }

    /// What is in force.
    fn terms(&self) -> Arc<Terms> {
        // Not in one go: making terms anew takes another lock.
        let terms = self.0.state.lock().terms.clone();
        if terms.are_current() { terms } else { terms.newest() }
    }

    /// What is in force.
    #[cfg(feature = "tower")]
    pub(super) fn config(&self) -> Arc<Terms> {
        self.terms()
    }

    /// A full bucket of its own, under the same configuration, whatever that will be.
    #[must_use]
    pub fn fresh(&self) -> RateLimiter {
        RateLimiter::over(self.terms())
    }

    /// Whether calls wait, or are paused.
    pub(crate) fn is_busy(&self, now: Instant) -> bool {
        let state = self.0.state.lock();
        state.meter.desk().is_some_and(|desk| desk.queue.len() > 0)
            || state.meter.paused_until() > line_of(now)
    }

    /// Takes so many tokens, if nobody waits and they are there. For calls that are made at once.
    ///
    /// # Errors
    /// [`RateLimited`](crate::RejectionKind::RateLimited), with when to come back.
    #[inline]
    pub fn check(&self, cost: u32) -> Result<(), Rejection> {
        self.check_at(clock::now(), cost)
    }

    /// As [`check`](Self::check), for a caller that has just read the clock.
    ///
    /// # Errors
    /// As `check`.
    #[inline]
    pub fn check_at(&self, now: Instant, cost: u32) -> Result<(), Rejection> {
        let ns = line_of(now);
        if self.take_fast(ns, cost).is_some() {
            return Ok(());
        }
        match self.take_slow(ns, cost) {
            Ok(_) => Ok(()),
            Err(refused) => refused.told(None),
        }
    }

    /// Takes the tokens if the bucket alone decides. `None` means "not decided": [`take_slow`](Self::take_slow)
    /// decides, and knows the reason of a rejection. Runs no code of the user, so it may be called under a lock.
    #[inline(always)]
    pub(super) fn take_fast(&self, now: u64, cost: u32) -> Option<Grant> {
        let mut state = self.0.state.lock();
        let State { terms, meter } = &mut *state;
        let admitted = terms.are_current() && meter.admit(&terms.pace, now, cost);
        admitted.then(|| meter.newest(&terms.pace, cost))
    }

    /// As [`check_at`](Self::check_at), of a key's limiter.
    ///
    /// # Errors
    /// As `check`.
    #[inline(never)]
    pub(super) fn check_of(&self, now: Instant, cost: u32, key: Name) -> Result<(), Rejection> {
        match self.take(now, cost) {
            Ok(_) => Ok(()),
            Err(refused) => refused.told(Some(key)),
        }
    }

    /// As [`check`](Self::check), for a call that may still not be made: the permit can be refunded.
    ///
    /// # Errors
    /// As `check`.
    pub fn try_acquire(&self, cost: u32) -> Result<RatePermit, Rejection> {
        self.try_acquire_for(cost, || None)
    }

    /// Takes `cost` tokens as [`try_acquire`](Self::try_acquire) does, from a limiter that belongs to one key.
    /// `key` is called when there are too few, for the rejection and its event.
    ///
    /// # Errors
    /// [`RateLimited`](crate::RejectionKind::RateLimited), with the key and the time after which to retry.
    pub fn try_acquire_for(
        &self,
        cost: u32,
        key: impl FnOnce() -> Option<Name>,
    ) -> Result<RatePermit, Rejection> {
        let grant = match self.take(clock::now(), cost) {
            Ok(grant) => Some(grant),
            Err(refused) => refused.told(key())?,
        };
        Ok(RatePermit::new(self.clone(), grant))
    }

    /// Waits for so many tokens, in the order of arrival, as long as the configuration and the
    /// [deadline](crate::Deadline) of the caller allow; refused at once if it is known to take longer.
    /// Nothing is asked for before the first poll. Dropping the future gives up the place, and those
    /// behind it come sooner. Needs a tokio runtime with its timer only if there is a wait.
    pub fn acquire(&self, cost: u32) -> Acquire {
        Acquire::new(self.clone(), cost)
    }

    /// Takes a place behind those who wait, for a call that is made later.
    ///
    /// # Errors
    /// [`RateLimited`](crate::RejectionKind::RateLimited), if its turn is later than the configuration
    /// and the [deadline](crate::Deadline) of the caller allow, or the queue is full.
    pub fn reserve(&self, cost: u32) -> Result<Reservation, Rejection> {
        Reservation::new(self.clone(), cost)
    }

    /// Admits nobody for so long (at most a year). An earlier end does not shorten a pause that is in
    /// force. Those who would now wait too long are refused at once.
    pub fn pause_for(&self, pause: Duration) {
        self.pause(pause.min(MAX_WAIT), None);
    }

    /// The same of a key's limiter.
    #[cfg(feature = "profiles")]
    pub(crate) fn pause_of(&self, pause: Duration, key: Option<Name>) {
        self.pause(pause.min(MAX_WAIT), key);
    }

    /// Ends a pause.
    pub fn resume(&self) {
        self.change(|meter, _| meter.resume());
    }

    /// Puts another configuration into force, here and for every limiter made by
    /// [`fresh`](RateLimiter::fresh). The name, the listener, a pause, the queue and the numbers of the
    /// snapshot stay. Used tokens stay used. Calls that wait keep their place and the time they were
    /// given; one that now costs more than the burst, or would be served too late, is rejected. A
    /// [reservation](RateLimiter::reserve) of more than the burst loses its place.
    ///
    /// Under another quota, tokens that were taken before the change cannot be refunded. Calls that wait
    /// for another key's limit notice the change when their timer fires, or at the next call for that key.
    pub fn set_config(&self, config: RateConfig) {
        self.terms().replace(config);
        self.change(|_, _| ());
    }

    /// As [`set_config`](Self::set_config), with another quota only.
    ///
    /// # Errors
    /// If a value of the quota is out of its bounds.
    pub fn set_quota(
        &self,
        quota: impl crate::config::OrInvalid<Quota>,
    ) -> Result<(), InvalidConfig> {
        let quota = quota.or_invalid()?;
        let mut config = RateConfig::clone(&self.terms());
        config.pace.quota = quota;
        self.set_config(config);
        Ok(())
    }

    /// What it holds now.
    #[must_use]
    pub fn snapshot(&self) -> RateSnapshot {
        let now = clock::now();
        self.with(now, |meter, at, _| RateSnapshot {
            quota: *at.pace.quota(),
            available: meter.free(at),
            queued: meter.desk().map_or(0, |desk| desk.queue.len()),
            admitted: meter.admitted,
            rejected: meter.rejected(),
            paused_for: meter
                .paused_until()
                .checked_sub(at.now)
                .filter(|left| *left > 0)
                .map(Duration::from_nanos),
        })
    }

    /// Decides under the lock, by what is in force.
    #[inline]
    pub(super) fn with<R>(
        &self,
        now: Instant,
        decision: impl FnOnce(&mut Meter, At<'_>, &Arc<Terms>) -> R,
    ) -> R {
        self.with_line(line_of(now), decision)
    }

    /// As [`with`](Self::with), at a time on the bucket's line.
    #[inline]
    fn with_line<R>(
        &self,
        now: u64,
        decision: impl FnOnce(&mut Meter, At<'_>, &Arc<Terms>) -> R,
    ) -> R {
        let mut state = self.current(|| now);
        let State { terms, meter } = &mut *state;
        decision(meter, At { pace: &terms.pace, now }, terms)
    }

    /// Locks the state, and applies the newest configuration. `now` is read only if that is another one.
    fn current(&self, now: impl Fn() -> u64) -> MutexGuard<'_, State> {
        let mut state = self.0.state.lock();
        while let Some(former) = Terms::refresh(&mut state.terms) {
            state = self.changed(state, former, now());
        }
        state
    }

    /// Carries out a change of the configuration that was just seen. Before anything is decided, since it
    /// runs what is the user's: wakers, and the drop of the former listener.
    #[cold]
    fn changed<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        former: Arc<Terms>,
        now: u64,
    ) -> MutexGuard<'a, State> {
        let State { terms, meter } = &mut *state;
        meter.change(&former.pace, &terms.pace, now);
        let wakes = meter.reconsider(At { pace: &terms.pace, now });
        drop(state);
        wakes.wake();
        drop(former);
        self.0.state.lock()
    }

    /// Takes the tokens now, or says why not.
    pub(super) fn take(&self, now: Instant, cost: u32) -> Result<Grant, Refused> {
        let now = line_of(now);
        self.take_fast(now, cost).map_or_else(|| self.take_slow(now, cost), Ok)
    }

    /// Slow path of [`take`](Self::take): applies the queue, a pause and the minimum gap, and says why a call is
    /// rejected.
    #[cold]
    #[inline(never)]
    fn take_slow(&self, now: u64, cost: u32) -> Result<Grant, Refused> {
        self.with_line(now, |meter, at, terms| {
            meter.try_pass(at, cost).map_err(|refusal| Refused::new(meter, at, terms, refusal))
        })
    }

    /// Changes what may be of matter to all who wait.
    fn change<R>(&self, change: impl FnOnce(&mut Meter, At<'_>) -> R) -> R {
        let (changed, wakes) = self.with(clock::now(), |meter, at, _| {
            let changed = change(meter, at);
            (changed, meter.reconsider(at))
        });
        wakes.wake();
        changed
    }

    /// Pauses, and tells of it.
    pub(super) fn pause(&self, pause: Duration, key: Option<Name>) {
        self.change(|meter, at| meter.pause(at.now.saturating_add(clock::nanos(pause))));
        let terms = self.terms();
        terms.listener().tell(|| Event::RatePaused {
            layer: terms.name().as_str(),
            key: key.as_ref().map(Name::as_str),
            pause,
        });
    }

    /// Follows a server's hint, up to the longest that is allowed.
    #[cfg(feature = "tower")]
    pub(crate) fn follow_hint(&self, hint: Duration, key: Option<Name>) {
        let longest = self.terms().longest_hint;
        self.pause(hint.min(longest), key);
    }

    pub(super) fn refund(&self, grant: Grant) {
        let mut state = self.current(|| line_of(clock::now()));
        let State { terms, meter } = &mut *state;
        meter.give_back(&terms.pace, grant);
        let wakes = meter.wake_keeper();
        drop(state);
        wakes.wake();
    }
}

/// [`names::RATE_AVAILABLE`] and [`names::RATE_QUEUED`].
impl Gauges for RateLimiter {
    fn gauges(&self, visit: &mut dyn FnMut(&'static str, f64)) {
        let now = self.snapshot();
        visit(names::RATE_AVAILABLE, f64::from(now.available));
        visit(names::RATE_QUEUED, f64::from(now.queued));
    }
}

/// Pinned while there is another handle, a call waits, or a pause lasts. Remembers tokens until they are back,
/// the minimum gap, and a warm-up until it would begin anew. Of two with the same quota, the fuller one is
/// evicted first.
impl Entry for RateLimiter {
    fn is_pinned(&self, now: Instant) -> bool {
        Arc::strong_count(&self.0) > 1 || self.is_busy(now)
    }

    fn remembers_until(&self, now: Instant) -> Option<Instant> {
        let state = self.0.state.lock();
        // By the configuration that the bucket was used under: reading the newest takes another lock.
        let as_new = state.meter.as_new_at(&state.terms.pace);
        (as_new > line_of(now)).then(|| instant_at(as_new))
    }

    /// Sixteen for the two counts of the `Arc`.
    fn heap_bytes(&self) -> usize {
        allocated(16 + size_of::<Cell>()) + self.0.state.lock().meter.heap_bytes()
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter").field("name", self.terms().name()).finish_non_exhaustive()
    }
}
