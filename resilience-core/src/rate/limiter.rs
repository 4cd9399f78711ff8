use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use super::acquire::Acquire;
use super::bucket::{instant_at, line_of};
use super::builder::{RateConfig, RateLimiterBuilder};
use super::gate::At;
use super::lease;
use super::meter::{Grant, Meter};
use super::permit::RatePermit;
use super::quota::Quota;
use super::refused::Refused;
use super::reservation::Reservation;
use super::terms::Terms;
use crate::clock::{self, MAX_WAIT};
use crate::config::InvalidConfig;
use crate::keyed::{Entry, allocation_size};
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
    /// Calls that were let through, less those that were taken back before the next. A call by a token that its thread was
    /// lent stays counted.
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
        if self.glance(ns, cost, |_| ()) {
            return Ok(());
        }
        match self.look(ns, cost) {
            Ok(_) => Ok(()),
            Err(refused) => refused.told(None),
        }
    }

    /// Takes so many tokens where nothing but tokens counts, and tells what to give them back by. If not,
    /// [`look`](Self::look) may, and knows why not. Calls nobody else, so that it can be asked under a lock.
    ///
    /// A grant is told to who keeps it where it is made: handed on, it would be written in parts and then copied whole,
    /// which stalls.
    #[inline(always)]
    pub(super) fn glance(&self, now: u64, cost: u32, mut granted: impl FnMut(Grant)) -> bool {
        if cost == 1 && lease::take_of(self.address(), now, &mut granted) {
            return true;
        }
        let Some(mut state) = self.0.state.try_lock() else {
            return self.glance_among_others(now, cost).map(granted).is_some();
        };
        let State { terms, meter } = &mut *state;
        if !terms.are_current() {
            return false;
        }
        if meter.admit(&terms.pace, now, cost) {
            granted(meter.newest(&terms.pace, cost));
            return true;
        }
        meter.is_lent() && self.take_and_lend(state, now, cost, false).map(granted).is_some()
    }

    /// Where another thread has the lock: the next calls had better do without.
    #[cold]
    #[inline(never)]
    fn glance_among_others(&self, now: u64, cost: u32) -> Option<Grant> {
        let state = self.0.state.lock();
        // Whoever had it may have lent some to this one.
        let mut lent = None;
        if cost == 1 && lease::take_of(self.address(), now, |grant| lent = Some(grant)) {
            return lent;
        }
        self.take_and_lend(state, now, cost, true)
    }

    /// Where some are lent, or are about to be: to those who took what they had, and to this thread if it met another.
    #[cold]
    #[inline(never)]
    fn take_and_lend(
        &self,
        mut state: MutexGuard<'_, State>,
        now: u64,
        cost: u32,
        among_others: bool,
    ) -> Option<Grant> {
        let State { terms, meter } = &mut *state;
        if !terms.are_current() {
            return None;
        }
        let mut lent = meter.call_in(&terms.pace);
        let grant = meter.admit(&terms.pace, now, cost).then(|| meter.newest(&terms.pace, cost));
        if grant.is_some() && (among_others || lent.is_to_others()) {
            lease::claim(self.address(), now).into_iter().for_each(|lease| lent.join(lease));
            meter.lend(At { pace: &terms.pace, now }, terms, lent);
        }
        meter.tidy();
        grant
    }

    /// Which it is, while it is there.
    #[inline]
    fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// As [`check_at`](Self::check_at), of a key's limiter.
    ///
    /// # Errors
    /// As `check`.
    #[inline(never)]
    pub(super) fn check_of(&self, now: Instant, cost: u32, key: Name) -> Result<(), Rejection> {
        match self.pass(now, cost) {
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
        let grant = match self.pass(clock::now(), cost) {
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
        let mut state = self.0.state.lock();
        while let Some(former) = Terms::refresh(&mut state.terms) {
            state = self.changed(state, former, now);
        }
        decide(state, now, decision)
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
        // Under the configuration that it was lent under.
        drop(meter.call_in(&former.pace));
        meter.change(&former.pace, &terms.pace, now);
        let wakes = meter.reconsider(At { pace: &terms.pace, now });
        meter.tidy();
        drop(state);
        wakes.wake();
        drop(former);
        self.0.state.lock()
    }

    /// Takes so many tokens at once, or not at all.
    #[inline]
    pub(super) fn pass(&self, now: Instant, cost: u32) -> Result<Grant, Refused> {
        let (now, mut grant) = (line_of(now), None);
        self.glance(now, cost, |taken| grant = Some(taken));
        grant.map_or_else(|| self.look(now, cost), Ok)
    }

    /// The same, by all that counts.
    #[cold]
    #[inline(never)]
    fn look(&self, now: u64, cost: u32) -> Result<Grant, Refused> {
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
        let mut state = self.0.state.lock();
        while let Some(former) = Terms::refresh(&mut state.terms) {
            // What has changed is a matter of when.
            state = self.changed(state, former, line_of(clock::now()));
        }
        let wakes = decide(state, 0, |meter, at, _| {
            meter.give_back(at.pace, grant);
            meter.wake_keeper()
        });
        wakes.wake();
    }
}

/// Decides, after what is lent was called in.
#[inline]
fn decide<R>(
    mut state: MutexGuard<'_, State>,
    now: u64,
    decision: impl FnOnce(&mut Meter, At<'_>, &Arc<Terms>) -> R,
) -> R {
    let State { terms, meter } = &mut *state;
    drop(meter.call_in(&terms.pace));
    let at = At { pace: &terms.pace, now };
    let decided = decision(meter, at, terms);
    meter.tidy();
    decided
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
        let mut state = self.0.state.lock();
        let State { terms, meter } = &mut *state;
        // By the configuration that the bucket was used under: reading the newest takes another lock.
        drop(meter.call_in(&terms.pace));
        meter.tidy();
        let as_new = meter.as_new_at(&terms.pace);
        (as_new > line_of(now)).then(|| instant_at(as_new))
    }

    /// Sixteen for the two counts of the `Arc`.
    fn heap_bytes(&self) -> usize {
        allocation_size(16 + size_of::<Cell>()) + self.0.state.lock().meter.heap_bytes()
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter").field("name", self.terms().name()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    /// A hundred an hour, of which this thread takes one while others ask.
    fn asked_among_others(now: Instant) -> RateLimiter {
        let builder = RateLimiter::builder().quota(Quota::per(100, HOUR)).reject();
        let limiter = builder.build().unwrap();
        limiter.glance_among_others(line_of(now), 1).unwrap();
        limiter
    }

    /// One that lends some to this thread.
    fn lending() -> (RateLimiter, Instant) {
        let now = clock::now();
        let limiter = asked_among_others(now);
        assert!(limiter.0.state.lock().meter.is_lent());
        (limiter, now)
    }

    /// Takes one of them.
    fn lent_to(limiter: &RateLimiter, now: Instant) -> Grant {
        let grant = limiter.pass(now, 1).unwrap();
        assert!(matches!(grant, Grant::Lent { .. }), "{grant:?}");
        grant
    }

    #[test]
    fn what_is_lent_is_not_missed() {
        let (limiter, now) = lending();
        for _ in 0..49 {
            limiter.check_at(now, 1).unwrap();
        }
        assert!(limiter.0.state.lock().meter.is_lent(), "and not called in since");
        let seen = limiter.snapshot();
        assert_eq!((seen.available, seen.admitted), (50, 50));
        limiter.check_at(now, 50).unwrap();
        limiter.check_at(now, 1).unwrap_err();
    }

    #[test]
    fn who_is_lent_to_takes_no_more_than_there_is() {
        let (limiter, now) = lending();
        assert_eq!((0..200).filter(|_| limiter.check_at(now, 1).is_ok()).count(), 99);
    }

    #[test]
    fn a_pause_holds_for_what_is_lent() {
        let (limiter, now) = lending();
        limiter.check_at(now, 1).unwrap();
        limiter.pause_for(HOUR);
        limiter.check_at(now, 1).unwrap_err();
        limiter.resume();
        limiter.check_at(now, 1).unwrap();
        assert_eq!(limiter.snapshot().admitted, 3);
    }

    /// It is made by another limiter of the same configuration.
    #[test]
    fn a_change_holds_for_what_is_lent() {
        let (limiter, now) = lending();
        limiter.fresh().set_quota(Quota::per(1, HOUR)).unwrap();
        limiter.check_at(now, 1).unwrap_err();
    }

    #[tokio::test]
    async fn nobody_overtakes_by_what_is_lent() {
        let builder = RateLimiter::builder().quota(Quota::per(100, HOUR)).wait();
        let (limiter, now) = (builder.build().unwrap(), clock::now());
        limiter.glance_among_others(line_of(now), 1).unwrap();
        let _permit = limiter.acquire(90).await.unwrap();
        let mut waits = tokio_test::task::spawn(limiter.acquire(50));
        assert!(waits.poll().is_pending());
        limiter.check_at(now, 1).unwrap_err();
        drop(waits);
        limiter.check_at(now, 1).unwrap();
    }

    #[test]
    fn a_thread_is_lent_to_by_one_limiter_until_it_is_gone() {
        let (first, now) = lending();
        let second = asked_among_others(now);
        assert!(!second.0.state.lock().meter.is_lent());
        first.check_at(now, 1).unwrap();
        drop(first);
        second.glance_among_others(line_of(now), 1).unwrap();
        assert!(second.0.state.lock().meter.is_lent());
    }

    /// What the first still has of it is called in, as ever.
    #[test]
    fn a_thread_is_lent_to_by_another_once_it_takes_nothing_of_the_first() {
        let (first, now) = lending();
        let _taken = lent_to(&first, now);
        let now = now + Duration::from_millis(1);
        let second = asked_among_others(now);
        let _taken = lent_to(&second, now);
        for limiter in [first, second] {
            assert_eq!((0..200).filter(|_| limiter.check_at(now, 1).is_ok()).count(), 98);
        }
    }

    /// It took something of the first at an instant that is far ahead.
    #[test]
    fn a_far_instant_keeps_no_thread_to_one_limiter() {
        let now = clock::now();
        let first = asked_among_others(now + HOUR);
        let _taken = lent_to(&first, now + HOUR);
        let second = asked_among_others(now);
        let _taken = lent_to(&second, now);
        assert_eq!((0..200).filter(|_| second.check_at(now, 1).is_ok()).count(), 98);
    }

    /// As if they had never been there: the last and the one before it, whichever comes first.
    #[test]
    fn what_is_lent_and_not_used_goes_back() {
        for order in [[0, 1], [1, 0]] {
            let (limiter, now) = lending();
            let grants = [(); 2].map(|()| lent_to(&limiter, now));
            order.into_iter().for_each(|which: usize| limiter.refund(grants[which]));
            assert_eq!(limiter.snapshot().available, 99, "{order:?}");
            assert_eq!((0..200).filter(|_| limiter.check_at(now, 1).is_ok()).count(), 99);
        }
    }

    /// As does what was taken before, and is not the last.
    #[test]
    fn what_went_back_before_does_not_count_twice() {
        let (limiter, now) = lending();
        let [first, _second] = [40, 2].map(|cost| limiter.pass(now, cost).unwrap());
        limiter.refund(first);
        limiter.glance_among_others(line_of(now), 1).unwrap();
        let grant = lent_to(&limiter, now);
        limiter.refund(grant);
        assert_eq!(limiter.snapshot().available, 100 - 1 - 2 - 1);
    }

    /// The bucket has filled since they were lent.
    #[test]
    fn what_is_lent_for_long_goes_back() {
        let (limiter, now) = lending();
        let grant = lent_to(&limiter, now + HOUR);
        limiter.refund(grant);
        assert_eq!((0..200).filter(|_| limiter.check_at(now + HOUR, 1).is_ok()).count(), 100);
    }

    #[test]
    fn what_was_lent_by_another_quota_does_not_go_back() {
        let (limiter, now) = lending();
        let grant = lent_to(&limiter, now);
        limiter.set_quota(Quota::per(10, HOUR)).unwrap();
        let before = limiter.snapshot().available;
        limiter.refund(grant);
        assert_eq!(limiter.snapshot().available, before);
    }

    /// A thread that is alone again goes by the lock again.
    #[test]
    fn who_is_alone_is_lent_nothing() {
        let (limiter, now) = lending();
        limiter.check_at(now, 1).unwrap();
        limiter.check_at(now, 2).unwrap();
        assert!(!limiter.0.state.lock().meter.is_lent());
        assert_eq!(limiter.heap_bytes(), limiter.fresh().heap_bytes());
    }
}
