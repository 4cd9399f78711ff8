//! What a bulkhead is told to do.

use super::queue::QueueOrder;
use super::turnstile::Posture;
use crate::patience::Patience;

/// A checked configuration, made by [`BulkheadBuilder::config`](super::BulkheadBuilder::config), to be
/// put into force by [`Bulkhead::set_config`](super::Bulkhead::set_config).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkheadConfig(pub(super) Rules);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) max_concurrent: u32,
    pub(crate) patience: Patience,
    pub(crate) max_queued: u32,
    pub(crate) order: QueueOrder,
    pub(crate) observe_only: bool,
}

impl Rules {
    pub(crate) fn posture(&self) -> Posture {
        match self.patience {
            _ if self.observe_only => Posture::Observed,
            Patience::None => Posture::Refused,
            Patience::AtMost(_) | Patience::Endless => Posture::Waits,
        }
    }
}
