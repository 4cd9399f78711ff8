//! The handle that calls share.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use super::acquire::Acquire;
use super::bucket::{instant_at, ns_of, ns_of_tick};
use super::builder::{RateConfig, RateLimiterBuilder};
use super::gcra::{Gcra, Grant};
use super::pending::PendingRejection;
use super::quota::Quota;
use super::reservation::Reservation;
use super::wait_queue::Conditions;
use crate::clock::{self, MAX_WAIT, Now};
use crate::config::{InvalidConfig, OrInvalid};
use crate::keyed::{Entry, Key, Keyed, allocation_size};
use crate::live::LiveConfig;
use crate::name::Name;
use crate::observe::{Event, Gauges, Listener, names};
use crate::rejection::Rejection;

/// A rate limiter. See the [module](super).
///
/// Clones share the bucket, the queue and the configuration; limiters made by
/// [`fresh`](RateLimiter::fresh) share the configuration only.
#[derive(Clone)]
pub struct RateLimiter(Arc<Shared>);

/// The state of one limiter. Small, since there may be one for each of a million keys
/// (`tests/keyed/memory.rs`).
struct Shared {
    state: Mutex<State>,
}

/// The shared state of a limiter and its [`fresh`](RateLimiter::fresh) limiters.
pub(super) struct Group {
    pub(super) name: Name,
    pub(super) listener: Listener,
    config: LiveConfig<RateConfig>,
    /// The rules in force, while a limiter holds them.
    rules: Mutex<Weak<Rules>>,
}

/// A configuration with its version and its group, in one pointer for each limiter.
struct Rules {
    version: u32,
    config: RateConfig,
    group: Arc<Group>,
}

struct State {
    /// The rules of the latest use of the bucket.
    rules: Arc<Rules>,
    gcra: Gcra,
}

impl Group {
    /// Returns the rules in force, which all limiters share.
    fn rules(self: &Arc<Group>) -> Arc<Rules> {
        let mut shared = self.rules.lock();
        let newest = self.config.get();
        let version = newest.version();
        if let Some(rules) = shared.upgrade().filter(|rules| rules.version == version) {
            return rules;
        }
        let rules = Arc::new(Rules { version, config: *newest, group: self.clone() });
        *shared = Arc::downgrade(&rules);
        rules
    }
}

impl Rules {
    #[inline]
    fn are_current(&self) -> bool {
        self.group.config.is_at(self.version)
    }
}

/// Tokens taken for one call. Dropped, they are spent: the call was made.
#[derive(Debug)]
pub struct RatePermit {
    limiter: RateLimiter,
    /// `None` if the limiter only observes and would have rejected the call.
    grant: Option<Grant>,
}

/// A rate limiter at one moment, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateSnapshot {
    /// The quota in force.
    pub quota: Quota,
    /// The most tokens that a new call gets at once: 0 while others wait, and during a pause or a
    /// gap. A limiter that only observes admits more.
    pub available: u32,
    /// Calls that wait, reservations included.
    pub queued: u32,
    /// Calls that were admitted, without those that were refunded before the next admission.
    pub admitted: u64,
    /// Calls that were rejected, or would have been by a limiter that only observes.
    pub rejected: u64,
    /// Time left of a pause.
    pub paused_for: Option<Duration>,
}

impl RateLimiter {
    /// Returns a builder with the defaults: calls wait for at most 30 s behind at most 1,024
    /// others, and a server's hint pauses for at most five minutes. There is no default for the
    /// quota.
    pub fn builder() -> RateLimiterBuilder {
        RateLimiterBuilder::new()
    }

    pub(super) fn new(name: Name, listener: Listener, config: RateConfig) -> RateLimiter {
        let config = LiveConfig::new(config);
        RateLimiter::of(&Arc::new(Group { name, listener, config, rules: Mutex::default() }))
    }

    fn of(group: &Arc<Group>) -> RateLimiter {
        let state = State { rules: group.rules(), gcra: Gcra::default() };
        RateLimiter(Arc::new(Shared { state: Mutex::new(state) }))
    }

    /// Returns a limiter with a full bucket of its own. It shares the name, the listener and the
    /// configuration: a later [`set_config`](Self::set_config) on either applies to both.
    #[must_use]
    pub fn fresh(&self) -> RateLimiter {
        RateLimiter::of(&self.group())
    }

    /// Returns the name that rejections and events carry.
    #[must_use]
    pub fn name(&self) -> Name {
        self.group().name.clone()
    }

    /// Returns the configuration in force.
    #[must_use]
    pub fn config(&self) -> RateConfig {
        *self.group().config.get()
    }

    pub(super) fn group(&self) -> Arc<Group> {
        self.0.state.lock().rules.group.clone()
    }

    /// Returns `true` if calls wait or are paused.
    pub(crate) fn is_busy(&self, now: Instant) -> bool {
        let gcra = &self.0.state.lock().gcra;
        gcra.has_waiters() || gcra.paused_until() > ns_of(now)
    }

    /// Takes `cost` tokens if there are as many and no call waits. For calls that are made at once.
    ///
    /// # Errors
    /// [`RateLimited`](crate::RejectionKind::RateLimited), with the time after which to retry.
    pub fn check(&self, cost: u32) -> Result<(), Rejection> {
        self.check_at(clock::now(), cost)
    }

    /// Takes tokens as [`check`](Self::check) does, for a caller that has just read the clock.
    ///
    /// # Errors
    /// The rejection, as from `check`.
    pub fn check_at(&self, now: Instant, cost: u32) -> Result<(), Rejection> {
        self.check_for(now, cost, || None)
    }

    fn check_for(
        &self,
        now: Instant,
        cost: u32,
        key: impl FnOnce() -> Option<Name>,
    ) -> Result<(), Rejection> {
        match self.take(now, cost) {
            Ok(_) => Ok(()),
            Err(pending) => self.reject(pending, key()).map(drop),
        }
    }

    /// Takes `cost` tokens as [`check`](Self::check) does, for a call that may still not be made:
    /// the permit can be refunded.
    ///
    /// # Errors
    /// The rejection, as from `check`.
    pub fn try_acquire(&self, cost: u32) -> Result<RatePermit, Rejection> {
        self.try_acquire_for(cost, || None)
    }

    /// Takes `cost` tokens as [`try_acquire`](Self::try_acquire) does, from a limiter that belongs
    /// to one key. `key` is called when there are too few, for the rejection and its event.
    ///
    /// # Errors
    /// [`RateLimited`](crate::RejectionKind::RateLimited), with the key and the time after which to
    /// retry.
    pub fn try_acquire_for(
        &self,
        cost: u32,
        key: impl FnOnce() -> Option<Name>,
    ) -> Result<RatePermit, Rejection> {
        let grant = match self.take(clock::now(), cost) {
            Ok(grant) => Some(grant),
            Err(pending) => self.reject(pending, key())?,
        };
        Ok(RatePermit::new(self.clone(), grant))
    }

    /// Waits for `cost` tokens in the order of arrival, for at most the time that the configuration
    /// and the [deadline](crate::Deadline) of the caller allow. A call that is known to wait longer
    /// is rejected at once. Nothing happens before the first poll. Dropping the future gives up the
    /// place in the queue; the calls behind it are served sooner. A wait needs a tokio runtime with
    /// its timer.
    pub fn acquire(&self, cost: u32) -> Acquire {
        Acquire::new(self.clone(), cost)
    }

    /// Reserves a place in the queue, for a call that is made later.
    ///
    /// # Errors
    /// [`RateLimited`](crate::RejectionKind::RateLimited), if the turn is later than the
    /// configuration and the [deadline](crate::Deadline) of the caller allow, or the queue is full.
    pub fn reserve(&self, cost: u32) -> Result<Reservation, Rejection> {
        Reservation::new(self.clone(), cost)
    }

    /// Admits no call for the length of `pause` (at most a year). A pause in force is not
    /// shortened. Waiting calls that would now wait too long are rejected at once.
    pub fn pause_for(&self, pause: Duration) {
        self.pause(pause, None);
    }

    /// Pauses the limiter of a key.
    #[cfg(feature = "profiles")]
    pub(crate) fn pause_of(&self, pause: Duration, key: Option<Name>) {
        self.pause(pause, key);
    }

    /// Ends a pause.
    pub fn resume(&self) {
        self.change(|gcra, _| gcra.resume());
    }

    /// Puts another configuration into force, here and for every limiter made by
    /// [`fresh`](RateLimiter::fresh). The name, the listener, a pause, the queue and the numbers of
    /// the snapshot stay. Used tokens stay used. Calls that wait keep their place and their limit
    /// on the wait; a call that now costs more than the burst, or would be served too late, is
    /// rejected. A [reservation](RateLimiter::reserve) of more than the burst loses its place.
    ///
    /// Under another quota, tokens that were taken before the change cannot be refunded. The change
    /// applies to calls that wait for the limit of another key when their timer fires, or at the
    /// next call for that key.
    pub fn set_config(&self, config: RateConfig) {
        self.group().config.set(config);
        self.apply_change();
    }

    /// Puts another quota into force, as [`set_config`](Self::set_config) does with a whole
    /// configuration.
    ///
    /// # Errors
    /// If a value of the quota is out of its bounds.
    pub fn set_quota(&self, quota: impl OrInvalid<Quota>) -> Result<(), InvalidConfig> {
        let quota = quota.or_invalid()?;
        self.group().config.update(|config| config.with_quota(quota));
        self.apply_change();
        Ok(())
    }

    /// Returns the state now.
    #[must_use]
    pub fn snapshot(&self) -> RateSnapshot {
        let now = ns_of(clock::now());
        self.with(now, |gcra, at, _| RateSnapshot {
            quota: *at.shaping.quota(),
            available: gcra.available_to_newcomer(at),
            queued: gcra.queued(),
            admitted: gcra.admitted,
            rejected: gcra.rejected(),
            paused_for: gcra
                .paused_until()
                .checked_sub(now)
                .filter(|left| *left > 0)
                .map(Duration::from_nanos),
        })
    }

    /// Takes the tokens if the bucket alone decides. `None` means "not decided": call
    /// [`take_slow`](Self::take_slow). Runs no code of the user, and may be called under a lock.
    #[inline(always)]
    pub(super) fn take_fast(&self, now: u64, cost: u32) -> Option<Grant> {
        let mut state = self.0.state.lock();
        let State { rules, gcra } = &mut *state;
        let shaping = &rules.config.shaping;
        let passes = rules.are_current() && gcra.admit(shaping, now, cost);
        passes.then(|| gcra.last_grant(shaping, cost))
    }

    /// Takes the tokens now, or returns the reason why not.
    pub(super) fn take(&self, now: Instant, cost: u32) -> Result<Grant, PendingRejection> {
        let now = ns_of(now);
        self.take_fast(now, cost).map_or_else(|| self.take_slow(now, cost), Ok)
    }

    /// Slow path of [`take`](Self::take): applies the queue, a pause and the minimum gap.
    #[cold]
    #[inline(never)]
    fn take_slow(&self, now: u64, cost: u32) -> Result<Grant, PendingRejection> {
        self.with(now, |gcra, at, config| {
            gcra.try_pass(at, cost)
                .map_err(|reason| PendingRejection::new(gcra, at, config, reason))
        })
    }

    /// Runs `decide` under the lock, with the configuration in force.
    pub(super) fn with<R>(
        &self,
        now: u64,
        decide: impl FnOnce(&mut Gcra, Conditions<'_>, &RateConfig) -> R,
    ) -> R {
        let mut state = self.current(|| now);
        let State { rules, gcra } = &mut *state;
        let config = &rules.config;
        decide(gcra, Conditions { shaping: &config.shaping, now }, config)
    }

    /// Locks the state and applies the newest configuration. `now` is called only if the
    /// configuration changed.
    fn current(&self, now: impl Fn() -> u64) -> MutexGuard<'_, State> {
        let mut state = self.0.state.lock();
        while !state.rules.are_current() {
            state = self.apply_newest(state, now());
        }
        state
    }

    /// Applies the newest configuration. Releases the lock to wake calls, and locks again.
    #[cold]
    fn apply_newest<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        now: u64,
    ) -> MutexGuard<'a, State> {
        let State { rules, gcra } = &mut *state;
        let newest = rules.group.rules();
        gcra.change(&rules.config.shaping, &newest.config.shaping, now);
        let former = std::mem::replace(rules, newest);
        let wakes = gcra.reconsider(Conditions { shaping: &rules.config.shaping, now });
        drop(state);
        wakes.wake();
        drop(former);
        self.0.state.lock()
    }

    fn apply_change(&self) {
        self.change(|_, _| ());
    }

    /// Makes a change that may matter to all waiting calls.
    fn change(&self, change: impl FnOnce(&mut Gcra, Conditions<'_>)) {
        let wakes = self.with(ns_of(clock::now()), |gcra, at, _| {
            change(gcra, at);
            gcra.reconsider(at)
        });
        wakes.wake();
    }

    /// Pauses, and notifies the listener.
    fn pause(&self, pause: Duration, key: Option<Name>) {
        let pause = pause.min(MAX_WAIT);
        self.change(|gcra, at| gcra.pause(at.now.saturating_add(clock::nanos(pause))));
        let group = self.group();
        group.listener.notify(|| Event::RatePaused {
            layer: group.name.as_str(),
            key: key.as_ref().map(Name::as_str),
            pause,
        });
    }

    /// Pauses for the time of a server's hint, up to the configured
    /// [`longest_hint`](RateLimiterBuilder::longest_hint). Does nothing if hints are
    /// [ignored](RateLimiterBuilder::ignore_hints).
    #[cfg(feature = "tower")]
    pub(crate) fn follow_hint(&self, hint: Duration, key: Option<Name>) {
        if let Some(longest) = self.config().longest_hint {
            self.pause(hint.min(longest), key);
        }
    }

    pub(super) fn refund(&self, grant: Grant) {
        let mut state = self.current(|| ns_of(clock::now()));
        let State { rules, gcra } = &mut *state;
        gcra.give_back(&rules.config.shaping, grant);
        let wakes = gcra.wake_timer_holder();
        drop(state);
        wakes.wake();
    }
}

impl RatePermit {
    pub(super) const fn new(limiter: RateLimiter, grant: Option<Grant>) -> RatePermit {
        RatePermit { limiter, grant }
    }

    /// Gives back the tokens of a call that was never made, as many as the bound on every window
    /// allows. See [`TokenBucket::give_back`](super::TokenBucket::give_back).
    pub fn refund(mut self) {
        self.give_back();
    }

    pub(super) fn give_back(&mut self) {
        if let Some(grant) = self.grant.take() {
            self.limiter.refund(grant);
        }
    }
}

impl RateLimiter {
    /// Takes `cost` tokens of the limiter of `key` in the store `limits` if there are as many and
    /// no call for the key waits. For calls that are made at once. Reads the clock once, and clones
    /// no handle.
    ///
    /// ```
    /// use resilience_core::keyed::{Keyed, KeyedLimits};
    /// use resilience_core::rate::{Quota, RateLimiter};
    ///
    /// let each = RateLimiter::builder().quota(Quota::per_minute(2)).build()?;
    /// let limits = Keyed::new(KeyedLimits::default(), move |_: &&'static str| each.fresh());
    /// assert!(RateLimiter::check_key(&limits, &"a.example", 2).is_ok());
    /// let rejected = RateLimiter::check_key(&limits, &"a.example", 1).unwrap_err();
    /// assert_eq!(rejected.key(), Some("a.example"));
    /// assert!(RateLimiter::check_key(&limits, &"b.example", 1).is_ok());
    /// # Ok::<_, resilience_core::InvalidConfig>(())
    /// ```
    ///
    /// # Errors
    /// [`RateLimited`](crate::RejectionKind::RateLimited), with the key and the time after which to
    /// retry.
    #[inline]
    pub fn check_key<K: Key>(
        limits: &Keyed<K, RateLimiter>,
        key: &K,
        cost: u32,
    ) -> Result<(), Rejection> {
        let mut now = Now::unread();
        let ns = ns_of_tick(now.tick());
        // Only the fast path runs under the lock of the store: the slow path may run the user's
        // code.
        let undecided = limits.with_known(key, &mut now, |limiter| {
            if limiter.take_fast(ns, cost).is_some() { None } else { Some(limiter.clone()) }
        });
        match undecided {
            None => Ok(()),
            Some(limiter) => limiter.check_for(now.get(), cost, || Some(key.name())),
        }
    }
}

/// Visits [`names::RATE_AVAILABLE`] and [`names::RATE_QUEUED`].
impl Gauges for RateLimiter {
    fn gauges(&self, visit: &mut dyn FnMut(&'static str, f64)) {
        let now = self.snapshot();
        visit(names::RATE_AVAILABLE, f64::from(now.available));
        visit(names::RATE_QUEUED, f64::from(now.queued));
    }
}

/// Pinned while there is another handle, a call waits, or a pause lasts. Remembers used tokens
/// until they are back, the minimum gap, and a warm-up until it would begin anew. Among limiters of
/// one quota, the fullest bucket is evicted first.
impl Entry for RateLimiter {
    fn is_pinned(&self, now: Instant) -> bool {
        Arc::strong_count(&self.0) > 1 || self.is_busy(now)
    }

    fn remembers_until(&self, now: Instant) -> Option<Instant> {
        let state = self.0.state.lock();
        // By the configuration of the latest use: reading the newest takes another lock.
        let as_new = state.gcra.as_new_at(&state.rules.config.shaping);
        (as_new > ns_of(now)).then(|| instant_at(as_new))
    }

    // 16: the two counts of the `Arc`.
    fn heap_bytes(&self) -> usize {
        allocation_size(16 + size_of::<Shared>()) + self.0.state.lock().gcra.heap_bytes()
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter").field("name", &self.name()).finish_non_exhaustive()
    }
}
