//! How a dependency stands, and what that makes of the whole.

use std::fmt;

/// Whether the service can do without a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Criticality {
    /// It cannot: while the dependency is down, the service is not ready.
    Critical,
    /// It can, if not as well: while the dependency is down, the service is degraded, and ready.
    Optional,
}

/// How one dependency stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CheckState {
    /// Nothing is wrong with it.
    Up,
    /// In use, and not well: its last check failed, but too few have to say that it is down; or its
    /// circuit is half-open.
    Impaired,
    /// Not to be relied on: its checks failed, its circuit is open, or nothing is known of it yet.
    Down,
}

/// How the whole stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Readiness {
    /// Send requests.
    Ready,
    /// Send requests: they are answered, if not as well as they could be.
    Degraded,
    /// Send none.
    NotReady,
}

impl Readiness {
    /// What dependencies that stand so make of the whole: not ready if a critical one is down,
    /// degraded if any of them is not up.
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

    /// Whether to send requests: ready or degraded.
    #[must_use]
    pub const fn is_ready(self) -> bool {
        !matches!(self, Readiness::NotReady)
    }

    /// A word that does not change: the variant's, in snake case.
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
    /// A word that does not change: the variant's, in snake case.
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
    fn the_worst_of_what_matters_decides() {
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
