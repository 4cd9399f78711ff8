//! States of dependencies, and the readiness that follows.

use std::fmt;

/// Importance of a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Criticality {
    /// The service is not ready while the dependency is down.
    Critical,
    /// The service is degraded, and ready, while the dependency is down.
    Optional,
}

/// State of a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CheckState {
    /// The last check succeeded, or the circuit is closed.
    Up,
    /// In use although its last check failed, below the threshold for down; or its circuit is
    /// half-open.
    Impaired,
    /// The checks failed, the circuit is open, or no check has run yet.
    Down,
}

/// Readiness of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Readiness {
    /// Ready for requests.
    Ready,
    /// Ready for requests, with reduced function.
    Degraded,
    /// Not ready for requests.
    NotReady,
}

impl Readiness {
    /// Returns the readiness that follows from the dependencies: not ready if a critical one is
    /// down, degraded if any is not up.
    #[must_use]
    pub fn of(all: impl IntoIterator<Item = (Criticality, CheckState)>) -> Readiness {
        all.into_iter().map(|(criticality, state)| Readiness::of_one(criticality, state)).fold(
            Readiness::Ready,
            |worst, next| match (worst, next) {
                (Readiness::NotReady, _) | (_, Readiness::NotReady) => Readiness::NotReady,
                (Readiness::Degraded, _) | (_, Readiness::Degraded) => Readiness::Degraded,
                (Readiness::Ready, Readiness::Ready) => Readiness::Ready,
            },
        )
    }

    fn of_one(criticality: Criticality, state: CheckState) -> Readiness {
        match (criticality, state) {
            (_, CheckState::Up) => Readiness::Ready,
            (Criticality::Critical, CheckState::Down) => Readiness::NotReady,
            (_, CheckState::Impaired) | (Criticality::Optional, CheckState::Down) => {
                Readiness::Degraded
            }
        }
    }

    /// Returns `true` if ready or degraded.
    #[must_use]
    pub const fn is_ready(self) -> bool {
        !matches!(self, Readiness::NotReady)
    }

    /// Returns a stable identifier: the variant in snake case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Readiness::Ready => "ready",
            Readiness::Degraded => "degraded",
            Readiness::NotReady => "not_ready",
        }
    }
}

impl CheckState {
    /// Returns a stable identifier: the variant in snake case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            CheckState::Up => "up",
            CheckState::Impaired => "impaired",
            CheckState::Down => "down",
        }
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Readiness::NotReady => "not ready",
            Readiness::Ready | Readiness::Degraded => self.as_str(),
        })
    }
}

impl fmt::Display for CheckState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CheckState::{Down, Impaired, Up};
    use Criticality::{Critical, Optional};

    #[test]
    fn the_worst_dependency_decides() {
        let cases: [(&[(Criticality, CheckState)], Readiness); 8] = [
            (&[], Readiness::Ready),
            (&[(Critical, Up), (Optional, Up)], Readiness::Ready),
            (&[(Critical, Up), (Optional, Impaired)], Readiness::Degraded),
            (&[(Critical, Up), (Optional, Down)], Readiness::Degraded),
            (&[(Critical, Impaired), (Optional, Up)], Readiness::Degraded),
            (&[(Critical, Down), (Optional, Up)], Readiness::NotReady),
            (&[(Optional, Down), (Critical, Down)], Readiness::NotReady),
            (&[(Critical, Down), (Optional, Down)], Readiness::NotReady),
        ];
        for (all, expected) in cases {
            assert_eq!(Readiness::of(all.iter().copied()), expected, "{all:?}");
        }
    }

    #[test]
    fn a_degraded_service_is_sent_requests() {
        assert!(Readiness::Ready.is_ready() && Readiness::Degraded.is_ready());
        assert!(!Readiness::NotReady.is_ready());
    }
}
