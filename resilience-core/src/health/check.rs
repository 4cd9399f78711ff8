//! A check of a dependency.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use super::cached_result::CheckSettings;
use super::failure::Failure;
use super::state::Criticality;
use crate::config::{self, InvalidConfig};
use crate::name::Name;

type BoxedRun = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// Creates the future of a run.
pub(super) type Run = Box<dyn Fn() -> BoxedRun + Send + Sync>;

/// A check of one dependency: a function that creates the future of each run, and its settings.
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
    pub(super) settings: CheckSettings,
}

impl Check {
    /// Creates a check of a dependency that the service needs.
    pub fn critical<F, R, E>(name: impl Into<Name>, run: F) -> Check
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Check::new(name, Criticality::Critical, run)
    }

    /// Creates a check of a dependency without which the service is degraded.
    pub fn optional<F, R, E>(name: impl Into<Name>, run: F) -> Check
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Check::new(name, Criticality::Optional, run)
    }

    /// Creates a check. `run` creates the future of each run, which returns an error if the
    /// dependency is down.
    ///
    /// A run is polled in a task of its own, with its timeout as the current
    /// [`Deadline`](crate::Deadline), and dropped at the timeout. It should not block its thread: a
    /// run that does counts as timed out, and the next one starts only after it has returned.
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
        Check {
            name: name.into(),
            criticality,
            run: Box::new(run),
            settings: CheckSettings::default(),
        }
    }

    /// Sets the maximum duration of a run; 500 ms by default. Keep it below the timeout of the
    /// probe, which is one second in Kubernetes.
    pub fn timeout(mut self, timeout: Duration) -> Check {
        self.settings.timeout = timeout;
        self
    }

    /// Sets the time for which a result is used; 2 s by default. With zero, every probe that finds
    /// no run in progress starts one.
    pub fn ttl(mut self, ttl: Duration) -> Check {
        self.settings.ttl = ttl;
        self
    }

    /// Sets the consecutive failures after which an up dependency is down; 1 by default. Until then
    /// it is [`Impaired`](super::CheckState::Impaired).
    pub fn failures_to_down(mut self, runs: u32) -> Check {
        self.settings.failures_to_down = runs;
        self
    }

    /// Sets the consecutive successes after which a down dependency is up; 1 by default. The first
    /// run decides alone.
    pub fn successes_to_up(mut self, runs: u32) -> Check {
        self.settings.successes_to_up = runs;
        self
    }

    pub(super) fn validate(&self) -> Result<(), InvalidConfig> {
        let settings = &self.settings;
        let named = |error: InvalidConfig| {
            InvalidConfig::new(
                error.field(),
                format_args!("{} (check `{}`)", error.value(), self.name),
                error.bound(),
            )
        };
        config::wait("timeout", settings.timeout).map_err(named)?;
        config::wait_or_none("ttl", settings.ttl).map_err(named)?;
        let counts = [
            ("failures_to_down", settings.failures_to_down),
            ("successes_to_up", settings.successes_to_up),
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
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
