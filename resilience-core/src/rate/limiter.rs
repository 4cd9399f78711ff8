use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use super::acquire::Acquire;
use super::bucket::{available, line, line_of};
use super::builder::{RateConfig, RateLimiterBuilder};
use super::gate::{At, Wakes};
use super::lease;
use super::lent::Lent;
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
use crate::observe::Event;
use crate::rejection::Rejection;
use crate::tick::Tick;

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
    /// Tokens that are there.
    pub available: u32,
    /// Calls that wait for one, reservations included.
    pub queued: u32,
    /// Calls that were let through, less those that were taken back before the next.
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

    pub(super) fn new(config: RateConfig) -> RateLimiter {
        RateLimiter::over(Terms::new(config))
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
        if cost == 1 && lease::take_of(self.address(), ns) {
            return Ok(());
        }
        let Some(mut state) = self.0.state.try_lock() else {
            return self.check_among_others(ns, cost);
        };
        let former = Terms::refresh(&mut state.terms);
        let State { terms, meter } = &mut *state;
        if former.is_none() && meter.admit(&terms.pace, ns, cost) {
            return Ok(());
        }
        self.check_slowly(state, former, ns, (cost, false))
    }

    /// Where another thread has the lock: the next calls had better do without.
    #[cold]
    #[inline(never)]
    fn check_among_others(&self, ns: u64, cost: u32) -> Result<(), Rejection> {
        let mut state = self.0.state.lock();
        // Whoever had it may have lent some to this one.
        if cost == 1 && lease::take_of(self.address(), ns) {
            return Ok(());
        }
        let former = Terms::refresh(&mut state.terms);
        let State { terms, meter } = &mut *state;
        let lent_elsewhere = former.is_none() && lease::is_of_another(self.address());
        if lent_elsewhere && meter.admit(&terms.pace, ns, cost) {
            return Ok(());
        }
        self.check_slowly(state, former, ns, (cost, true))
    }

    /// Where more than tokens may count, or some are lent.
    #[cold]
    #[inline(never)]
    fn check_slowly(
        &self,
        mut state: MutexGuard<'_, State>,
        former: Option<Arc<Terms>>,
        now: u64,
        (cost, among_others): (u32, bool),
    ) -> Result<(), Rejection> {
        let mut lent = call_in(&mut state, former.as_deref());
        let lends = among_others || lent.is_to_others();
        let refused = decide(state, former, now, |meter, at, terms| {
            if let Err(refusal) = meter.try_pass(at, cost) {
                return Some(Refused::new(meter, at, terms, refusal));
            }
            if lends {
                lease::claim(self.address()).into_iter().for_each(|lease| lent.join(lease));
                meter.lend(at, terms, lent);
            }
            None
        });
        match refused {
            None => Ok(()),
            Some(refused) => refused.told(None),
        }
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

    /// Takes so many tokens where nothing but tokens counts. If not, [`pass`](Self::pass) may, and knows
    /// why not. Calls nobody, so that it can be asked under a lock.
    #[inline]
    pub(super) fn admits(&self, now: Tick, cost: u32) -> bool {
        let now = line(now);
        let mut state = self.0.state.lock();
        let State { terms, meter } = &mut *state;
        terms.are_current() && meter.admit(&terms.pace, now, cost)
    }

    /// As [`check`](Self::check), for a call that may still not be made: the permit can be refunded.
    ///
    /// # Errors
    /// As `check`.
    pub fn try_acquire(&self, cost: u32) -> Result<RatePermit, Rejection> {
        let grant = match self.pass(clock::now(), cost) {
            Ok(grant) => Some(grant),
            Err(refused) => refused.told(None)?,
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

    /// Goes by another configuration from now on, with everything that shares this one. Tokens that are
    /// used stay used, those who wait stay where they are. Those who wait for another key's limit learn
    /// of it when their timer rings or somebody calls.
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
            available: available(meter, at.pace, at.now),
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
        let now = line_of(now);
        let mut state = self.0.state.lock();
        let former = Terms::refresh(&mut state.terms);
        decide(state, former, now, decision)
    }

    /// Takes so many tokens where nothing but tokens counts. If not, [`pass`](Self::pass) may, and knows why
    /// not: its answer is large, and this one's is in a register or two.
    #[cfg(feature = "tower")]
    #[inline(always)]
    pub(super) fn glance(&self, now: Tick, cost: u32) -> Option<Grant> {
        let now = line(now);
        let mut state = self.0.state.lock();
        let State { terms, meter } = &mut *state;
        if terms.are_current() { meter.admit_granted(&terms.pace, now, cost) } else { None }
    }

    /// Takes so many tokens at once, or not at all.
    #[inline]
    pub(super) fn pass(&self, now: Instant, cost: u32) -> Result<Grant, Refused> {
        let now = line_of(now);
        let mut state = self.0.state.lock();
        let former = Terms::refresh(&mut state.terms);
        let State { terms, meter } = &mut *state;
        if former.is_none()
            && let Some(grant) = meter.admit_granted(&terms.pace, now, cost)
        {
            return Ok(grant);
        }
        pass_slowly(state, former, now, cost)
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
        let config = self.terms();
        config.listener.tell(|| Event::RatePaused {
            layer: config.name.as_str(),
            key: key.as_ref().map(Name::as_str),
            pause,
        });
    }

    /// Follows a server's hint, up to the longest that is allowed.
    #[cfg(feature = "tower")]
    pub(super) fn follow_hint(&self, hint: Duration, key: Option<Name>) {
        let longest = self.terms().longest_hint;
        self.pause(hint.min(longest), key);
    }

    pub(super) fn refund(&self, grant: Grant) {
        let mut state = self.0.state.lock();
        let former = Terms::refresh(&mut state.terms);
        // What has changed is a matter of when.
        let now = if former.is_none() { 0 } else { line_of(clock::now()) };
        let wakes: Wakes = decide(state, former, now, |meter, at, _| {
            meter.give_back(at.pace, grant);
            meter.wake_keeper()
        });
        wakes.wake();
    }
}

/// Calls in what is lent, under the configuration that it was lent under.
#[inline]
fn call_in(state: &mut State, former: Option<&Terms>) -> Lent {
    let State { terms, meter } = state;
    meter.call_in(&former.unwrap_or(terms).pace)
}

/// Decides, after what is lent was called in, and after what a change of the configuration asks for.
#[inline]
fn decide<R>(
    mut state: MutexGuard<'_, State>,
    former: Option<Arc<Terms>>,
    now: u64,
    decision: impl FnOnce(&mut Meter, At<'_>, &Arc<Terms>) -> R,
) -> R {
    drop(call_in(&mut state, former.as_deref()));
    let State { terms, meter } = &mut *state;
    let at = At { pace: &terms.pace, now };
    let wakes = former.as_ref().map(|former| {
        meter.change(&former.pace, &terms.pace, now);
        meter.reconsider(at)
    });
    let decided = decision(meter, at, terms);
    meter.tidy();
    drop(state);
    // Not under the lock: the former listener's own drop, and the wakers.
    if let Some(wakes) = wakes {
        wakes.wake();
        drop(former);
    }
    decided
}

/// Decides about a call that does not wait, where more than tokens may count.
#[cold]
#[inline(never)]
fn pass_slowly(
    state: MutexGuard<'_, State>,
    former: Option<Arc<Terms>>,
    now: u64,
    cost: u32,
) -> Result<Grant, Refused> {
    decide(state, former, now, |meter, at, terms| match meter.try_pass(at, cost) {
        Ok(grant) => Ok(grant),
        Err(refusal) => Err(Refused::new(meter, at, terms, refusal)),
    })
}

/// Pinned while somebody holds a handle, waits, or was told to pause.
impl Entry for RateLimiter {
    fn is_pinned(&self, now: Instant) -> bool {
        Arc::strong_count(&self.0) > 1 || self.is_busy(now)
    }

    /// Sixteen for the two counts of the `Arc`.
    fn heap_bytes(&self) -> usize {
        allocated(16 + size_of::<Cell>()) + self.0.state.lock().meter.heap_bytes()
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.terms().name.clone();
        f.debug_struct("RateLimiter").field("name", &name).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    /// A hundred an hour, of which one is taken and some are lent to this thread.
    fn lending() -> (RateLimiter, Instant) {
        let builder = RateLimiter::builder().quota(Quota::per(100, HOUR)).reject();
        let (limiter, now) = (builder.build().unwrap(), clock::now());
        limiter.check_among_others(line_of(now), 1).unwrap();
        assert!(limiter.0.state.lock().meter.is_lent());
        (limiter, now)
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
        limiter.check_among_others(line_of(now), 1).unwrap();
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
        let builder = RateLimiter::builder().quota(Quota::per(100, HOUR)).reject();
        let second = builder.build().unwrap();
        second.check_among_others(line_of(now), 1).unwrap();
        assert!(!second.0.state.lock().meter.is_lent());
        first.check_at(now, 1).unwrap();
        drop(first);
        second.check_among_others(line_of(now), 1).unwrap();
        assert!(second.0.state.lock().meter.is_lent());
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
