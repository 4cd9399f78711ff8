//! What both layers are configured with.

use std::time::Duration;

use crate::clock::nanos;
use crate::config::{self, InvalidConfig};
use crate::deadline::Deadline;
use crate::name::Name;
use crate::observe::{Event, Listen, Listener};
use crate::rejection::{Rejection, RejectionKind};
use crate::tick::Tick;

/// Cloned into each call: free of reference counts unless it was given a name or a listener.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    name: Name,
    /// At most a year.
    nanos: u64,
    listener: Listener,
}

impl Settings {
    pub(super) fn new(name: &'static str, limit: Duration) -> Result<Settings, InvalidConfig> {
        let nanos = nanos(config::wait("limit", limit)?);
        Ok(Settings { name: name.into(), nanos, listener: Listener::default() })
    }

    pub(super) const fn limit(&self) -> Duration {
        Duration::from_nanos(self.nanos)
    }

    #[inline(always)]
    pub(super) const fn nanos(&self) -> u64 {
        self.nanos
    }

    /// When what begins now must be over.
    #[inline]
    pub(super) fn due(&self, now: Tick) -> Deadline {
        Deadline::after_ns(now, self.nanos)
    }

    pub(super) fn name(&mut self, name: impl Into<Name>) {
        self.name = name.into();
    }

    pub(super) fn listen(&mut self, listener: impl Listen) {
        self.listener = Listener::new(listener);
    }

    /// Returns this layer's rejection, and notifies the listener.
    pub(super) fn reject(&self, kind: RejectionKind, may_have_run: bool) -> Rejection {
        let rejection = Rejection::new(kind, self.name.clone()).with_limit(self.limit());
        let rejection = rejection.with_may_have_run(may_have_run);
        self.listener.tell(|| Event::Rejected(&rejection));
        rejection
    }
}
