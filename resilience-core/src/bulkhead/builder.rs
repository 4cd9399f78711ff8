//! A bulkhead in the making.

use std::time::Duration;

use super::Bulkhead;
use super::config::{BulkheadConfig, Rules};
use super::queue::QueueOrder;
use crate::config::{self, InvalidConfig};
use crate::name::Name;
use crate::observe::{Listen, Listener};
use crate::patience::Patience;

/// A [`Bulkhead`] in the making. See [`Bulkhead::builder`] for the defaults.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct BulkheadBuilder {
    pub(super) name: Name,
    pub(super) listener: Listener,
    /// Not checked yet.
    draft: Rules,
}

impl BulkheadBuilder {
    pub(super) fn new() -> BulkheadBuilder {
        BulkheadBuilder {
            name: Name::from_static("bulkhead"),
            listener: Listener::default(),
            draft: Rules {
                max_concurrent: 25,
                patience: Patience::None,
                max_queued: 100,
                order: QueueOrder::Fifo,
                observe_only: false,
            },
        }
    }

    /// What rejections and events call this bulkhead.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// Tells this listener of refusals.
    pub fn listen(mut self, listener: impl Listen) -> Self {
        self.listener = Listener::new(listener);
        self
    }

    /// As `listen`, where there is a listener already.
    #[cfg(feature = "pool")]
    pub(crate) fn heard_by(mut self, listener: Listener) -> Self {
        self.listener = listener;
        self
    }

    /// The most permits that are out at once: calls, unless calls weigh more than one
    /// (`BulkheadLayer::weigh`). At least 1; to pause, [`resize`](Bulkhead::resize) to 0.
    pub fn max_concurrent(mut self, permits: u32) -> Self {
        self.draft.max_concurrent = permits;
        self
    }

    /// A call that finds no permit is refused at once.
    pub fn reject(mut self) -> Self {
        self.draft.patience = Patience::None;
        self
    }

    /// A call that finds no permit waits for one as long as its caller does: until the deadline of the
    /// call around it, or until it is dropped.
    pub fn wait(mut self) -> Self {
        self.draft.patience = Patience::Endless;
        self
    }

    /// A call that finds no permit waits for one, and is refused if there is none after so long. At
    /// most 365 days; for no time at all, it is refused at once.
    pub fn wait_at_most(mut self, wait: Duration) -> Self {
        self.draft.patience = Patience::AtMost(wait);
        self
    }

    /// The most calls that wait at once. A queue is of use as long as what is in it is served in time:
    /// keep it below `max_concurrent` × the time that callers have ÷ the time that calls take.
    pub fn max_queued(mut self, calls: u32) -> Self {
        self.draft.max_queued = calls;
        self
    }

    /// Who is next, and who gives way when the queue is full.
    pub fn order(mut self, order: QueueOrder) -> Self {
        self.draft.order = order;
        self
    }

    /// Admits everything, and tells the listener whom it [would have
    /// refused](crate::observe::Event::WouldReject): to try a limit out on real traffic. Nobody waits
    /// either: calls over the limit are counted as if they were the queue.
    pub fn observe_only(mut self) -> Self {
        self.draft.observe_only = true;
        self
    }

    /// What it was told so far, checked, for [`Bulkhead::set_config`]. The name and the listener are no
    /// part of it.
    ///
    /// # Errors
    /// If a value is out of its bounds.
    pub fn config(&self) -> Result<BulkheadConfig, InvalidConfig> {
        let mut rules = self.draft;
        if rules.max_concurrent == 0 {
            return Err(InvalidConfig::new("max_concurrent", 0, "at least 1"));
        }
        if let Patience::AtMost(wait) = rules.patience {
            config::wait_or_none("wait_at_most", wait)?;
            if wait.is_zero() {
                rules.patience = Patience::None;
            }
        }
        if rules.patience != Patience::None && rules.max_queued == 0 {
            return Err(InvalidConfig::new("max_queued", 0, "at least 1 where calls wait"));
        }
        if let QueueOrder::NewestFirstAfter(standing) = rules.order {
            config::wait("order", standing)?;
        }
        Ok(BulkheadConfig(rules))
    }

    /// The bulkhead.
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

    #[test]
    fn to_wait_for_no_time_is_to_be_refused_at_once() {
        let (none, refused) = (builder().wait_at_most(Duration::ZERO), builder().reject());
        assert_eq!(none.config(), refused.config());
    }

    fn builder() -> BulkheadBuilder {
        Bulkhead::builder()
    }
}
