//! A bulkhead in numbers, for the plan of the stack that it is a part of.

use super::Bulkhead;
use super::builder::BulkheadBuilder;
use crate::name::Name;
use crate::observe::Listener;
use crate::shape::{Holding, Line};

impl BulkheadBuilder {
    /// Returns the name and the listener.
    pub(crate) fn identity(&mut self) -> (&mut Name, &mut Listener) {
        (&mut self.name, &mut self.listener)
    }
}

impl Bulkhead {
    pub(crate) fn planned(&self) -> Holding {
        let config = self.config();
        Holding {
            max_concurrent: config.max_concurrent,
            line: Line { on_full: config.on_full, chosen: true, max_queued: config.max_queued },
            enforced: !config.observe_only,
        }
    }
}
