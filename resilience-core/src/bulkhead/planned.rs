//! A bulkhead in numbers, for the plan of the stack that it is a part of.

use super::Bulkhead;
use super::builder::BulkheadBuilder;
use crate::name::Name;
use crate::observe::Listener;
use crate::patience::Patience;
use crate::shape::{Holding, Line, Wait};

impl BulkheadBuilder {
    /// What it is called, and whom it tells.
    pub(crate) fn identity(&mut self) -> (&mut Name, &mut Listener) {
        (&mut self.name, &mut self.listener)
    }
}

impl Bulkhead {
    pub(crate) fn planned(&self) -> Holding {
        let rules = self.0.family().rules();
        let wait = match rules.patience {
            Patience::None => Wait::No,
            Patience::AtMost(wait) => Wait::AtMost(wait),
            Patience::Endless => Wait::Unbounded,
        };
        Holding {
            max_concurrent: rules.max_concurrent,
            line: Line { wait, chosen: true, max_queued: rules.max_queued },
            enforced: !rules.observe_only,
        }
    }
}
