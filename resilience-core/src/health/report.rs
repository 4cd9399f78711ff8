//! What a probe is told.

use std::fmt;
use std::time::Duration;

use super::failure::Failure;
use super::state::{CheckState, Criticality, Readiness};
use crate::breaker::CircuitState;
use crate::name::Name;

/// How a service stands, and what that was concluded from.
///
/// Shown (`Display`), it names what is wrong, in words that anybody may read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Whether to send requests.
    pub readiness: Readiness,
    /// Why not, if not.
    pub reason: Option<NotReadyReason>,
    /// When it may have changed: the longest of what the critical dependencies that are down need.
    /// None if that is not known, or the service is ready.
    pub retry_after: Option<Duration>,
    /// Each check and circuit, in the order of their declaration.
    pub checks: Vec<CheckReport>,
}

/// How one dependency stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// What it is called.
    pub name: Name,
    /// Whether the service can do without it.
    pub criticality: Criticality,
    /// How it stands.
    pub state: CheckState,
    /// What is wrong with it, if something is.
    pub failure: Option<Failure>,
    /// How long ago that was found out. None for a circuit, which is looked at, and for a check that
    /// never ran to an end.
    pub age: Option<Duration>,
    /// How long it took to find out.
    pub took: Option<Duration>,
    /// The state of the circuit, if it is one.
    pub circuit: Option<CircuitState>,
}

/// Why a service is not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotReadyReason {
    /// It was told to take no more requests.
    NotServing,
    /// It has not been told yet that it has started.
    Starting,
    /// A critical dependency is down.
    Dependency,
}

impl NotReadyReason {
    /// A word that does not change: the variant's, in snake case.
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

impl Report {
    /// What the checks make of the whole.
    pub(super) fn of_checks(checks: Vec<(CheckReport, Option<Duration>)>) -> Report {
        let readiness = Readiness::of(checks.iter().map(|(it, _)| (it.criticality, it.state)));
        let reason = (!readiness.is_ready()).then_some(NotReadyReason::Dependency);
        let decisive = checks.iter().filter(|(it, _)| it.is_decisive());
        let retry_after = decisive.filter_map(|&(_, wait)| wait).max();
        let checks = checks.into_iter().map(|(check, _)| check).collect();
        Report { readiness, reason, retry_after, checks }
    }

    /// Not ready, whatever the checks say.
    pub(super) fn because(self, reason: NotReadyReason) -> Report {
        let (readiness, reason) = (Readiness::NotReady, Some(reason));
        Report { readiness, reason, retry_after: None, ..self }
    }

    /// Ready, whatever the checks say: it has started.
    pub(super) fn started(self) -> Report {
        let readiness = match self.readiness {
            Readiness::Ready => Readiness::Ready,
            Readiness::Degraded | Readiness::NotReady => Readiness::Degraded,
        };
        Report { readiness, reason: None, retry_after: None, ..self }
    }

    /// The check of this name.
    #[must_use]
    pub fn check(&self, name: &str) -> Option<&CheckReport> {
        self.checks.iter().find(|check| check.name.as_str() == name)
    }
}

impl CheckReport {
    /// Whether the service is not ready because of it.
    fn is_decisive(&self) -> bool {
        (self.criticality, self.state) == (Criticality::Critical, CheckState::Down)
    }
}

impl fmt::Display for Report {
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
