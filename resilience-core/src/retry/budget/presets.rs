//! Budgets of well-known clients.

use std::time::Duration;

use super::bucket::Bucket;
use super::builder::thousandths;
use super::{Charge, Kind, Prices, RetryBudget, TOKEN};
use crate::config::{self, InvalidConfig};

impl RetryBudget {
    /// Returns a budget that grants every retry, for code that takes a budget where none is needed:
    /// for one key of a store, or a caller with another bound on its retries. A policy is built
    /// [`without_budget`](crate::retry::RetryPolicyBuilder::without_budget) instead, a profile with
    /// `without_budget = true`.
    ///
    /// Each call still makes at most
    /// [`max_attempts`](crate::retry::RetryPolicyBuilder::max_attempts) attempts. During an outage
    /// each call makes them all; the plan of a stack warns of that.
    #[must_use]
    pub fn unlimited() -> RetryBudget {
        RetryBudget::new(Kind::Unlimited, Prices::whole(0, 0, 0))
    }

    /// Returns a budget with Finagle's numbers: 20 % over ten seconds, and a reserve of 100, which
    /// is ten a second over that window. Finagle grants its ten a second to each client for ever;
    /// this budget grants the reserve once and refills it by traffic.
    ///
    /// Source: *Improving Finagle's Retries*, Twitter, 2016.
    #[must_use]
    pub fn finagle() -> RetryBudget {
        RetryBudget::share(200, Duration::from_secs(10), 100, Prices::whole(1, 1, 1))
    }

    /// Returns the bucket of the AWS SDKs' standard retry mode, version 2.1: 500 tokens. A retry
    /// costs 14, after throttling 5; a retry that succeeds returns its cost, a first attempt that
    /// succeeds earns 1.
    ///
    /// Source: the AWS SDKs' retry behaviour specification, 2026.
    #[must_use]
    pub fn aws_2_1() -> RetryBudget {
        RetryBudget::aws(500, Prices::whole(14, 14, 5))
    }

    /// Returns the bucket of the AWS SDKs' standard retry mode before 2.1: 500 tokens. A retry
    /// costs 5, after a time-out 10.
    #[must_use]
    pub fn aws_2_0() -> RetryBudget {
        RetryBudget::aws(500, Prices::whole(5, 10, 5))
    }

    /// Returns a full bucket with the prices of this one and another capacity.
    ///
    /// # Errors
    /// If `capacity` is more than a million, or this is not a budget like
    /// [`aws_2_1`](RetryBudget::aws_2_1), whose capacity is free.
    pub fn with_capacity(&self, capacity: u32) -> Result<RetryBudget, InvalidConfig> {
        let Kind::Bucket { charge: Charge::Retry, .. } = self.0.kind else {
            return Err(InvalidConfig::new(
                "capacity",
                capacity,
                "left out for this kind of budget",
            ));
        };
        if capacity > 1_000_000 {
            return Err(InvalidConfig::new("capacity", capacity, "at most 1000000"));
        }
        Ok(RetryBudget::aws(capacity, self.0.prices))
    }

    /// Returns gRPC's retry throttling (proposal A6): `max_tokens` at first; each retryable failure
    /// takes one token, each success adds `token_ratio`, and no retries are granted while half or
    /// less is left.
    ///
    /// # Errors
    /// If `max_tokens` is not between 1 and 1,000, or `token_ratio` not between 0.001 and 1,000.
    pub fn grpc(max_tokens: u32, token_ratio: f64) -> Result<RetryBudget, InvalidConfig> {
        config::number("max_tokens", f64::from(max_tokens), 1.0, 1_000.0)?;
        let earned = thousandths("token_ratio", token_ratio, 0.001, 1_000.0)?;
        let tokens = u64::from(max_tokens) * TOKEN;
        Ok(RetryBudget::charged_by_failures(tokens, tokens / 2, earned, Prices::whole(1, 1, 1)))
    }

    /// Returns the throttler of Google's client libraries: `tokens` at first; each failure takes
    /// `error_cost`, each success adds one, and no retries are granted at `min_tokens` or below.
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
            let bound = format!("at most `tokens` ({tokens})");
            return Err(InvalidConfig::new("min_tokens", min_tokens, bound));
        }
        let cost = u64::from(error_cost);
        let prices = Prices::whole(cost, cost, cost);
        let tokens = u64::from(tokens) * TOKEN;
        let threshold = u64::from(min_tokens) * TOKEN;
        Ok(RetryBudget::charged_by_failures(tokens, threshold, TOKEN, prices))
    }

    fn aws(capacity: u32, prices: Prices) -> RetryBudget {
        let bucket = Bucket::new(u64::from(capacity) * TOKEN);
        RetryBudget::new(Kind::Bucket { bucket, earned: TOKEN, charge: Charge::Retry }, prices)
    }

    fn charged_by_failures(
        tokens: u64,
        threshold: u64,
        earned: u64,
        prices: Prices,
    ) -> RetryBudget {
        let charge = Charge::Failure { threshold };
        RetryBudget::new(Kind::Bucket { bucket: Bucket::new(tokens), earned, charge }, prices)
    }
}
