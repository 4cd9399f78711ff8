//! A shutdown in the making.

use std::time::Duration;

use super::bounds::ShutdownBounds;
use super::course::Course;
use super::owner::Shutdown;
use super::shared::Shared;
use super::token::ShutdownToken;
use crate::config::InvalidConfig;
use crate::name::Name;
use crate::observe::{Listen, Listener};

/// A [`Shutdown`] in the making. The defaults are those of [`ShutdownBounds`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ShutdownBuilder {
    name: Name,
    listener: Listener,
    /// Not checked yet.
    bounds: ShutdownBounds,
}

impl ShutdownBuilder {
    pub(super) fn new() -> ShutdownBuilder {
        ShutdownBuilder {
            name: Name::from_static("shutdown"),
            listener: Listener::default(),
            bounds: ShutdownBounds::default(),
        }
    }

    /// What rejections, events and the report call it.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// Tells this listener of phases and refusals.
    pub fn listen(mut self, listener: impl Listen) -> Self {
        self.listener = Listener::new(listener);
        self
    }

    /// How long work is still taken while health checks say no. May be zero.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.bounds.grace = grace;
        self
    }

    /// How long what is under way may take to finish.
    pub fn drain(mut self, drain: Duration) -> Self {
        self.bounds.drain = drain;
        self
    }

    /// How long what was told to end may take to do so.
    pub fn unwind(mut self, unwind: Duration) -> Self {
        self.bounds.unwind = unwind;
        self
    }

    /// How long all hooks together may take.
    pub fn hooks(mut self, hooks: Duration) -> Self {
        self.bounds.hooks = hooks;
        self
    }

    /// Refuses to be built with bounds that do not fit into this time, after which something kills the
    /// process.
    pub fn total(mut self, total: Duration) -> Self {
        self.bounds.total = Some(total);
        self
    }

    /// The shutdown.
    ///
    /// # Errors
    /// If a time is out of its bounds: see [`ShutdownBounds::check`].
    pub fn build(self) -> Result<Shutdown, InvalidConfig> {
        let course = Course::new(self.bounds.check()?);
        Ok(Shutdown::new(
            ShutdownToken::new(Shared::new(self.name, self.listener, course)),
            self.bounds,
        ))
    }
}
