//! A registry in the making.

use std::collections::HashSet;
use std::fmt;

use super::check::Check;
use super::registry::{Health, Serving, Source, Watched};
use super::run::Runner;
use super::state::Criticality;
use crate::breaker::CircuitBreaker;
use crate::config::InvalidConfig;
use crate::name::Name;

/// When a service has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Startup {
    /// When no critical dependency was down for the first time.
    FirstReady,
    /// When [`Health::set_started`] was called. Nothing is checked before.
    Told,
}

/// A [`Health`] in the making. Begins with no checks, serving, and [`Startup::FirstReady`].
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

    /// Watches a dependency by checking it.
    pub fn check(mut self, check: Check) -> Self {
        self.checks.push(Declared::Check(check));
        self
    }

    /// Watches a dependency by the state of its circuit, which costs no call.
    ///
    /// An open circuit is down. One that is half-open or ramping is impaired and not down, whatever its
    /// criticality: without requests it would never find out that it may close.
    ///
    /// Give it the circuit that calls use, and not one that others are made from: no call passes a
    /// breaker that [`fresh`](CircuitBreaker::fresh) ones are made of for each key.
    pub fn breaker(
        mut self,
        name: impl Into<Name>,
        breaker: CircuitBreaker,
        criticality: Criticality,
    ) -> Self {
        self.checks.push(Declared::Circuit { name: name.into(), breaker, criticality });
        self
    }

    /// When the service has started.
    pub fn startup(mut self, startup: Startup) -> Self {
        self.startup = startup;
        self
    }

    /// Asked before and after the checks: while it says no, the service is not ready, and nothing is
    /// checked. This is where a shutdown says that it has begun. It is asked with every probe: be
    /// quick, do not block.
    pub fn serving(mut self, serving: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.serving = Box::new(serving);
        self
    }

    /// The registry.
    ///
    /// # Errors
    /// If a value of a check is out of its bounds, or two checks or circuits have one name, or none.
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
                let (name, criticality) = (check.name.clone(), check.criticality);
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
