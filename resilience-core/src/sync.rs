//! The atomics, in one place, so that `--cfg resilience_loom` swaps them for loom's checked ones.

#[cfg(not(resilience_loom))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(resilience_loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
