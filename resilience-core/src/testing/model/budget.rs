//! Model of the windowed budget: a list of deposits.

use std::time::{Duration, Instant};

use arbitrary::Arbitrary;

use crate::clock;
use crate::model_input::{Rest, parse, unreachable_input};
use crate::outcome::FailureClass;
use crate::retry::Withdrawal;
use crate::retry::{RetryBudget, RetryCosts};

#[derive(Debug, Arbitrary)]
struct BudgetInput {
    /// In thousandths of a retry, up to 2.
    ratio: u16,
    reserve: u8,
    window_ms: u16,
    costs: [u8; 3],
    operations: Rest<BudgetOperation>,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum BudgetOperation {
    Advance(u16),
    Call,
    Retry(u8),
    /// Withdraws a retry and cancels it before it is sent.
    Cancel(u8),
}

/// A windowed budget as a list of deposits, oldest first.
struct NaiveBudget {
    /// Slot and thousandths of each deposit that is left.
    deposits: Vec<(u64, u64)>,
    reserve: u64,
}

impl NaiveBudget {
    const SLOTS: u64 = 10;

    /// Removes deposits older than the window, except the newest of them up to the reserve.
    fn expire(&mut self, slot: u64) {
        let mut kept = self.reserve;
        for (at, tokens) in self.deposits.iter_mut().rev() {
            if *at + Self::SLOTS < slot {
                *tokens = (*tokens).min(kept);
                kept -= *tokens;
            }
        }
        self.deposits.retain(|(_, tokens)| *tokens > 0);
    }

    fn available(&self) -> u64 {
        self.deposits.iter().map(|(_, tokens)| tokens).sum()
    }

    /// Spends the oldest deposits first. Returns `false`, and spends nothing, if there are too few.
    fn withdraw(&mut self, mut cost: u64) -> bool {
        if self.available() < cost {
            return false;
        }
        for (_, tokens) in &mut self.deposits {
            let part = cost.min(*tokens);
            *tokens -= part;
            cost -= part;
        }
        true
    }
}

/// Asserts that the windowed budget grants the same retries as a list of deposits, and never more
/// attempts than `(1 + ratio) * calls + reserve`.
pub fn budget(bytes: &[u8]) {
    let Some(input) = parse::<BudgetInput>(bytes) else { return };
    let ratio = u64::from(input.ratio % 2_001);
    let window = Duration::from_millis(u64::from(input.window_ms.max(10)));
    let costs = input.costs.map(|cost| u64::from(cost.max(1)) * 100);
    let budget = RetryBudget::builder()
        .ratio(as_tokens(ratio))
        .reserve(u32::from(input.reserve))
        .window(window)
        .costs(RetryCosts {
            transient: as_tokens(costs[0]),
            timed_out: as_tokens(costs[1]),
            throttled: as_tokens(costs[2]),
        })
        .build();
    let Ok(budget) = budget else { unreachable_input(&input) };
    let reserve = u64::from(input.reserve) * 1_000;
    let mut model = NaiveBudget { deposits: vec![(0, reserve)], reserve };
    let mut now = clock::now();
    // The first call or retry starts the count of slots; a read does not.
    let mut start = None;
    let mut deposited = reserve;
    let mut spent = 0;
    assert_eq!(budget.available(now), as_tokens(reserve));
    for operation in &input.operations.0 {
        if !matches!(operation, BudgetOperation::Advance(_)) {
            start.get_or_insert(now);
        }
        let slot = slot(start, now, window);
        model.expire(slot);
        match *operation {
            BudgetOperation::Advance(ms) => now += Duration::from_millis(u64::from(ms)),
            BudgetOperation::Call => {
                budget.call_started(now);
                model.deposits.push((slot, ratio));
                deposited += ratio;
            }
            BudgetOperation::Retry(class) => {
                let (class, cost) = class_of(class, costs);
                let granted = budget.withdraw(now, class).map(Withdrawal::sent).is_ok();
                assert_eq!(granted, model.withdraw(cost), "cost {cost} at {slot}");
                spent += if granted { cost } else { 0 };
            }
            BudgetOperation::Cancel(class) => {
                let (class, cost) = class_of(class, costs);
                let before = budget.available(now);
                let granted = budget.withdraw(now, class);
                assert_eq!(granted.is_ok(), model.available() >= cost);
                drop(granted);
                assert_eq!(budget.available(now), before, "a cancelled retry costs nothing");
            }
        }
        assert!(spent <= deposited, "{spent} of {deposited}");
        model.expire(self::slot(start, now, window));
        assert_eq!(budget.available(now), as_tokens(model.available()), "after {operation:?}");
    }
}

fn slot(start: Option<Instant>, now: Instant, window: Duration) -> u64 {
    let passed = start.map_or(Duration::ZERO, |start| now - start);
    u64::try_from(passed.as_nanos() / (window / 10).as_nanos()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn as_tokens(thousandths: u64) -> f64 {
    thousandths as f64 / 1_000.0
}

fn class_of(byte: u8, costs: [u64; 3]) -> (FailureClass, u64) {
    match byte % 3 {
        0 => (FailureClass::Transient, costs[0]),
        1 => (FailureClass::TimedOut, costs[1]),
        _ => (FailureClass::Throttled, costs[2]),
    }
}
