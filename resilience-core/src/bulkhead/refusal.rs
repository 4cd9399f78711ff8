//! Why a call was not admitted, and what its rejection says.

use crate::name::Name;
use crate::rejection::{Rejection, RejectionKind, Unit};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No permit was free, or none became free in time.
    Full { limit: u32, in_use: u32 },
    /// The queue had no place, or not for so old a call.
    QueueFull { limit: u32, queued: usize },
    /// It needs more than there are.
    Never { limit: u32, cost: u32 },
    /// It was too late to begin to wait.
    Late,
}

impl Refusal {
    /// The rejection. None of these knows when to come back, so none says it.
    pub(crate) fn into_rejection(self, layer: Name, key: Option<Name>) -> Rejection {
        let kind = match self {
            Refusal::Late => RejectionKind::DeadlineExceeded,
            _ => RejectionKind::BulkheadFull,
        };
        let mut rejection = Rejection::new(kind, layer);
        if let Some(key) = key {
            rejection = rejection.with_key(key);
        }
        let (limit, observed) = match self {
            Refusal::Full { limit, in_use } => (limit, u64::from(in_use)),
            Refusal::QueueFull { limit, queued } => (limit, queued as u64),
            Refusal::Never { limit, cost } => {
                rejection = rejection.never();
                (limit, u64::from(cost))
            }
            Refusal::Late => return rejection,
        };
        let unit = match self {
            Refusal::QueueFull { .. } => Unit::CallsWaiting,
            _ => Unit::Permits,
        };
        rejection.with_limit(u64::from(limit)).with_observed(observed).with_unit(unit)
    }
}
