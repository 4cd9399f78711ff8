//! Least-loaded choice among a few shared handles.
//!
//! A client that multiplexes (HTTP/2, gRPC, most database drivers with pipelines) is shared by all
//! callers and needs no pool. One connection has limits of its own, so there are several, and each
//! call goes to the one with the fewest calls in flight.
//!
//! [`pick`](LeastLoaded::pick) increments a count and its [`LoadGuard`] decrements it. Counts are
//! atomics on cache lines of their own. Each thread starts at its own handle and takes it if its
//! count is zero, so that threads with little load do not share cache lines; otherwise it reads all
//! counts once. Two simultaneous picks may choose the same handle.
//!
//! ```
//! use resilience_core::pool::LeastLoaded;
//!
//! let clients = LeastLoaded::new(["one", "two"])?;
//! let first = clients.pick();
//! let second = clients.pick();
//! assert_ne!(*first, *second);
//! drop(first);
//! assert_eq!(clients.loads().sum::<u64>(), 1);
//! # drop(second);
//! # Ok::<_, resilience_core::InvalidConfig>(())
//! ```

use std::cell::Cell;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::config::InvalidConfig;
use crate::sync::{AtomicU64, Ordering};

/// A fixed set of shared handles. Clones share the handles and their counts.
pub struct LeastLoaded<T>(Arc<[Member<T>]>);

/// A handle with its count of calls in flight. Alone on its cache line and on the adjacent one,
/// which some processors prefetch.
#[repr(align(128))]
struct Member<T> {
    load: AtomicU64,
    handle: T,
}

impl<T> LeastLoaded<T> {
    /// Creates a set of these handles.
    ///
    /// # Errors
    /// Rejects an empty set.
    pub fn new(handles: impl IntoIterator<Item = T>) -> Result<LeastLoaded<T>, InvalidConfig> {
        let members: Arc<[Member<T>]> =
            handles.into_iter().map(|handle| Member { load: AtomicU64::new(0), handle }).collect();
        if members.is_empty() {
            return Err(InvalidConfig::new("handles", 0, "at least 1"));
        }
        Ok(LeastLoaded(members))
    }

    /// Picks the handle with the fewest calls in flight, and counts one more until the guard is
    /// dropped. Never waits, never allocates; reads every count, or one if this thread's handle is
    /// free.
    #[inline]
    pub fn pick(&self) -> LoadGuard<'_, T> {
        let members = &*self.0;
        let start = home(members.len());
        let member = match members[start].load.load(Ordering::Relaxed) {
            0 => &members[start],
            load => least(members, start, load),
        };
        member.load.fetch_add(1, Ordering::Relaxed);
        LoadGuard(member)
    }

    /// Returns the number of calls in flight on each handle.
    pub fn loads(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|member| member.load.load(Ordering::Relaxed))
    }

    /// Returns the handles.
    pub fn handles(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|member| &member.handle)
    }
}

/// Returns the member with the lowest load, searching from `start`, whose load is `load`.
#[cold]
fn least<T>(members: &[Member<T>], start: usize, load: u64) -> &Member<T> {
    let mut best = &members[start];
    let mut fewest = load;
    for member in members[start + 1..].iter().chain(&members[..start]) {
        if fewest == 0 {
            break;
        }
        let load = member.load.load(Ordering::Relaxed);
        if load < fewest {
            best = member;
            fewest = load;
        }
    }
    best
}

/// Returns the index at which this thread starts. Threads are numbered in turn.
#[inline]
fn home(members: usize) -> usize {
    thread_local! {
        static THREAD: Cell<Option<usize>> = const { Cell::new(None) };
    }
    let thread = THREAD.get().unwrap_or_else(|| {
        let thread = next_thread();
        THREAD.set(Some(thread));
        thread
    });
    thread % members
}

#[cold]
fn next_thread() -> usize {
    // Not loom's: the numbering does not affect correctness.
    static THREADS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    THREADS.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

impl<T> Clone for LeastLoaded<T> {
    fn clone(&self) -> LeastLoaded<T> {
        LeastLoaded(self.0.clone())
    }
}

impl<T> fmt::Debug for LeastLoaded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.loads()).finish()
    }
}

/// A picked handle. Counts as one call in flight until it is dropped.
#[must_use = "the call is counted until this is dropped"]
pub struct LoadGuard<'a, T>(&'a Member<T>);

impl<T> Deref for LoadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.handle
    }
}

impl<T> Drop for LoadGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.0.load.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<T: fmt::Debug> fmt::Debug for LoadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LoadGuard").field(&self.0.handle).finish()
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_empty_set_is_rejected() {
        let error = LeastLoaded::<u8>::new([]).unwrap_err();
        assert_eq!((error.field(), error.bound()), ("handles", "at least 1"));
    }

    proptest! {
        /// On one thread the pick is exact, whatever was returned in between.
        #[test]
        fn the_least_loaded_is_picked(
            handles in 1_usize..9,
            script in proptest::collection::vec(proptest::option::of(0_usize..64), 1..200),
        ) {
            let shared = LeastLoaded::new(0..handles).unwrap();
            let mut guards = Vec::new();
            let mut model = vec![0_u64; handles];
            for step in script {
                match step {
                    None => {
                        let guard = shared.pick();
                        prop_assert_eq!(Some(&model[*guard]), model.iter().min());
                        model[*guard] += 1;
                        guards.push(guard);
                    }
                    Some(which) if !guards.is_empty() => {
                        let guard = guards.swap_remove(which % guards.len());
                        model[*guard] -= 1;
                    }
                    Some(_) => {}
                }
                prop_assert_eq!(shared.loads().collect::<Vec<_>>(), model.clone());
            }
            drop(guards);
            prop_assert!(shared.loads().all(|load| load == 0));
        }
    }

    #[test]
    fn a_panic_gives_the_guard_back() {
        let shared = LeastLoaded::new([()]).unwrap();
        let held = shared.clone();
        let panicked = std::thread::spawn(move || {
            let _guard = held.pick();
            panic!("on purpose");
        });
        assert!(panicked.join().is_err());
        assert_eq!(shared.loads().sum::<u64>(), 0);
    }
}

#[cfg(test)]
#[cfg(resilience_loom)]
mod loom_tests {
    use super::*;
    use loom::thread;

    #[test]
    fn loom_counts_return_to_zero() {
        loom::model(|| {
            let shared = LeastLoaded::new([0, 1]).unwrap();
            let threads = [shared.clone(), shared.clone()].map(|shared| {
                thread::spawn(move || {
                    let first = shared.pick();
                    let second = shared.pick();
                    assert!(shared.loads().sum::<u64>() >= 2);
                    drop(first);
                    drop(second);
                })
            });
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(shared.loads().collect::<Vec<_>>(), [0, 0]);
        });
    }
}
