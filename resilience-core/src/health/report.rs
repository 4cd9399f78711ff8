//! Reports for probes.

use std::fmt;
use std::time::Duration;

use super::failure::Failure;
use super::state::{CheckState, Criticality, Readiness};
use crate::breaker::CircuitState;
use crate::name::Name;

/// Health of a service and of each dependency.
///
/// `Display` lists what is wrong, in a text that may be public.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthReport {
    /// The readiness of the service.
    pub readiness: Readiness,
    /// The reason, if the service is not ready.
    pub reason: Option<NotReadyReason>,
    /// Time after which the readiness may change: the longest of the critical dependencies that are
    /// down. `None` if that is unknown, or the service is ready.
    pub retry_after: Option<Duration>,
    /// Checks and circuits, in the order of their declaration.
    pub checks: Vec<CheckReport>,
}

/// Health of one dependency.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// The name.
    pub name: Name,
    /// The importance of the dependency for the service.
    pub criticality: Criticality,
    /// The state.
    pub state: CheckState,
    /// The failure, if there is one.
    pub failure: Option<Failure>,
    /// Age of the result. `None` for a circuit, and for a check without a result.
    pub age: Option<Duration>,
    /// Duration of the run.
    pub took: Option<Duration>,
    /// State of the circuit; `None` for a check.
    pub circuit: Option<CircuitState>,
}

/// Reason for which a service is not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotReadyReason {
    /// `serving_while` returned `false`.
    NotServing,
    /// `set_started` was not called yet.
    Starting,
    /// A critical dependency is down.
    Dependency,
}

impl NotReadyReason {
    /// Returns a stable identifier: the variant in snake case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            NotReadyReason::NotServing => "not_serving",
            NotReadyReason::Starting => "starting",
            NotReadyReason::Dependency => "dependency",
        }
    }
}

impl fmt::Display for NotReadyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotReadyReason::NotServing => "not serving",
            NotReadyReason::Starting => "starting",
            NotReadyReason::Dependency => "a critical dependency is down",
        })
    }
}

impl HealthReport {
    /// Creates a report from the checks and the times after which they may change.
    pub(super) fn of_checks(checks: Vec<(CheckReport, Option<Duration>)>) -> HealthReport {
        let readiness = Readiness::of(checks.iter().map(|(it, _)| (it.criticality, it.state)));
        let reason = (!readiness.is_ready()).then_some(NotReadyReason::Dependency);
        let decisive = checks.iter().filter(|(it, _)| it.is_decisive());
        let retry_after = decisive.filter_map(|&(_, wait)| wait).max();
        let checks = checks.into_iter().map(|(check, _)| check).collect();
        HealthReport { readiness, reason, retry_after, checks }
    }

    /// Returns the report as not ready for this reason.
    pub(super) fn because(self, reason: NotReadyReason) -> HealthReport {
        let readiness = Readiness::NotReady;
        HealthReport { readiness, reason: Some(reason), retry_after: None, ..self }
    }

    /// Returns the report of a started service: ready or degraded.
    pub(super) fn started(self) -> HealthReport {
        let readiness = match self.readiness {
            Readiness::Ready => Readiness::Ready,
            Readiness::Degraded | Readiness::NotReady => Readiness::Degraded,
        };
        HealthReport { readiness, reason: None, retry_after: None, ..self }
    }

    /// Returns the check or circuit with this name.
    #[must_use]
    pub fn check(&self, name: &str) -> Option<&CheckReport> {
        self.checks.iter().find(|check| check.name.as_str() == name)
    }
}

impl CheckReport {
    /// Returns `true` if this dependency makes the service not ready.
    fn is_decisive(&self) -> bool {
        (self.criticality, self.state) == (Criticality::Critical, CheckState::Down)
    }
}

impl fmt::Display for HealthReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.readiness)?;
        if let Some(reason) = self.reason {
            write!(f, " ({reason})")?;
        }
        let unwell = self.checks.iter().filter(|check| check.state != CheckState::Up);
        for (index, check) in unwell.enumerate() {
            f.write_str(if index == 0 { ": " } else { ", " })?;
            write!(f, "{} is {}", check.name, check.state)?;
            if let Some(failure) = &check.failure {
                write!(f, " ({failure})")?;
            }
        }
        Ok(())
    }
}
