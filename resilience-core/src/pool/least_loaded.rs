//! A few handles that all may use at once, and which of them has least to do.
//!
//! A client that multiplexes (HTTP/2, gRPC, most database drivers with pipelines) is cheap to clone and
//! needs no pool: everybody shares it. A single one runs into its own limits, so there are several, and
//! each call goes to the one with the fewest calls under way.
//!
//! A pick looks at the counts and adds one; the lease takes it off again when it is dropped. Counts are
//! on lines of their own and nothing is locked. Each thread begins at a handle of its own and takes that
//! at once if nothing is under way on it, for no other can have less: threads that are not busy
//! do not meet. Otherwise it looks at all, once. Two picks at the same instant may see the same least.
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

/// A fixed set of handles that are shared. Clones share the handles and their counts.
pub struct LeastLoaded<T>(Arc<[Seat<T>]>);

/// A handle, and how much is under way on it: alone on its cache line and the one fetched with it.
#[repr(align(128))]
struct Seat<T> {
    load: AtomicU64,
    handle: T,
}

impl<T> LeastLoaded<T> {
    /// Of these.
    ///
    /// # Errors
    /// If there is none.
    pub fn new(handles: impl IntoIterator<Item = T>) -> Result<LeastLoaded<T>, InvalidConfig> {
        let seats: Arc<[Seat<T>]> =
            handles.into_iter().map(|handle| Seat { load: AtomicU64::new(0), handle }).collect();
        if seats.is_empty() {
            return Err(InvalidConfig::new("handles", 0, "at least 1"));
        }
        Ok(LeastLoaded(seats))
    }

    /// A lease of the one with the fewest leases. Never waits, allocates nothing; as many looks as there
    /// are handles, or one if this thread's is free.
    #[inline]
    pub fn pick(&self) -> Lease<'_, T> {
        let seats = &*self.0;
        let start = home(seats.len());
        let seat = match seats[start].load.load(Ordering::Relaxed) {
            0 => &seats[start],
            load => least(seats, start, load),
        };
        seat.load.fetch_add(1, Ordering::Relaxed);
        Lease(seat)
    }

    /// How many leases of each handle are out.
    pub fn loads(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|seat| seat.load.load(Ordering::Relaxed))
    }

    /// The handles.
    pub fn handles(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|seat| &seat.handle)
    }
}

/// The first after `start` that has least; `start` itself has `load`, and keeps what nobody has less of.
#[cold]
fn least<T>(seats: &[Seat<T>], start: usize, load: u64) -> &Seat<T> {
    let (mut best, mut fewest) = (&seats[start], load);
    for seat in seats[start + 1..].iter().chain(&seats[..start]) {
        if fewest == 0 {
            break;
        }
        let load = seat.load.load(Ordering::Relaxed);
        if load < fewest {
            (best, fewest) = (seat, load);
        }
    }
    best
}

/// Where this thread begins to look. Threads are dealt out in turn.
#[inline]
fn home(seats: usize) -> usize {
    thread_local! {
        static THREAD: Cell<Option<usize>> = const { Cell::new(None) };
    }
    let thread = THREAD.get().unwrap_or_else(|| {
        let thread = next_thread();
        THREAD.set(Some(thread));
        thread
    });
    thread % seats
}

#[cold]
fn next_thread() -> usize {
    // Not loom's: what threads are numbered by decides nothing that could be wrong.
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

/// A handle that one more call is under way on, until this is dropped.
#[must_use = "the call is counted for as long as this is kept"]
pub struct Lease<'a, T>(&'a Seat<T>);

impl<T> Deref for Lease<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.handle
    }
}

impl<T> Drop for Lease<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.0.load.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<T: fmt::Debug> fmt::Debug for Lease<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&self.0.handle).finish()
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn none_is_refused() {
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
            let (mut leases, mut model) = (Vec::new(), vec![0_u64; handles]);
            for step in script {
                match step {
                    None => {
                        let lease = shared.pick();
                        prop_assert_eq!(Some(&model[*lease]), model.iter().min());
                        model[*lease] += 1;
                        leases.push(lease);
                    }
                    Some(which) if !leases.is_empty() => {
                        let lease = leases.swap_remove(which % leases.len());
                        model[*lease] -= 1;
                    }
                    Some(_) => {}
                }
                prop_assert_eq!(shared.loads().collect::<Vec<_>>(), model.clone());
            }
            drop(leases);
            prop_assert!(shared.loads().all(|load| load == 0));
        }
    }

    #[test]
    fn a_panic_gives_the_lease_back() {
        let shared = LeastLoaded::new([()]).unwrap();
        let held = shared.clone();
        let panicked = std::thread::spawn(move || {
            let _lease = held.pick();
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
