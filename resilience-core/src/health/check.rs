//! A check in the making.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use super::failure::Failure;
use super::state::Criticality;
use super::verdict::CheckTerms;
use crate::config::{self, InvalidConfig};
use crate::name::Name;

type BoxedRun = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// Makes the future of a run.
pub(super) type Run = Box<dyn Fn() -> BoxedRun + Send + Sync>;

/// A check of one dependency: a future that is made anew for each run, and what it is allowed.
///
/// ```
/// use std::time::Duration;
/// use resilience_core::health::{Check, Health};
///
/// # async fn ping() -> Result<(), std::io::Error> { Ok(()) }
/// let warehouse = Check::critical("warehouse", || async { ping().await })
///     .timeout(Duration::from_millis(300))
///     .ttl(Duration::from_secs(5));
/// let health = Health::builder().check(warehouse).build()?;
/// # Ok::<_, resilience_core::InvalidConfig>(())
/// ```
#[must_use = "a check does nothing until it is given to a `HealthBuilder`"]
pub struct Check {
    pub(super) name: Name,
    pub(super) criticality: Criticality,
    pub(super) run: Run,
    pub(super) terms: CheckTerms,
}

impl Check {
    /// A check of something that the service cannot do without.
    pub fn critical<F, R, E>(name: impl Into<Name>, run: F) -> Check
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Check::new(name, Criticality::Critical, run)
    }

    /// A check of something that the service can do without.
    pub fn optional<F, R, E>(name: impl Into<Name>, run: F) -> Check
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Check::new(name, Criticality::Optional, run)
    }

    /// A check: `run` makes the future of each run, which is an error if the dependency is down.
    ///
    /// A run is polled in a task of its own, with its timeout as the current
    /// [`Deadline`](crate::Deadline), and dropped when that is over. It is not to block its thread: one
    /// that does is known to have timed out, and not run again until it has come back.
    pub fn new<F, R, E>(name: impl Into<Name>, criticality: Criticality, run: F) -> Check
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let run = move || -> BoxedRun {
            let run = run();
            Box::pin(async move {
                let error: Box<dyn std::error::Error + Send + Sync> = match run.await {
                    Ok(()) => return Ok(()),
                    Err(error) => error.into(),
                };
                Err(Failure::of_error(&*error))
            })
        };
        let (name, run) = (name.into(), Box::new(run));
        Check { name, criticality, run, terms: CheckTerms::default() }
    }

    /// How long a run may take: 500 ms, unless told otherwise. Less than what the prober allows, which
    /// is one second in Kubernetes: what is not answered in time is no answer.
    pub fn timeout(mut self, timeout: Duration) -> Check {
        self.terms.timeout = timeout;
        self
    }

    /// For how long a result, good or bad, is the answer: 2 s, unless told otherwise. With zero, every
    /// probe that does not find a run under way starts one.
    pub fn ttl(mut self, ttl: Duration) -> Check {
        self.terms.ttl = ttl;
        self
    }

    /// How many runs in a row have to fail until a dependency that was up is down: 1, unless told
    /// otherwise. Until then it is [`Impaired`](super::CheckState::Impaired).
    pub fn failures_to_down(mut self, runs: u32) -> Check {
        self.terms.failures_to_down = runs;
        self
    }

    /// How many runs in a row have to succeed until a dependency that was down is up: 1, unless told
    /// otherwise. The first run of all decides alone.
    pub fn successes_to_up(mut self, runs: u32) -> Check {
        self.terms.successes_to_up = runs;
        self
    }

    pub(super) fn validate(&self) -> Result<(), InvalidConfig> {
        let terms = &self.terms;
        let named = |error: InvalidConfig| {
            InvalidConfig::new(
                error.field(),
                format_args!("{} (check `{}`)", error.value(), self.name),
                error.bound(),
            )
        };
        config::wait("timeout", terms.timeout).map_err(named)?;
        config::wait_or_none("ttl", terms.ttl).map_err(named)?;
        let counts = [
            ("failures_to_down", terms.failures_to_down),
            ("successes_to_up", terms.successes_to_up),
        ];
        for (field, runs) in counts {
            if runs == 0 {
                return Err(named(InvalidConfig::new(field, 0, "at least 1")));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check")
            .field("name", &self.name)
            .field("criticality", &self.criticality)
            .field("terms", &self.terms)
            .finish_non_exhaustive()
    }
}
