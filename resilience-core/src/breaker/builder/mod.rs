//! Builder of a breaker.

mod check;

use std::time::Duration;

use super::config::{AbandonedPolicy, Break, CircuitConfig, ProbeRule, Ramp};
use super::window::SlidingWindow;
use crate::config::InvalidConfig;
use crate::name::Name;
use crate::observe::{Listen, Listener};
use crate::rejection::RejectionKind;

/// A builder of a circuit breaker.
///
/// By default a circuit opens when half of at least 20 calls of the last 10 s failed: with fewer
/// calls, half fail by chance too often, and after ten seconds a dead upstream is noticed within
/// five. The first break is 5 s, each further one twice as long, up to 5 min, ±10 %; after each
/// minute of being closed, one step of that is forgotten. Then 3 probes follow, of which 2 must
/// succeed within a minute.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct CircuitBreakerBuilder {
    draft: Draft,
    pub(crate) name: Name,
    pub(crate) listener: Listener,
}

/// A [`CircuitConfig`] that is not checked yet.
#[derive(Debug, Clone)]
struct Draft {
    consecutive: Option<u32>,
    /// The share and its window; one of calls, one of time.
    failure_rates: [Option<(f64, SlidingWindow)>; 2],
    slow: Option<(Duration, f64, SlidingWindow)>,
    minimum_calls: Option<u32>,
    permanent_fails: bool,
    throttled_in_rates_only: bool,
    counted_rejections: Vec<RejectionKind>,
    abandoned: AbandonedPolicy,
    break_: Break,
    growing: bool,
    longest_hint: Option<Duration>,
    open_on_hint: bool,
    probes: u32,
    rule: ProbeRule,
    max_half_open: Duration,
    close_when_too_long: bool,
    ramp: Option<Ramp>,
    observe_only: bool,
}

impl CircuitBreakerBuilder {
    pub(in crate::breaker) fn new() -> CircuitBreakerBuilder {
        let draft = Draft {
            consecutive: None,
            failure_rates: [None; 2],
            slow: None,
            minimum_calls: None,
            permanent_fails: false,
            throttled_in_rates_only: false,
            counted_rejections: Vec::new(),
            abandoned: AbandonedPolicy::Ignore,
            break_: Break {
                first: Duration::from_secs(5),
                factor: 2.0,
                max: Duration::from_secs(300),
                jitter: 0.1,
                memory: Some(Duration::from_secs(60)),
            },
            growing: true,
            longest_hint: Some(Duration::from_secs(300)),
            open_on_hint: false,
            probes: 3,
            rule: ProbeRule::Ratio(0.6),
            max_half_open: Duration::from_secs(60),
            close_when_too_long: false,
            ramp: None,
            observe_only: false,
        };
        let name = Name::from_static("circuit breaker");
        CircuitBreakerBuilder { draft, name, listener: Listener::default() }
    }

    /// Sets the name that events and rejections carry. Kept by a later
    /// `CircuitBreaker::set_config`.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the listener. Kept by a later `CircuitBreaker::set_config`.
    pub fn listen(mut self, listener: impl Listen) -> Self {
        self.listener = Listener::new(listener);
        self
    }

    /// Sets a listener that is shared already.
    #[cfg(feature = "pool")]
    pub(crate) fn share_listener(mut self, listener: Listener) -> Self {
        self.listener = listener;
        self
    }

    /// Opens after this many failures in a row: from 1 to 65,535. The first of this, `failure_rate`
    /// and `slow_calls` replaces the default; together, any of them opens.
    pub fn consecutive_failures(mut self, failures: u32) -> Self {
        self.draft.consecutive = Some(failures);
        self
    }

    /// Opens when at least this share of the calls in `window` failed: more than 0, at most 1, in
    /// millionths. A window of calls and one of time can be watched at once.
    pub fn failure_rate(mut self, share: f64, window: SlidingWindow) -> Self {
        self.draft.failure_rates[usize::from(window.is_count())] = Some((share, window));
        self
    }

    /// Opens when at least this share of the calls in `window` took `slow` or longer, failed or
    /// not.
    pub fn slow_calls(mut self, slow: Duration, share: f64, window: SlidingWindow) -> Self {
        self.draft.slow = Some((slow, share, window));
        self
    }

    /// Sets the calls that a window needs before its rate counts: 20 by default, or as many as a
    /// window of fewer calls holds.
    pub fn minimum_calls(mut self, calls: u32) -> Self {
        self.draft.minimum_calls = Some(calls);
        self
    }

    /// Counts [permanent](crate::Outcome::Permanent) failures as failures. By default they do not
    /// count, since the service responded.
    pub fn permanent_failures_count(mut self) -> Self {
        self.draft.permanent_fails = true;
        self
    }

    /// Keeps [throttled](crate::Outcome::Throttled) calls (a 429, a quota) out of the rule on
    /// [consecutive failures](Self::consecutive_failures): they neither add to a row of failures
    /// nor end it. Rates, probes and ramps still count them as failures. For servers that throttle
    /// as a matter of course, where a rate limit is the remedy.
    pub fn throttled_in_rates_only(mut self) -> Self {
        self.draft.throttled_in_rates_only = true;
        self
    }

    /// Counts rejections of these kinds, by layers below this breaker, as transient failures, with
    /// their retry-after as a server's hint. Replaces the kinds of an earlier call. By default no
    /// rejection counts: a full bulkhead or an open circuit below proves nothing about the service.
    /// A [`TimedOut`](RejectionKind::TimedOut) of a request that had been sent always counts, as
    /// [`Outcome::TimedOut`](crate::Outcome::TimedOut).
    ///
    /// For a breaker around a whole stack: with [`BulkheadFull`](RejectionKind::BulkheadFull) the
    /// circuit opens when the bulkhead inside stays full, and its callers go elsewhere. A
    /// [`Circuit`](super::Circuit) without a handle receives outcomes, and does not read this.
    pub fn count_rejections(mut self, kinds: impl IntoIterator<Item = RejectionKind>) -> Self {
        self.draft.counted_rejections = kinds.into_iter().collect();
        self
    }

    /// Sets the treatment of calls that are dropped before they end.
    pub fn abandoned(mut self, policy: AbandonedPolicy) -> Self {
        self.draft.abandoned = policy;
        self
    }

    /// Sets the length of every break.
    pub fn break_for(mut self, length: Duration) -> Self {
        self.draft.break_ = Break { first: length, factor: 1.0, max: length, ..self.draft.break_ };
        self.draft.growing = false;
        self
    }

    /// Makes the first break last `first`, and each further one `factor` times as long, up to
    /// `max`. A factor from 1 to 100.
    pub fn growing_break(mut self, first: Duration, factor: f64, max: Duration) -> Self {
        self.draft.break_ = Break { first, factor, max, ..self.draft.break_ };
        self.draft.growing = true;
        self
    }

    /// Moves the end of each break by up to this share of it to either side, so that callers do not
    /// come back at once. From 0 to 1.
    pub fn break_jitter(mut self, share: f64) -> Self {
        self.draft.break_.jitter = share;
        self
    }

    /// Forgets one step of growth each time that the circuit was closed for this long.
    pub fn break_memory(mut self, memory: Duration) -> Self {
        self.draft.break_.memory = Some(memory);
        self
    }

    /// Sets the longest hint of a server that is followed: a break lasts at least until the end of
    /// the hint. A hint does not open a circuit by itself, since one throttled caller proves little
    /// about the others; see [`open_on_hint`](Self::open_on_hint).
    pub fn longest_hint(mut self, longest: Duration) -> Self {
        self.draft.longest_hint = Some(longest);
        self
    }

    /// Ignores the times that servers name.
    pub fn ignore_hints(mut self) -> Self {
        self.draft.longest_hint = None;
        self
    }

    /// Opens the circuit at once when a server names a time. For a hint that holds for all
    /// calls of the circuit, such as the quota of an account.
    pub fn open_on_hint(mut self) -> Self {
        self.draft.open_on_hint = true;
        self
    }

    /// Sets the calls at once while half-open: from 1 to 1,000.
    pub fn probes(mut self, probes: u32) -> Self {
        self.draft.probes = probes;
        self
    }

    /// Sets the rule by which probes close the circuit, which decides as soon as the remaining
    /// probes cannot change the decision. A slow probe counts as a failed one where slow calls are
    /// watched.
    pub fn probes_succeed_by(mut self, rule: ProbeRule) -> Self {
        self.draft.rule = rule;
        self
    }

    /// Sets the longest time for the probes to decide: the circuit opens again after that. Counted
    /// from the first probe; a circuit without calls stays half-open.
    pub fn max_half_open(mut self, longest: Duration) -> Self {
        self.draft.max_half_open = longest;
        self
    }

    /// Closes the circuit after [`max_half_open`](Self::max_half_open), in place of opening it
    /// again.
    pub fn close_when_half_open_too_long(mut self) -> Self {
        self.draft.close_when_too_long = true;
        self
    }

    /// Admits these shares of the calls after the probes, each for `each`, before all of them.
    /// Shares grow, from more than 0 to less than 1, at most 32 of them. A stage in which more
    /// fails than the probes may opens the circuit again.
    pub fn ramp(mut self, shares: impl IntoIterator<Item = f64>, each: Duration) -> Self {
        // 33 shares are enough for the check to fail.
        let shares = shares.into_iter().take(33).collect();
        self.draft.ramp = Some(Ramp { shares, each });
        self
    }

    /// Rejects nothing: notifies the listener of what it would reject, and changes its state as if
    /// it did.
    pub fn observe_only(mut self) -> Self {
        self.draft.observe_only = true;
        self
    }

    /// Returns the checked configuration, for `CircuitBreaker::set_config`, without the name and
    /// the listener.
    ///
    /// # Errors
    /// If a value is out of its bounds.
    pub fn config(&self) -> Result<CircuitConfig, InvalidConfig> {
        self.draft.check()
    }
}
