//! Builder of a budget that is a share of the traffic.

use std::time::Duration;

use super::{Prices, RetryBudget};
use crate::config::{self, InvalidConfig};

/// Cost of a retry in tokens, by the class of the failure.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a price for each failure class, which is exhaustive"
)]
pub struct RetryCosts {
    /// After a [transient](crate::outcome::FailureClass::Transient) failure.
    pub transient: f64,
    /// After an attempt that [timed out](crate::outcome::FailureClass::TimedOut).
    pub timed_out: f64,
    /// After a [throttled](crate::outcome::FailureClass::Throttled) attempt.
    pub throttled: f64,
}

impl Default for RetryCosts {
    /// Returns a cost of one token for each class.
    fn default() -> RetryCosts {
        RetryCosts { transient: 1.0, timed_out: 1.0, throttled: 1.0 }
    }
}

/// A builder of a budget that is a share of the traffic. Returned by [`RetryBudget::builder`].
#[derive(Debug, Clone, Copy)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct RetryBudgetBuilder {
    ratio: f64,
    window: Duration,
    reserve: u32,
    costs: RetryCosts,
}

impl RetryBudgetBuilder {
    pub(super) fn new() -> RetryBudgetBuilder {
        RetryBudgetBuilder {
            ratio: 0.1,
            window: Duration::from_secs(1),
            reserve: 10,
            costs: RetryCosts::default(),
        }
    }

    /// Sets the retries per call: 0.1 is 10 %. From 0 to 10, in thousandths.
    pub fn ratio(mut self, ratio: f64) -> Self {
        self.ratio = ratio;
        self
    }

    /// Sets the lifetime of a deposit: at least this, and at most a tenth longer. From 1 ms to a
    /// day.
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Sets the initial retries, and the maximum that expired deposits refill. At most a million.
    pub fn reserve(mut self, retries: u32) -> Self {
        self.reserve = retries;
        self
    }

    /// Sets the costs of retries, each from 0.001 to 1,000 tokens. The bound on attempts of
    /// [`RetryBudget`] holds at costs of 1 or more.
    pub fn costs(mut self, costs: RetryCosts) -> Self {
        self.costs = costs;
        self
    }

    /// Builds the budget.
    ///
    /// # Errors
    /// Names the value that is out of its range or not a number.
    pub fn build(self) -> Result<RetryBudget, InvalidConfig> {
        let deposit = thousandths("ratio", self.ratio, 0.0, 10.0)?;
        let allowed = Duration::from_millis(1)..=Duration::from_secs(24 * 60 * 60);
        if !allowed.contains(&self.window) {
            let window = format_args!("{:?}", self.window).to_string();
            return Err(InvalidConfig::new("window", window, "between 1ms and 24h"));
        }
        if self.reserve > 1_000_000 {
            return Err(InvalidConfig::new("reserve", self.reserve, "at most 1000000"));
        }
        let cost = |field, value| thousandths(field, value, 0.001, 1_000.0);
        let prices = Prices {
            transient: cost("costs.transient", self.costs.transient)?,
            timed_out: cost("costs.timed_out", self.costs.timed_out)?,
            throttled: cost("costs.throttled", self.costs.throttled)?,
        };
        Ok(RetryBudget::share(deposit, self.window, self.reserve, prices))
    }
}

/// Converts a number to thousandths. A number between two thousandths is rejected and not rounded.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the bounds")]
pub(super) fn thousandths(
    field: &'static str,
    value: f64,
    low: f64,
    high: f64,
) -> Result<u64, InvalidConfig> {
    // See docs/decisions/0011-accounts-use-thousandths.md.
    let scaled = config::number(field, value, low, high)? * 1_000.0;
    if (scaled - scaled.round()).abs() > 1e-6 {
        return Err(InvalidConfig::new(field, value, "a whole number of thousandths"));
    }
    Ok(scaled.round() as u64)
}
