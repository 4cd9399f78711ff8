//! Configuration that can change while calls are under way.
//!
//! Handles keep what they last saw and compare one number to know whether it is still so. Nothing is
//! locked unless it changed.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::sync::{AtomicU32, Ordering};

/// What is in force, shared by all handles: those of one breaker, or of one for each key.
#[derive(Debug)]
pub(crate) struct Live<T> {
    version: AtomicU32,
    current: Mutex<Arc<T>>,
}

/// What a handle last saw.
#[derive(Debug, Clone)]
pub(crate) struct Seen<T> {
    version: u32,
    value: Arc<T>,
}

impl<T> Live<T> {
    pub(crate) fn new(value: T) -> Live<T> {
        Live { version: AtomicU32::new(0), current: Mutex::new(Arc::new(value)) }
    }

    /// Puts `value` into force.
    #[cfg(any(feature = "profiles", test))]
    pub(crate) fn set(&self, value: T) {
        self.set_with(value, || ());
    }

    /// Puts `value` into force, after this.
    pub(crate) fn set_with(&self, value: T, first: impl FnOnce()) {
        let value = Arc::new(value);
        let mut current = self.current.lock();
        first();
        let former = std::mem::replace(&mut *current, value);
        // Under the lock: a version is never older than the value that is read with it.
        self.version.fetch_add(1, Ordering::AcqRel);
        drop(current);
        // After the lock: a listener may go with it, whose drop may be anything.
        drop(former);
    }

    /// Whether this version is in force.
    #[inline]
    pub(crate) fn is_at(&self, version: u32) -> bool {
        self.version.load(Ordering::Acquire) == version
    }

    pub(crate) fn see(&self) -> Seen<T> {
        let current = self.current.lock();
        Seen { version: self.version.load(Ordering::Acquire), value: current.clone() }
    }
}

impl<T> Seen<T> {
    /// The version, and what it was, for who keeps them apart.
    pub(crate) fn into_parts(self) -> (u32, Arc<T>) {
        (self.version, self.value)
    }

    /// Returns what is in force, if that is no longer this.
    #[cfg(feature = "profiles")]
    #[inline]
    pub(crate) fn newer(&self, live: &Live<T>) -> Option<Seen<T>> {
        (!live.is_at(self.version)).then(|| live.see())
    }
}

impl<T> std::ops::Deref for Seen<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_once() {
        let live = Live::new(1);
        let first = live.see();
        assert!(first.newer(&live).is_none());
        live.set(2);
        let second = first.newer(&live).unwrap();
        assert_eq!((*first, *second), (1, 2));
        assert!(second.newer(&live).is_none());
    }
}
