//! What both layers are configured with.

use std::time::Duration;

use crate::config::{self, InvalidConfig};
use crate::name::Name;
use crate::observe::{Event, Listen, Listener};
use crate::rejection::{Rejection, RejectionKind};

/// Cloned into each call: free of reference counts unless it was given a name or a listener.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    name: Name,
    pub(super) limit: Duration,
    listener: Listener,
}

impl Settings {
    pub(super) fn new(name: &'static str, limit: Duration) -> Result<Settings, InvalidConfig> {
        let limit = config::wait("limit", limit)?;
        Ok(Settings { name: name.into(), limit, listener: Listener::default() })
    }

    pub(super) fn name(&mut self, name: impl Into<Name>) {
        self.name = name.into();
    }

    pub(super) fn listen(&mut self, listener: impl Listen) {
        self.listener = Listener::new(listener);
    }

    /// The refusal of this layer, told to the listener.
    pub(super) fn reject(&self, kind: RejectionKind) -> Rejection {
        let rejection = Rejection::new(kind, self.name.clone()).with_limit(self.limit);
        self.listener.tell(|| Event::Rejected(&rejection));
        rejection
    }
}
