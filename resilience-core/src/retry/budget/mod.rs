//! How many retries all callers together may make.
//!
//! A limit on attempts bounds one call. It does not bound an outage: when everything fails, three
//! attempts a call are three times the load, on the thing that is failing. A budget bounds the sum:
//! retries are paid for by calls, whoever makes them.
//!
//! Two kinds, one type:
//!
//! - **A share of the traffic** ([`RetryBudget::builder`], [`RetryBudget::percent`]). Each call
//!   deposits, each retry withdraws, deposits expire with the window. At every instant, and under
//!   any interleaving of any number of threads,
//!   `attempts <= (1 + ratio) * calls + reserve`.
//!   The reserve is given once and refilled only by deposits that expired unused, so its replenishing
//!   scales with the caller's own traffic: a hundred idle clients do not add up to a storm, as those
//!   with a fixed "ten a second" each do.
//! - **A bucket** ([`RetryBudget::aws_2_1`], [`aws_2_0`](RetryBudget::aws_2_0),
//!   [`grpc`](RetryBudget::grpc), [`throttler`](RetryBudget::throttler)): failures take tokens,
//!   successes put them back.
//!
//! A [`RetryBudget`] is a handle: clones share one account, so give the same budget to every layer,
//! plain function and hedge that calls the same upstream. Everything here is lock-free, in fixed
//! point (thousandths), and checked by loom.
//!
//! ```
//! use resilience_core::outcome::FailureClass;
//! use resilience_core::retry::RetryBudget;
//!
//! let budget = RetryBudget::builder().ratio(0.5).reserve(0).build()?;
//! let now = resilience_core::clock::now();
//! budget.call_started(now);
//! budget.call_started(now);
//! budget.withdraw(now, FailureClass::Transient).expect("two calls pay for one retry").sent();
//! assert!(budget.withdraw(now, FailureClass::Transient).is_err());
//! # Ok::<_, resilience_core::InvalidConfig>(())
//! ```

mod bucket;
mod window;

use std::fmt;
use std::num::NonZeroU64;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::config::{self, InvalidConfig};
use crate::outcome::FailureClass;
use bucket::Bucket;
use window::{Deposits, SLOTS};

/// One token, in the fixed point of the accounts. gRPC keeps three decimals, and so do we: 64 bits
/// of thousandths last five hundred years of a million calls a second.
const TOKEN: u64 = 1_000;

/// What a retry costs, in tokens, by the failure that it answers.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a price for each failure class, which is exhaustive"
)]
pub struct RetryCosts {
    /// After a [transient](FailureClass::Transient) failure.
    pub transient: f64,
    /// After an attempt that [timed out](FailureClass::TimedOut).
    pub timed_out: f64,
    /// After a [throttled](FailureClass::Throttled) attempt.
    pub throttled: f64,
}

impl Default for RetryCosts {
    /// One token each.
    fn default() -> RetryCosts {
        RetryCosts { transient: 1.0, timed_out: 1.0, throttled: 1.0 }
    }
}

/// An account that retries are paid from. Clones share it. See the [module](self).
#[derive(Clone)]
pub struct RetryBudget(Arc<Account>);

struct Account {
    kind: Kind,
    transient: u64,
    timed_out: u64,
    throttled: u64,
}

enum Kind {
    /// `slot` is in nanoseconds: dividing durations goes through 128 bits, on every call.
    Share {
        deposits: Deposits,
        deposit: u64,
        slot: NonZeroU64,
        origin: OnceLock<Instant>,
    },
    Bucket {
        bucket: Bucket,
        earned: u64,
        charge: Charge,
    },
}

/// When a bucket is charged.
#[derive(Clone, Copy)]
enum Charge {
    /// By the retry, which gets its cost back if it succeeds (AWS).
    Retry,
    /// By the failure, whether or not a retry follows; no retries at or below the threshold (gRPC).
    Failure { threshold: u64 },
}

impl RetryBudget {
    /// A share of the traffic, from its defaults: 10 % over a window of one second, a reserve of 10.
    pub fn builder() -> RetryBudgetBuilder {
        RetryBudgetBuilder {
            ratio: 0.1,
            window: Duration::from_secs(1),
            reserve: 10,
            costs: RetryCosts::default(),
        }
    }

    /// So many percent of the traffic, with the window and the reserve of
    /// [`builder`](RetryBudget::builder).
    ///
    /// # Errors
    /// If `percent` is not between 0 and 1,000, or finer than a tenth.
    pub fn percent(percent: f64) -> Result<RetryBudget, InvalidConfig> {
        let percent = config::number("percent", percent, 0.0, 1_000.0)?;
        RetryBudget::builder().ratio(percent / 100.0).build()
    }

    /// Finagle's numbers: 20 % over ten seconds, and what ten a second would be over that window as
    /// the reserve. Finagle grants its ten a second to each client for ever; here they are given
    /// once and refilled by traffic.
    ///
    /// Source: *Improving Finagle's Retries*, Twitter, 2016.
    #[must_use]
    pub fn finagle() -> RetryBudget {
        RetryBudget::share(200, Duration::from_secs(10), 100, prices(1, 1, 1))
    }

    /// AWS SDKs' standard retry mode, version 2.1: a bucket of 500; a retry costs 14, after
    /// throttling 5; a retry that succeeds gets its cost back, a first attempt that succeeds earns 1.
    ///
    /// Source: the AWS SDKs' retry behaviour specification, 2026.
    #[must_use]
    pub fn aws_2_1() -> RetryBudget {
        RetryBudget::aws(500, prices(14, 14, 5))
    }

    /// AWS SDKs' standard retry mode before 2.1: a bucket of 500; a retry costs 5, after a time-out 10.
    #[must_use]
    pub fn aws_2_0() -> RetryBudget {
        RetryBudget::aws(500, prices(5, 10, 5))
    }

    /// This bucket with another capacity, filled.
    ///
    /// # Errors
    /// If `capacity` is more than a million, or this is not a budget like
    /// [`aws_2_1`](RetryBudget::aws_2_1), whose capacity is free.
    pub fn with_capacity(&self, capacity: u32) -> Result<RetryBudget, InvalidConfig> {
        let Account {
            kind: Kind::Bucket { charge: Charge::Retry, .. },
            transient,
            timed_out,
            throttled,
        } = *self.0
        else {
            return Err(InvalidConfig::new(
                "capacity",
                capacity,
                "left out for this kind of budget",
            ));
        };
        if capacity > 1_000_000 {
            return Err(InvalidConfig::new("capacity", capacity, "at most 1000000"));
        }
        Ok(RetryBudget::aws(capacity, (transient, timed_out, throttled)))
    }

    /// gRPC's retry throttling (proposal A6): `max_tokens` to begin with, each retryable failure
    /// takes one, each success adds `token_ratio`, and there are no retries while half or less is left.
    ///
    /// # Errors
    /// If `max_tokens` is not between 1 and 1,000, or `token_ratio` not between 0.001 and 1,000.
    pub fn grpc(max_tokens: u32, token_ratio: f64) -> Result<RetryBudget, InvalidConfig> {
        config::number("max_tokens", f64::from(max_tokens), 1.0, 1_000.0)?;
        let earned = thousandths("token_ratio", token_ratio, 0.001, 1_000.0)?;
        let tokens = u64::from(max_tokens) * TOKEN;
        Ok(RetryBudget::charged_by_failures(tokens, tokens / 2, earned, prices(1, 1, 1)))
    }

    /// The throttler of Google's client libraries: `tokens` to begin with, each failure takes
    /// `error_cost`, each success adds one, and there are no retries at `min_tokens` or below.
    ///
    /// # Errors
    /// If `min_tokens` is more than `tokens`, or `tokens` more than a million.
    pub fn throttler(
        tokens: u32,
        min_tokens: u32,
        error_cost: u32,
    ) -> Result<RetryBudget, InvalidConfig> {
        config::number("tokens", f64::from(tokens), 1.0, 1_000_000.0)?;
        if min_tokens > tokens {
            let bound = format_args!("at most `tokens` ({tokens})");
            return Err(InvalidConfig::new("min_tokens", min_tokens, bound));
        }
        let cost = u64::from(error_cost);
        let (tokens, threshold) = (u64::from(tokens) * TOKEN, u64::from(min_tokens) * TOKEN);
        Ok(RetryBudget::charged_by_failures(tokens, threshold, TOKEN, prices(cost, cost, cost)))
    }

    fn aws(capacity: u32, costs: (u64, u64, u64)) -> RetryBudget {
        let bucket = Bucket::new(u64::from(capacity) * TOKEN);
        RetryBudget::new(Kind::Bucket { bucket, earned: TOKEN, charge: Charge::Retry }, costs)
    }

    fn charged_by_failures(
        tokens: u64,
        threshold: u64,
        earned: u64,
        costs: (u64, u64, u64),
    ) -> RetryBudget {
        let charge = Charge::Failure { threshold };
        RetryBudget::new(Kind::Bucket { bucket: Bucket::new(tokens), earned, charge }, costs)
    }

    fn share(deposit: u64, window: Duration, reserve: u32, costs: (u64, u64, u64)) -> RetryBudget {
        let deposits = Deposits::new(u64::from(reserve) * TOKEN);
        let slot = nanos(window / SLOTS as u32).try_into().unwrap_or(NonZeroU64::MIN);
        RetryBudget::new(Kind::Share { deposits, deposit, slot, origin: OnceLock::new() }, costs)
    }

    fn new(kind: Kind, (transient, timed_out, throttled): (u64, u64, u64)) -> RetryBudget {
        RetryBudget(Arc::new(Account { kind, transient, timed_out, throttled }))
    }

    /// A call (not an attempt) begins. Deposits its share.
    #[inline]
    pub fn call_started(&self, now: Instant) {
        if let Kind::Share { deposits, deposit, .. } = &self.0.kind {
            deposits.deposit(self.0.slot(now), *deposit);
        }
    }

    /// A first attempt succeeded, or ended in a way that says the other side is well (a permanent
    /// error is an answer). A bucket earns from it.
    #[inline]
    pub fn succeeded(&self) {
        if let Kind::Bucket { bucket, earned, .. } = &self.0.kind {
            bucket.add(*earned);
        }
    }

    /// An attempt failed in a way that may pass, whether or not a retry follows.
    pub fn failed(&self, class: FailureClass) {
        if let Kind::Bucket { bucket, charge: Charge::Failure { .. }, .. } = &self.0.kind {
            bucket.drain(self.0.cost(class));
        }
    }

    /// Asks for the price of one retry (or hedge) of an attempt that failed like `class`.
    ///
    /// # Errors
    /// If it is not there. Nothing is taken then.
    pub fn withdraw(
        &self,
        now: Instant,
        class: FailureClass,
    ) -> Result<Withdrawal, BudgetExhausted> {
        let cost = self.0.cost(class);
        let taken = match &self.0.kind {
            Kind::Share { deposits, .. } => deposits.withdraw(self.0.slot(now), cost),
            Kind::Bucket { bucket, charge: Charge::Retry, .. } => bucket.take(cost).then_some(0),
            Kind::Bucket { bucket, charge: Charge::Failure { threshold }, .. } => {
                (bucket.tokens() > *threshold).then_some(0)
            }
        };
        match taken {
            Some(slot) => Ok(Withdrawal { budget: self.clone(), cost, slot, sent: false }),
            None => Err(BudgetExhausted(())),
        }
    }

    /// Tokens that are there at `now`.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    pub fn available(&self, now: Instant) -> f64 {
        let thousandths = match &self.0.kind {
            Kind::Share { deposits, .. } => deposits.available(self.0.slot(now)),
            Kind::Bucket { bucket, .. } => bucket.tokens(),
        };
        thousandths as f64 / TOKEN as f64
    }

    /// Whether a call's start must be reported with the time, which costs a look at the clock.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(crate) fn counts_calls(&self) -> bool {
        matches!(self.0.kind, Kind::Share { .. })
    }
}

/// [`RetryBudget::builder`]'s defaults.
impl Default for RetryBudget {
    fn default() -> RetryBudget {
        RetryBudget::share(100, Duration::from_secs(1), 10, prices(1, 1, 1))
    }
}

impl Account {
    fn cost(&self, class: FailureClass) -> u64 {
        match class {
            FailureClass::Transient => self.transient,
            FailureClass::TimedOut => self.timed_out,
            FailureClass::Throttled => self.throttled,
        }
    }

    /// The slot that `now` is in, counted from the first `now` that this account was told.
    #[inline]
    fn slot(&self, now: Instant) -> u64 {
        let Kind::Share { slot, origin, .. } = &self.kind else {
            return 0;
        };
        nanos(now.saturating_duration_since(*origin.get_or_init(|| now))) / *slot
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("RetryBudget");
        match &self.0.kind {
            Kind::Share { deposit, slot, .. } => out
                .field("deposit_thousandths", deposit)
                .field("window", &(Duration::from_nanos(slot.get()) * SLOTS as u32)),
            Kind::Bucket { bucket, .. } => out.field("thousandths", &bucket.tokens()),
        };
        out.finish_non_exhaustive()
    }
}

/// There is not enough for a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetExhausted(());

impl fmt::Display for BudgetExhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the retry budget is spent")
    }
}

impl std::error::Error for BudgetExhausted {}

/// The price of one retry, taken from the budget. Dropped before it was [`sent`](Withdrawal::sent),
/// because the call was cancelled while it waited, it goes back.
#[derive(Debug)]
#[must_use = "dropping a withdrawal gives it back"]
pub struct Withdrawal {
    budget: RetryBudget,
    cost: u64,
    slot: u64,
    sent: bool,
}

impl Withdrawal {
    /// The retry is on its way: the price is spent. Keep the receipt to report a success.
    #[expect(clippy::must_use_candidate, reason = "a receipt is only of use if the retry succeeds")]
    pub fn sent(mut self) -> Receipt {
        self.sent = true;
        Receipt { cost: self.cost }
    }
}

impl Drop for Withdrawal {
    fn drop(&mut self) {
        if self.sent {
            return;
        }
        match &self.budget.0.kind {
            Kind::Share { deposits, .. } => deposits.give_back(self.slot, self.cost),
            Kind::Bucket { bucket, charge: Charge::Retry, .. } => bucket.add(self.cost),
            Kind::Bucket { charge: Charge::Failure { .. }, .. } => {}
        }
    }
}

/// What a retry that was sent has cost. Nothing needs to be done with it if the retry failed.
#[derive(Debug)]
pub struct Receipt {
    cost: u64,
}

impl Receipt {
    /// The retry succeeded. A bucket charged by retries (AWS) returns the price, one charged by
    /// failures (gRPC) earns as from any success, and a share of the traffic stays spent: a retry
    /// does not pay for itself.
    pub fn succeeded(self, budget: &RetryBudget) {
        match &budget.0.kind {
            Kind::Bucket { bucket, charge: Charge::Retry, .. } => bucket.add(self.cost),
            _ => budget.succeeded(),
        }
    }
}

/// A budget that is a share of the traffic. Made by [`RetryBudget::builder`].
#[derive(Debug, Clone, Copy)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct RetryBudgetBuilder {
    ratio: f64,
    window: Duration,
    reserve: u32,
    costs: RetryCosts,
}

impl RetryBudgetBuilder {
    /// Retries for each call: 0.1 is 10 %. From 0 to 10, in thousandths.
    pub fn ratio(mut self, ratio: f64) -> Self {
        self.ratio = ratio;
        self
    }

    /// How long a deposit lives: at least this, and at most a tenth longer. From 1 ms to a day.
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Retries to begin with, and the most that expired deposits keep alive. At most a million.
    pub fn reserve(mut self, retries: u32) -> Self {
        self.reserve = retries;
        self
    }

    /// What retries cost. Each from 0.001 to 1,000 tokens; at 1 or more, the module's bound on
    /// attempts holds as it stands.
    pub fn costs(mut self, costs: RetryCosts) -> Self {
        self.costs = costs;
        self
    }

    /// The budget.
    ///
    /// # Errors
    /// If a value is out of its range or not a number.
    pub fn build(self) -> Result<RetryBudget, InvalidConfig> {
        let deposit = thousandths("ratio", self.ratio, 0.0, 10.0)?;
        let (shortest, longest) = (Duration::from_millis(1), Duration::from_secs(24 * 60 * 60));
        if !(shortest..=longest).contains(&self.window) {
            let window = format_args!("{:?}", self.window).to_string();
            return Err(InvalidConfig::new("window", window, "between 1ms and 24h"));
        }
        if self.reserve > 1_000_000 {
            return Err(InvalidConfig::new("reserve", self.reserve, "at most 1000000"));
        }
        let costs = (
            thousandths("costs.transient", self.costs.transient, 0.001, 1_000.0)?,
            thousandths("costs.timed_out", self.costs.timed_out, 0.001, 1_000.0)?,
            thousandths("costs.throttled", self.costs.throttled, 0.001, 1_000.0)?,
        );
        Ok(RetryBudget::share(deposit, self.window, self.reserve, costs))
    }
}

/// 64 bits of nanoseconds are five hundred years.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn prices(transient: u64, timed_out: u64, throttled: u64) -> (u64, u64, u64) {
    (transient * TOKEN, timed_out * TOKEN, throttled * TOKEN)
}

/// A number in the fixed point of the accounts. One that falls between two thousandths is refused
/// rather than rounded: a budget is the percentage it was given.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the bounds")]
fn thousandths(field: &'static str, value: f64, low: f64, high: f64) -> Result<u64, InvalidConfig> {
    let scaled = config::number(field, value, low, high)? * 1_000.0;
    if (scaled - scaled.round()).abs() > 1e-6 {
        return Err(InvalidConfig::new(field, value, "a whole number of thousandths"));
    }
    Ok(scaled.round() as u64)
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;
    use crate::clock;

    const TRANSIENT: FailureClass = FailureClass::Transient;

    fn share(ratio: f64, reserve: u32) -> RetryBudget {
        RetryBudget::builder().ratio(ratio).reserve(reserve).build().unwrap()
    }

    fn granted(budget: &RetryBudget, now: Instant, tries: usize) -> usize {
        (0..tries)
            .filter_map(|_| budget.withdraw(now, TRANSIENT).ok())
            .map(Withdrawal::sent)
            .count()
    }

    #[test]
    fn the_share_is_the_percentage_it_was_given() {
        let now = clock::now();
        // tower's budget grants 50 %, 100 % and 100 % for the first, third and fourth of these.
        for (ratio, expected) in
            [(0.35, 3_500), (0.15, 1_500), (0.6, 6_000), (0.999, 9_990), (3.0, 30_000), (0.0, 0)]
        {
            let budget = share(ratio, 0);
            (0..10_000).for_each(|_| budget.call_started(now));
            assert_eq!(granted(&budget, now, 40_000), expected, "ratio {ratio}");
        }
    }

    #[test]
    fn a_retry_that_was_never_sent_is_given_back() {
        let now = clock::now();
        for budget in [share(1.0, 1), RetryBudget::aws_2_1(), RetryBudget::grpc(10, 0.5).unwrap()] {
            let before = budget.available(now);
            drop(budget.withdraw(now, TRANSIENT).unwrap());
            assert_eq!(budget.available(now), before, "{budget:?}");
        }
    }

    #[test]
    fn clones_share_the_account() {
        let now = clock::now();
        let budget = share(0.0, 1);
        let clone = budget.clone();
        clone.withdraw(now, TRANSIENT).unwrap().sent();
        assert_eq!(budget.withdraw(now, TRANSIENT).unwrap_err(), BudgetExhausted(()));
    }

    #[test]
    fn classes_have_prices() {
        let now = clock::now();
        let costs = RetryCosts { transient: 2.0, timed_out: 3.0, throttled: 0.5 };
        let budget = RetryBudget::builder().reserve(6).costs(costs).build().unwrap();
        for (class, left) in [
            (FailureClass::Transient, 4.0),
            (FailureClass::TimedOut, 1.0),
            (FailureClass::Throttled, 0.5),
        ] {
            budget.withdraw(now, class).unwrap().sent();
            assert_eq!(budget.available(now), left);
        }
    }

    #[test]
    fn a_clock_that_goes_back_earns_nothing() {
        let now = clock::now() + Duration::from_secs(60);
        let budget = share(1.0, 0);
        budget.call_started(now);
        let past = now.checked_sub(Duration::from_secs(30)).unwrap();
        assert_eq!(budget.available(past), 1.0);
        budget.withdraw(past, TRANSIENT).unwrap().sent();
        assert!(budget.withdraw(past, TRANSIENT).is_err());
    }

    #[test]
    fn impossible_configurations_are_named() {
        let named = |result: Result<RetryBudget, InvalidConfig>| result.unwrap_err().field();
        for bad in [-1.0, 10.1, f64::NAN, f64::INFINITY, 0.000_4] {
            assert_eq!(named(RetryBudget::builder().ratio(bad).build()), "ratio", "{bad}");
        }
        for bad in [Duration::ZERO, Duration::MAX, Duration::from_nanos(1)] {
            assert_eq!(named(RetryBudget::builder().window(bad).build()), "window");
        }
        assert_eq!(named(RetryBudget::builder().reserve(u32::MAX).build()), "reserve");
        let costs = RetryCosts { throttled: 0.0, ..RetryCosts::default() };
        assert_eq!(named(RetryBudget::builder().costs(costs).build()), "costs.throttled");
        assert_eq!(named(RetryBudget::percent(f64::NAN)), "percent");
        assert_eq!(named(RetryBudget::percent(1_001.0)), "percent");
        assert_eq!(named(RetryBudget::grpc(0, 0.1)), "max_tokens");
        assert_eq!(named(RetryBudget::grpc(10, 0.0)), "token_ratio");
        assert_eq!(named(RetryBudget::throttler(50, 100, 10)), "min_tokens");
        assert_eq!(named(RetryBudget::aws_2_1().with_capacity(u32::MAX)), "capacity");
        assert_eq!(named(RetryBudget::finagle().with_capacity(1)), "capacity");
    }
}
