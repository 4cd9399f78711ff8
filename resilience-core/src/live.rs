//! Configuration that changes while calls are under way.
//!
//! A handle keeps the version that it read last, and compares it with the version in force by one
//! load.

use std::ops::Deref;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::sync::{AtomicU32, Ordering};

/// The configuration in force, shared by all handles of one policy or of one for each key.
#[derive(Debug)]
pub(crate) struct LiveConfig<T> {
    version: AtomicU32,
    current: Mutex<Versioned<T>>,
}

/// A configuration with its version, in one pointer: there may be one for each of a million keys.
/// Clones share it.
#[derive(Debug)]
pub(crate) struct Versioned<T>(Arc<Numbered<T>>);

#[derive(Debug)]
struct Numbered<T> {
    version: u32,
    value: T,
}

impl<T> LiveConfig<T> {
    pub(crate) fn new(value: T) -> LiveConfig<T> {
        let current = Versioned::new(0, value);
        LiveConfig { version: AtomicU32::new(0), current: Mutex::new(current) }
    }

    /// Puts `value` into force.
    pub(crate) fn set(&self, value: T) {
        self.update(|_| value);
    }

    /// Puts the configuration into force that `change` makes of the current one, and returns it.
    /// `change` runs under the lock.
    pub(crate) fn update(&self, change: impl FnOnce(&T) -> T) -> Versioned<T> {
        let mut current = self.current.lock();
        let version = current.version().wrapping_add(1);
        let newest = Versioned::new(version, change(&current));
        let former = std::mem::replace(&mut *current, newest.clone());
        // Under the lock: `version` is never older than the value that is read after it.
        self.version.store(version, Ordering::Release);
        drop(current);
        // After the lock: the drop of a listener may run any code.
        drop(former);
        newest
    }

    /// Returns `true` if this version is in force.
    pub(crate) fn is_at(&self, version: u32) -> bool {
        self.version.load(Ordering::Acquire) == version
    }

    /// Returns the configuration in force.
    pub(crate) fn get(&self) -> Versioned<T> {
        self.current.lock().clone()
    }

    /// Returns the configuration in force, if `known` no longer is.
    pub(crate) fn newer(&self, known: &Versioned<T>) -> Option<Versioned<T>> {
        // See docs/decisions/0040-state-in-the-handle-configuration-in-an-argument.md.
        (!self.is_at(known.version())).then(|| self.get())
    }
}

impl<T> Versioned<T> {
    /// Bytes of one on the heap.
    #[cfg(feature = "profiles")]
    pub(crate) const BYTES: usize = size_of::<Numbered<T>>() + 2 * size_of::<usize>();

    fn new(version: u32, value: T) -> Versioned<T> {
        Versioned(Arc::new(Numbered { version, value }))
    }

    pub(crate) fn version(&self) -> u32 {
        self.0.version
    }
}

impl<T> Clone for Versioned<T> {
    fn clone(&self) -> Versioned<T> {
        Versioned(self.0.clone())
    }
}

impl<T> Deref for Versioned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_once() {
        let live = LiveConfig::new(1);
        let first = live.get();
        assert!(live.newer(&first).is_none());
        live.set(2);
        let updated = live.update(|current| current + 1);
        let newest = live.newer(&first).unwrap();
        assert_eq!((*first, *updated, *newest, newest.version()), (1, 3, 3, updated.version()));
        assert!(live.newer(&newest).is_none());
    }
}
