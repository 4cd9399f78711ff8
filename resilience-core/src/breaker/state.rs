//! The changes of a circuit's state.

use std::fmt;
use std::time::Duration;

pub use crate::observe::words::{CircuitState, TransitionReason};

/// A circuit went from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// What it was.
    pub from: CircuitState,
    /// What it is.
    pub to: CircuitState,
    /// Why.
    pub reason: TransitionReason,
    /// How long it stays so, if it opened for a time.
    pub retry_after: Option<Duration>,
}

/// What [time alone](super::Circuit::advance) did to a circuit: at most two changes, in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes([Option<Change>; 2]);

impl Changes {
    pub(super) fn push(&mut self, change: Option<Change>) {
        if let (Some(free), Some(_)) = (self.0.iter_mut().find(|at| at.is_none()), change) {
            *free = change;
        }
    }

    #[cfg(feature = "tokio")]
    pub(super) const fn is_empty(&self) -> bool {
        self.0[0].is_none()
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &Change> {
        self.0.iter().flatten()
    }
}

/// A transition that makes no sense was asked for: a circuit is half-open after it was open, and not
/// otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct IllegalTransition {
    /// What the circuit is.
    pub from: CircuitState,
    /// What it was to become.
    pub to: CircuitState,
}

impl fmt::Display for IllegalTransition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a circuit that is {} cannot become {}", self.from, self.to)
    }
}

impl std::error::Error for IllegalTransition {}
