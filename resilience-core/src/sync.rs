//! The atomics and the lock of the lock-free parts. `--cfg resilience_loom` exchanges them for
//! loom's.

#[cfg(not(resilience_loom))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(resilience_loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};

#[cfg(all(feature = "tokio", not(resilience_loom)))]
pub(crate) use parking_lot::{Mutex, MutexGuard};

#[cfg(all(feature = "tokio", not(resilience_loom)))]
pub(crate) use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32};

#[cfg(all(feature = "tokio", resilience_loom))]
pub(crate) use loom::sync::atomic::{AtomicI64, AtomicU8, AtomicU32};

#[cfg(all(feature = "tokio", resilience_loom))]
pub(crate) use loom::sync::MutexGuard;

/// loom's mutex with the interface of parking_lot's.
#[cfg(all(feature = "tokio", resilience_loom))]
#[derive(Debug)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

#[cfg(all(feature = "tokio", resilience_loom))]
impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Mutex<T> {
        Mutex(loom::sync::Mutex::new(value))
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().ok()
    }

    pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
