//! The share of clients that sleep exactly the cap. Such clients return in step, because the cap
//! cuts off their jitter.

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use resilience_core::InvalidConfig;
use resilience_core::retry::Backoff;

use super::peers::{self, POLLY};
use super::rules::{self, OURS, Rule, TEXTBOOK};

const BASE: Duration = Duration::from_millis(100);
const CAP: Duration = Duration::from_secs(10);
/// Simulated clients for each rule.
const SESSIONS: u32 = 20_000;
/// Number of the delay that is compared with the cap, counted from 1.
const RETRY: usize = 10;

#[derive(Debug)]
pub(super) struct CapMass {
    pub(super) rule: &'static str,
    /// Share of sessions, from 0 to 1, in which delay number [`RETRY`] is the cap.
    pub(super) share: f64,
}

pub(super) fn measure(seed: u64) -> Result<Vec<CapMass>, InvalidConfig> {
    let rules = [
        rules::core(OURS, Backoff::decorrelated_jitter(BASE, CAP))?,
        rules::core(TEXTBOOK, Backoff::textbook_decorrelated_jitter(BASE, CAP))?,
        Rule::new(POLLY, "formula", |_| peers::polly(BASE, CAP)),
    ];
    Ok(rules.iter().map(|rule| CapMass { rule: rule.name, share: share(rule, seed) }).collect())
}

fn share(rule: &Rule, seed: u64) -> f64 {
    let mut rng = SmallRng::seed_from_u64(seed);
    let at_cap = (0..SESSIONS)
        .filter(|_| {
            let mut session = rule.session(&mut rng);
            (0..RETRY).map(|_| session(&mut rng)).last() == Some(CAP)
        })
        .count();
    crate::stats::float(at_cap) / f64::from(SESSIONS)
}
