//! Builder of a registry.

use std::collections::HashSet;
use std::fmt;

use super::check::Check;
use super::registry::{Health, Serving, Source, Watched};
use super::run::Runner;
use super::state::Criticality;
use crate::breaker::CircuitBreaker;
use crate::config::InvalidConfig;
use crate::name::Name;

/// Condition under which a service has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Startup {
    /// No critical dependency was down for the first time.
    FirstReady,
    /// [`Health::set_started`] was called. No check runs before.
    Manual,
}

/// A builder of a [`Health`]. Defaults: no checks, always serving, [`Startup::FirstReady`].
#[must_use = "a builder does nothing until `build` is called"]
pub struct HealthBuilder {
    checks: Vec<Declared>,
    startup: Startup,
    serving: Serving,
}

enum Declared {
    Check(Check),
    Circuit { name: Name, breaker: CircuitBreaker, criticality: Criticality },
}

impl Declared {
    fn name(&self) -> &Name {
        match self {
            Declared::Check(check) => &check.name,
            Declared::Circuit { name, .. } => name,
        }
    }
}

impl HealthBuilder {
    pub(super) fn new() -> HealthBuilder {
        let serving: Serving = Box::new(|| true);
        HealthBuilder { checks: Vec::new(), startup: Startup::FirstReady, serving }
    }

    /// Adds a check of a dependency.
    pub fn check(mut self, check: Check) -> Self {
        self.checks.push(Declared::Check(check));
        self
    }

    /// Adds a dependency that is judged by its circuit breaker, which costs no call.
    ///
    /// An open circuit is down. A half-open or ramping one is impaired, whatever its criticality:
    /// without requests it could never close.
    ///
    /// Pass the circuit that calls use, not a template from which [`fresh`](CircuitBreaker::fresh)
    /// ones are made per key: no call passes a template.
    pub fn circuit_breaker(
        mut self,
        name: impl Into<Name>,
        breaker: CircuitBreaker,
        criticality: Criticality,
    ) -> Self {
        self.checks.push(Declared::Circuit { name: name.into(), breaker, criticality });
        self
    }

    /// Sets the condition under which the service has started.
    pub fn startup(mut self, startup: Startup) -> Self {
        self.startup = startup;
        self
    }

    /// Makes the service not ready while `serving` returns `false`; no check runs then. Use it for
    /// the readiness of a shutdown. Called before and after the checks of every probe: it must not
    /// block.
    pub fn serving_while(mut self, serving: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.serving = Box::new(serving);
        self
    }

    /// Builds the registry.
    ///
    /// # Errors
    /// Rejects a setting of a check that is out of its bounds, and a name that is empty or used
    /// twice.
    pub fn build(self) -> Result<Health, InvalidConfig> {
        let mut names = HashSet::new();
        for declared in &self.checks {
            let name = declared.name().as_str();
            if name.is_empty() {
                return Err(InvalidConfig::new("name", "``", "something"));
            }
            if !names.insert(name) {
                let bound = "the name of one check or circuit only";
                return Err(InvalidConfig::new("name", format_args!("`{name}`"), bound));
            }
            if let Declared::Check(check) = declared {
                check.validate()?;
            }
        }
        let watched = self.checks.into_iter().map(Watched::from).collect();
        Ok(Health::new(watched, self.startup, self.serving))
    }
}

impl From<Declared> for Watched {
    fn from(declared: Declared) -> Watched {
        match declared {
            Declared::Check(check) => {
                let name = check.name.clone();
                let criticality = check.criticality;
                Watched { name, criticality, source: Source::Check(Runner::new(check)) }
            }
            Declared::Circuit { name, breaker, criticality } => {
                Watched { name, criticality, source: Source::Circuit(breaker) }
            }
        }
    }
}

impl fmt::Debug for HealthBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.checks.iter().map(Declared::name).collect();
        f.debug_struct("HealthBuilder")
            .field("checks", &names)
            .field("startup", &self.startup)
            .finish_non_exhaustive()
    }
}
