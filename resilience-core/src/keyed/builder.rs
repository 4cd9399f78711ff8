//! Builder of a store.

use std::time::Duration;

use super::limits::KeyedLimits;
use super::store::Keyed;
use super::{Entry, Key};
use crate::config::InvalidConfig;
use crate::name::Name;
use crate::observe::{Listen, Listener};

/// A builder of a [`Keyed`] store. See [`KeyedLimits::default`] for the defaults.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct KeyedBuilder {
    max_keys: usize,
    max_bytes: usize,
    idle: Duration,
    name: Name,
    listener: Listener,
}

impl KeyedBuilder {
    pub(super) fn new(limits: KeyedLimits) -> KeyedBuilder {
        KeyedBuilder {
            max_keys: limits.max_keys(),
            max_bytes: limits.max_bytes(),
            idle: limits.idle(),
            name: Name::from_static("keyed"),
            listener: Listener::default(),
        }
    }

    /// Sets the maximum number of keys.
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// Sets the maximum number of bytes of keys, states and the store itself.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Evicts a key without calls after this time, if its state is as good as new; see
    /// [`Entry::remembers_until`].
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// Sets all three limits.
    pub fn limits(mut self, limits: KeyedLimits) -> Self {
        self.max_keys = limits.max_keys();
        self.max_bytes = limits.max_bytes();
        self.idle = limits.idle();
        self
    }

    /// Sets the name in events.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// Notifies this listener of [evicted keys](crate::observe::Event::KeyEvicted), on the call
    /// that evicts, outside of all locks.
    pub fn listen(mut self, listener: impl Listen) -> Self {
        self.listener = Listener::new(listener);
        self
    }

    /// Builds the store. `make` makes the state of a new key; see [`Keyed::new`].
    ///
    /// # Errors
    /// Names the limit that is out of its bounds; see [`KeyedLimits::new`].
    pub fn build<K: Key, T: Entry>(
        self,
        make: impl Fn(&K) -> T + Send + Sync + 'static,
    ) -> Result<Keyed<K, T>, InvalidConfig> {
        let limits = KeyedLimits::new(self.max_keys, self.max_bytes, self.idle)?;
        Ok(Keyed::with_parts(limits, self.name, self.listener, Box::new(make)))
    }
}
