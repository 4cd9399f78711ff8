//! The states of a circuit, and the changes between them.

use std::fmt;
use std::time::Duration;

pub use crate::observe::words::{CircuitState, TransitionReason};

/// A change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The state before.
    pub from: CircuitState,
    /// The state after.
    pub to: CircuitState,
    /// The reason.
    pub reason: TransitionReason,
    /// The length of a break.
    pub retry_after: Option<Duration>,
}

/// The changes that [time alone](super::Circuit::advance) made: at most two, in order.
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

    /// Iterates over the changes in order.
    pub fn iter(&self) -> impl Iterator<Item = &Change> {
        self.0.iter().flatten()
    }
}

/// The error of a transition that does not exist: only an open circuit becomes half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct IllegalTransition {
    /// The state of the circuit.
    pub from: CircuitState,
    /// The state after the transition.
    pub to: CircuitState,
}

impl fmt::Display for IllegalTransition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a circuit that is {} cannot become {}", self.from, self.to)
    }
}

impl std::error::Error for IllegalTransition {}
