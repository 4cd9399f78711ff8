//! What a circuit's state says of the dependency behind it.

use super::failure::{Failure, FailureKind};
use super::state::CheckState;
use crate::breaker::{CircuitSnapshot, CircuitState};

/// Half-open is not down: whoever is sent no requests makes no probes, and would stay so for ever.
pub(super) fn judge(circuit: &CircuitSnapshot) -> (CheckState, Option<Failure>) {
    match circuit.state {
        CircuitState::Closed | CircuitState::ForcedClosed | CircuitState::Disabled => {
            (CheckState::Up, None)
        }
        CircuitState::HalfOpen | CircuitState::Ramping => (CheckState::Impaired, None),
        CircuitState::Open | CircuitState::ForcedOpen => {
            let open = Failure::new(FailureKind::CircuitOpen(circuit.open_for));
            (CheckState::Down, Some(open))
        }
    }
}
