//! Builder and configuration of a bulkhead.

use std::time::Duration;

use super::Bulkhead;
use super::queue::QueueOrder;
use crate::config::{self, InvalidConfig};
use crate::name::Name;
use crate::observe::{Listen, Listener};
use crate::on_full::OnFull;

/// A builder of a [`Bulkhead`]. See [`Bulkhead::builder`] for the defaults.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct BulkheadBuilder {
    pub(crate) name: Name,
    pub(crate) listener: Listener,
    /// Not checked yet.
    draft: BulkheadConfig,
}

/// The checked configuration of a [`Bulkhead`], returned by [`BulkheadBuilder::config`]. Without
/// the name and the listener, which a bulkhead keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkheadConfig {
    pub(crate) max_concurrent: u32,
    pub(crate) on_full: OnFull,
    pub(crate) max_queued: u32,
    pub(crate) order: QueueOrder,
    pub(crate) observe_only: bool,
}

impl BulkheadBuilder {
    pub(super) fn new() -> BulkheadBuilder {
        BulkheadBuilder {
            name: Name::from_static("bulkhead"),
            listener: Listener::default(),
            draft: BulkheadConfig {
                max_concurrent: 25,
                on_full: OnFull::Reject,
                max_queued: 100,
                order: QueueOrder::Fifo,
                observe_only: false,
            },
        }
    }

    /// Sets the name that events and rejections carry. Kept by a later
    /// [`set_config`](Bulkhead::set_config).
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the listener. Kept by a later [`set_config`](Bulkhead::set_config).
    pub fn listen(mut self, listener: impl Listen) -> Self {
        self.listener = Listener::new(listener);
        self
    }

    /// Sets a listener that is shared already.
    #[cfg(feature = "pool")]
    pub(crate) fn share_listener(mut self, listener: Listener) -> Self {
        self.listener = listener;
        self
    }

    /// Sets the number of permits: the most calls at once, unless calls weigh more than one
    /// (`BulkheadLayer::weigh`). At least 1; to pause, [`resize`](Bulkhead::resize) to 0.
    pub fn max_concurrent(mut self, permits: u32) -> Self {
        self.draft.max_concurrent = permits;
        self
    }

    /// Rejects a call that finds no permit.
    pub fn reject(mut self) -> Self {
        self.draft.on_full = OnFull::Reject;
        self
    }

    /// Makes a call that finds no permit wait for one, until its [deadline](crate::Deadline) or
    /// until it is dropped.
    pub fn wait(mut self) -> Self {
        self.draft.on_full = OnFull::Wait;
        self
    }

    /// Makes a call that finds no permit wait for one, for at most `wait`. At most 365 days; zero
    /// rejects at once, as [`reject`](Self::reject) does.
    pub fn wait_at_most(mut self, wait: Duration) -> Self {
        self.draft.on_full = OnFull::WaitAtMost(wait);
        self
    }

    /// Sets the most calls that wait at once. A queue helps only if its calls are served in time:
    /// keep it below `max_concurrent` × the time that callers have ÷ the time that calls take.
    pub fn max_queued(mut self, calls: u32) -> Self {
        self.draft.max_queued = calls;
        self
    }

    /// Sets the order in which calls are served, which decides also which call a full queue rejects
    /// or evicts.
    pub fn order(mut self, order: QueueOrder) -> Self {
        self.draft.order = order;
        self
    }

    /// Admits every call, and notifies the listener of calls that it [would have
    /// rejected](crate::observe::Event::WouldReject), to try out a limit on real traffic. No call
    /// waits: calls over the limit count as the queue.
    pub fn observe_only(mut self) -> Self {
        self.draft.observe_only = true;
        self
    }

    /// Returns the checked configuration, for [`Bulkhead::set_config`], without the name and the
    /// listener.
    ///
    /// # Errors
    /// If a value is out of its bounds.
    pub fn config(&self) -> Result<BulkheadConfig, InvalidConfig> {
        let on_full = self.draft.on_full.checked()?;
        let config = BulkheadConfig { on_full, ..self.draft };
        if config.max_concurrent == 0 {
            return Err(InvalidConfig::new("max_concurrent", 0, "at least 1"));
        }
        if on_full != OnFull::Reject && config.max_queued == 0 {
            return Err(InvalidConfig::new("max_queued", 0, "at least 1 where calls wait"));
        }
        if let QueueOrder::NewestFirstAfter(standing) = config.order {
            config::wait("order", standing)?;
        }
        Ok(config)
    }

    /// Builds the bulkhead.
    ///
    /// # Errors
    /// If a value is out of its bounds.
    pub fn build(self) -> Result<Bulkhead, InvalidConfig> {
        let config = self.config()?;
        Ok(Bulkhead::new(self.name, self.listener, config))
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    #[test]
    fn impossible_configurations_are_named() {
        let named = |builder: BulkheadBuilder| builder.build().unwrap_err().field();
        let builder = Bulkhead::builder;
        assert_eq!(named(builder().max_concurrent(0)), "max_concurrent");
        assert_eq!(named(builder().wait_at_most(Duration::MAX)), "wait_at_most");
        assert_eq!(named(builder().wait().max_queued(0)), "max_queued");
        for standing in [Duration::ZERO, Duration::MAX] {
            assert_eq!(named(builder().order(QueueOrder::NewestFirstAfter(standing))), "order");
        }
        assert!(builder().max_queued(0).wait().reject().build().is_ok());
    }
}
