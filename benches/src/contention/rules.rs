//! The backoff rules of the experiment. **To add a rule**, add a row to [`all`].
//!
//! The published model counts a failure before it computes the delay. The first delay of a rule
//! that grows by powers is therefore twice the base of 5 ms, and these rules start from [`FIRST`],
//! 10 ms. The decorrelated rules start from [`BASE`].

use std::fmt;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;
use resilience_core::InvalidConfig;
use resilience_core::retry::Backoff;
use tower::BoxError;

use super::peers;

pub(super) const NONE: &str = "none";
pub(super) const EXPONENTIAL: &str = "exponential";
pub(super) const EQUAL: &str = "equal jitter";
pub(super) const FULL: &str = "full jitter";
pub(super) const TEXTBOOK: &str = "textbook";
pub(super) const OURS: &str = "decorrelated";

pub(super) const BASE: Duration = Duration::from_millis(5);
pub(super) const FIRST: Duration = Duration::from_millis(10);
pub(super) const CAP: Duration = Duration::from_secs(2);

/// Delays of one client: each call of the closure returns the next one.
pub(super) type Session = Box<dyn FnMut(&mut SmallRng) -> Duration>;

/// A named backoff rule.
pub(super) struct Rule {
    pub(super) name: &'static str,
    /// Source of the delays: a crate with its version, or `formula`.
    pub(super) source: &'static str,
    start: Box<dyn Fn(&mut SmallRng) -> Session>,
}

impl Rule {
    pub(super) fn new(
        name: &'static str,
        source: &'static str,
        start: impl Fn(&mut SmallRng) -> Session + 'static,
    ) -> Rule {
        Rule { name, source, start: Box::new(start) }
    }

    /// Starts the sequence of delays of one client.
    pub(super) fn session(&self, rng: &mut SmallRng) -> Session {
        (self.start)(rng)
    }

    /// Returns `true` if the published table or a bound in [`check`](super::check) covers the rule.
    #[cfg(test)]
    pub(super) fn is_published(&self) -> bool {
        self.source == CORE
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule").field("name", &self.name).finish_non_exhaustive()
    }
}

const CORE: &str = "resilience-core";

pub(super) fn all() -> Result<Vec<Rule>, BoxError> {
    Ok(vec![
        core(NONE, Ok(Backoff::none()))?,
        core(EXPONENTIAL, Backoff::exponential(FIRST, CAP))?,
        core(EQUAL, Backoff::equal_jitter(FIRST, CAP))?,
        core(FULL, Backoff::full_jitter(FIRST, CAP))?,
        core(TEXTBOOK, Backoff::textbook_decorrelated_jitter(BASE, CAP))?,
        core(OURS, Backoff::decorrelated_jitter(BASE, CAP))?,
        Rule::new("backon", "backon 1.6", |rng| peers::backon(FIRST, CAP, rng)),
        Rule::new(
            "tower-resilience",
            "tower-resilience-retry 0.14",
            peers::tower_resilience(FIRST, CAP)?,
        ),
        Rule::new(peers::POLLY, "formula", |_| peers::polly(BASE, CAP)),
    ])
}

/// Returns a rule with delays from the library's [`Backoff`].
pub(super) fn core(
    name: &'static str,
    backoff: Result<Backoff, InvalidConfig>,
) -> Result<Rule, InvalidConfig> {
    let backoff = backoff?;
    Ok(Rule::new(name, CORE, move |_| {
        let mut schedule = backoff.schedule();
        Box::new(move |rng| schedule.next(rng.random()))
    }))
}
