//! Budgets that bound the retries of all callers together.

mod bucket;
mod builder;
mod presets;
mod window;

use std::fmt;
use std::num::NonZeroU64;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::clock::tick::Tick;
use crate::clock::{self, nanos};
use crate::config::{self, InvalidConfig};
use crate::observe::{Gauges, names};
use crate::outcome::FailureClass;
#[cfg(feature = "tower")]
use crate::plan_input::BudgetInput;
use bucket::Bucket;
pub use builder::{RetryBudgetBuilder, RetryCosts};
use window::{Deposits, SLOTS};

/// One token, in thousandths: gRPC keeps three decimals. 64 bits of them last for five hundred
/// years of a million calls a second.
const TOKEN: u64 = 1_000;

/// A budget that retries are paid from. Clones share it.
///
/// A limit on attempts bounds one call, not an outage: when everything fails, three attempts a call
/// triple the load on a failing service. A budget bounds the retries of all callers together, in
/// one of two forms:
///
/// - **A share of the traffic** ([`RetryBudget::builder`], [`RetryBudget::percent`]). Each call
///   deposits, each retry withdraws, and deposits expire with the window. At every instant, and
///   under any interleaving of threads, `attempts <= (1 + ratio) * calls + reserve`. The reserve is
///   granted once and refilled only by deposits that expired unused. The reserve scales with the
///   traffic: a hundred idle clients do not add up to a storm, as those with a fixed "ten a second"
///   each do.
/// - **A bucket** ([`RetryBudget::aws_2_1`], [`aws_2_0`](RetryBudget::aws_2_0),
///   [`grpc`](RetryBudget::grpc), [`throttler`](RetryBudget::throttler)): failures take tokens,
///   successes return them.
///
/// [`RetryBudget::unlimited`] grants every retry, where a budget is required.
///
/// Clones share the balance: give the same budget to every layer, function and hedge that calls the
/// same upstream. All methods are lock-free, in thousandths of a token, and checked by loom.
///
/// ```
/// use resilience_core::FailureClass;
/// use resilience_core::retry::RetryBudget;
///
/// let budget = RetryBudget::builder().ratio(0.5).reserve(0).build()?;
/// let now = resilience_core::clock::now();
/// budget.call_started(now);
/// budget.call_started(now);
/// budget.withdraw(now, FailureClass::Transient).expect("two calls pay for one retry").sent();
/// assert!(budget.withdraw(now, FailureClass::Transient).is_err());
/// # Ok::<_, resilience_core::InvalidConfig>(())
/// ```
///
/// Times may come out of order: an earlier one counts as the latest. After a
/// [far instant](crate::clock#far-instants) deposits do not expire before that instant.
#[derive(Clone)]
pub struct RetryBudget(Arc<BudgetState>);

struct BudgetState {
    kind: Kind,
    prices: Prices,
}

/// [`RetryCosts`] in thousandths.
#[derive(Clone, Copy)]
struct Prices {
    transient: u64,
    timed_out: u64,
    throttled: u64,
}

enum Kind {
    /// `slot` is in nanoseconds: a division of durations goes through 128 bits.
    Share {
        deposits: Deposits,
        deposit: u64,
        slot: NonZeroU64,
        origin: OnceLock<Tick>,
    },
    Bucket {
        bucket: Bucket,
        earned: u64,
        charge: Charge,
    },
    Unlimited,
}

impl Prices {
    /// Converts whole tokens.
    const fn whole(transient: u64, timed_out: u64, throttled: u64) -> Prices {
        Prices {
            transient: transient * TOKEN,
            timed_out: timed_out * TOKEN,
            throttled: throttled * TOKEN,
        }
    }
}

/// The event that takes tokens out of a bucket.
#[derive(Clone, Copy)]
enum Charge {
    /// A retry takes its cost, and returns it if it succeeds (AWS).
    Retry,
    /// A failure takes its cost, whether or not a retry follows; no retries at or below the
    /// threshold (gRPC).
    Failure { threshold: u64 },
}

impl RetryBudget {
    /// Returns a builder of a share of the traffic. By default 10 % over a window of one second,
    /// with a reserve of 10 retries.
    pub fn builder() -> RetryBudgetBuilder {
        RetryBudgetBuilder::new()
    }

    /// Returns a share of `percent` of the traffic, with the window and the reserve of
    /// [`builder`](RetryBudget::builder).
    ///
    /// # Errors
    /// If `percent` is not between 0 and 1,000, or finer than a tenth.
    pub fn percent(percent: f64) -> Result<RetryBudget, InvalidConfig> {
        let percent = config::number("percent", percent, 0.0, 1_000.0)?;
        RetryBudget::builder().ratio(percent / 100.0).build()
    }

    fn share(deposit: u64, window: Duration, reserve: u32, prices: Prices) -> RetryBudget {
        let deposits = Deposits::new(u64::from(reserve) * TOKEN);
        let slot = nanos(window / SLOTS as u32).try_into().unwrap_or(NonZeroU64::MIN);
        RetryBudget::new(Kind::Share { deposits, deposit, slot, origin: OnceLock::new() }, prices)
    }

    fn new(kind: Kind, prices: Prices) -> RetryBudget {
        RetryBudget(Arc::new(BudgetState { kind, prices }))
    }

    /// Returns a budget with the same settings and an untouched balance of its own, for a store of
    /// one budget for each key.
    #[must_use]
    pub fn fresh(&self) -> RetryBudget {
        let kind = match &self.0.kind {
            Kind::Share { deposits, deposit, slot, .. } => Kind::Share {
                deposits: Deposits::new(deposits.reserve()),
                deposit: *deposit,
                slot: *slot,
                origin: OnceLock::new(),
            },
            Kind::Bucket { bucket, earned, charge } => {
                Kind::Bucket { bucket: bucket.fresh(), earned: *earned, charge: *charge }
            }
            Kind::Unlimited => Kind::Unlimited,
        };
        RetryBudget::new(kind, self.0.prices)
    }

    /// Returns `true` if there is another handle on this balance.
    #[cfg(feature = "tower")]
    pub(super) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Returns the instant up to which the balance differs from a [fresh](RetryBudget::fresh) one
    /// if no call comes. `None` if it does not differ. Without calls, a reserve or a bucket that
    /// was spent does not come back.
    // Enters no slot: a store reads the balances of other keys than that of the call.
    #[cfg(feature = "tower")]
    pub(super) fn remembers_until(&self, now: Instant) -> Option<Instant> {
        let until = match &self.0.kind {
            Kind::Unlimited => return None,
            Kind::Bucket { bucket, .. } if bucket.is_full() => return None,
            Kind::Bucket { .. } => Tick::NEVER,
            Kind::Share { deposits, slot, origin, .. } => match deposits.left() {
                left if left < deposits.reserve() => Tick::NEVER,
                left if left == deposits.reserve() => return None,
                _ => origin.get()?.after_ns(deposits.over().saturating_mul(slot.get())),
            },
        };
        (until > Tick::of(now)).then(|| until.instant())
    }

    /// The size of the shared state, with its two reference counts.
    #[cfg(feature = "tower")]
    pub(super) const BYTES: usize = size_of::<BudgetState>() + 2 * size_of::<usize>();

    /// Deposits the share of a call (not an attempt) that begins at `now`.
    #[inline]
    pub fn call_started(&self, now: Instant) {
        self.deposit(|| Tick::of(now));
    }

    /// Deposits the share of a call. Reads the time only if deposits expire.
    #[inline]
    pub(super) fn deposit(&self, now: impl FnOnce() -> Tick) {
        if let Kind::Share { deposits, deposit, slot, origin } = &self.0.kind {
            let now = now();
            let passed = now.since(*origin.get_or_init(|| now));
            if !deposits.deposit_within(passed, slot.get(), *deposit) {
                deposits.deposit(passed / *slot, *deposit);
            }
        }
    }

    /// Records a first attempt that succeeded, or that proved the service to be up, as a permanent
    /// error does. A bucket earns tokens from it.
    #[inline]
    pub fn succeeded(&self) {
        if let Kind::Bucket { bucket, earned, .. } = &self.0.kind {
            bucket.add(*earned);
        }
    }

    /// Records an attempt that failed in a way that may pass, whether or not a retry follows.
    pub fn failed(&self, class: FailureClass) {
        if let Kind::Bucket { bucket, charge: Charge::Failure { .. }, .. } = &self.0.kind {
            bucket.drain(self.0.cost(class));
        }
    }

    /// Withdraws the price of one retry (or hedge) after an attempt that failed like `class`.
    ///
    /// # Errors
    /// If the balance is lower. Nothing is withdrawn then.
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
            Kind::Unlimited => Some(0),
        };
        match taken {
            Some(slot) => Ok(Withdrawal { budget: self.clone(), cost, slot, sent: false }),
            None => Err(BudgetExhausted(())),
        }
    }

    /// Returns the balance at `now` in tokens; infinity for an [unlimited](RetryBudget::unlimited)
    /// budget.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    pub fn available(&self, now: Instant) -> f64 {
        let thousandths = match &self.0.kind {
            Kind::Share { deposits, slot, origin, .. } => {
                // A read does not set the origin of the slots: the first call or retry does.
                let passed = origin.get().map_or(0, |origin| Tick::of(now).since(*origin));
                deposits.available(passed / *slot)
            }
            Kind::Bucket { bucket, .. } => bucket.tokens(),
            Kind::Unlimited => return f64::INFINITY,
        };
        thousandths as f64 / TOKEN as f64
    }
}

#[cfg(feature = "tower")]
impl RetryBudget {
    /// Returns the input of a stack's plan.
    #[expect(clippy::cast_precision_loss, reason = "thousandths of at most a million")]
    pub(crate) fn planned(&self) -> Option<BudgetInput> {
        match &self.0.kind {
            Kind::Share { deposits, deposit, slot, .. } => Some(BudgetInput::Share {
                ratio: *deposit as f64 / TOKEN as f64,
                window: Duration::from_nanos(slot.get()) * SLOTS as u32,
                reserve: deposits.reserve() as f64 / TOKEN as f64,
            }),
            Kind::Bucket { .. } => Some(BudgetInput::Bucket),
            Kind::Unlimited => None,
        }
    }

    pub(crate) const fn heap_bytes(&self) -> usize {
        size_of::<BudgetState>()
    }

    /// Reduces this new budget to what `former` has left at `now`: a change of the settings does
    /// not refill the balance.
    #[cfg(feature = "profiles")]
    pub(crate) fn succeed(&self, former: &RetryBudget, now: Instant) {
        let (Kind::Share { deposits: old, .. }, Kind::Share { deposits: new, .. }) =
            (&former.0.kind, &self.0.kind)
        else {
            return;
        };
        let left = old.available(former.0.slot(now));
        let slot = self.0.slot(now);
        let spent = new.available(slot).saturating_sub(left);
        // This budget is not shared yet: everything available can be withdrawn.
        let _ = new.withdraw(slot, spent);
    }
}

/// The defaults of [`RetryBudget::builder`].
impl Default for RetryBudget {
    fn default() -> RetryBudget {
        RetryBudget::share(100, Duration::from_secs(1), 10, Prices::whole(1, 1, 1))
    }
}

impl BudgetState {
    fn cost(&self, class: FailureClass) -> u64 {
        match class {
            FailureClass::Transient => self.prices.transient,
            FailureClass::TimedOut => self.prices.timed_out,
            FailureClass::Throttled => self.prices.throttled,
        }
    }

    /// Returns the slot of `now`, counted from the first instant that was passed to this budget.
    #[inline]
    fn slot(&self, now: Instant) -> u64 {
        let Kind::Share { slot, origin, .. } = &self.kind else {
            return 0;
        };
        let now = Tick::of(now);
        now.since(*origin.get_or_init(|| now)) / *slot
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
            Kind::Unlimited => out.field("unlimited", &true),
        };
        out.finish_non_exhaustive()
    }
}

/// The error of a budget whose balance does not pay for a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetExhausted(());

impl fmt::Display for BudgetExhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the retry budget is spent")
    }
}

impl std::error::Error for BudgetExhausted {}

/// The price of one retry, withdrawn from the budget. Dropping it before
/// [`sent`](Withdrawal::sent), because the call was cancelled while it waited, refunds the price.
#[derive(Debug)]
#[must_use = "dropping a withdrawal gives it back"]
#[doc(hidden)]
pub struct Withdrawal {
    budget: RetryBudget,
    cost: u64,
    slot: u64,
    sent: bool,
}

impl Withdrawal {
    /// Spends the price: the retry was sent. Keep the receipt to report a success.
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
            Kind::Bucket { charge: Charge::Failure { .. }, .. } | Kind::Unlimited => {}
        }
    }
}

/// The price of a retry that was sent. Drop the receipt if the retry failed.
#[derive(Debug)]
#[doc(hidden)]
pub struct Receipt {
    cost: u64,
}

impl Receipt {
    /// Records that the retry succeeded. A bucket charged by retries (AWS) gets the price back, a
    /// bucket charged by failures (gRPC) earns as from any success, and a share of the traffic
    /// stays spent: a retry does not pay for itself.
    pub fn succeeded(self, budget: &RetryBudget) {
        match &budget.0.kind {
            Kind::Bucket { bucket, charge: Charge::Retry, .. } => bucket.add(self.cost),
            _ => budget.succeeded(),
        }
    }
}

/// Visits [`names::BUDGET_AVAILABLE`].
impl Gauges for RetryBudget {
    fn gauges(&self, visit: &mut dyn FnMut(&'static str, f64)) {
        visit(names::BUDGET_AVAILABLE, self.available(clock::now()));
    }
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
        let grpc = RetryBudget::grpc(10, 0.5).unwrap();
        for budget in [share(1.0, 1), RetryBudget::aws_2_1(), grpc, RetryBudget::unlimited()] {
            let before = budget.available(now);
            drop(budget.withdraw(now, TRANSIENT).unwrap());
            assert_eq!(budget.available(now), before, "{budget:?}");
        }
    }

    #[test]
    fn clones_share_the_balance() {
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
    fn unlimited_grants_everything() {
        let now = clock::now();
        for budget in [RetryBudget::unlimited(), RetryBudget::unlimited().fresh()] {
            for class in [FailureClass::Transient, FailureClass::TimedOut, FailureClass::Throttled]
            {
                (0..10_000).for_each(|_| budget.failed(class));
                for _ in 0..10_000 {
                    budget.withdraw(now, class).unwrap().sent().succeeded(&budget);
                }
            }
            assert_eq!(budget.available(now), f64::INFINITY);
            assert_eq!(budget.with_capacity(1).unwrap_err().field(), "capacity");
        }
    }

    /// A gauge read with a time ahead would otherwise put all calls up to that time into one slot.
    #[test]
    fn a_read_changes_nothing() {
        let now = clock::now();
        let read = share(1.0, 0);
        let unread = share(1.0, 0);
        let _ = read.available(now + Duration::from_secs(3_600));
        for budget in [&read, &unread] {
            budget.call_started(now);
            assert_eq!(budget.available(now + Duration::from_secs(2)), 0.0, "expired");
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
