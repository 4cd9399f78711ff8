//! Keys and states that panic at their n-th run, for every n: the bounds hold, and all is given
//! back.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};

use resilience_core::Name;
use resilience_core::clock;
use resilience_core::keyed::{Entry, Key, Keyed};
use resilience_core::observe::Event;

thread_local! {
    /// The number of further runs of user code before it panics.
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The user's code runs.
fn user() {
    // A second panic would end the process.
    if !std::thread::panicking() {
        let left = LEFT.get();
        LEFT.set(left.and_then(|left| left.checked_sub(1)));
        if left == Some(0) {
            resume_unwind(Box::new("on purpose"));
        }
    }
}

#[derive(Debug)]
struct Fragile(u64);

impl Clone for Fragile {
    fn clone(&self) -> Fragile {
        user();
        Fragile(self.0)
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        user();
    }
}

impl PartialEq for Fragile {
    fn eq(&self, other: &Fragile) -> bool {
        user();
        self.0 == other.0
    }
}

impl Eq for Fragile {}

impl std::hash::Hash for Fragile {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        user();
        self.0.hash(state);
    }
}

impl Key for Fragile {
    type Stored = Fragile;

    fn name(&self) -> Name {
        user();
        "fragile".into()
    }

    fn heap_bytes(&self) -> usize {
        user();
        16
    }
}

impl Entry for Fragile {
    fn is_pinned(&self, _: Instant) -> bool {
        user();
        self.0.is_multiple_of(5)
    }

    fn heap_bytes(&self) -> usize {
        user();
        100
    }
}

const KEYS: u64 = 24;

/// Many keys in a store of few, some of which go idle, are removed and come again.
fn panics_at(run: usize) -> bool {
    let idle = Duration::from_secs(60);
    let store = Keyed::builder().max_keys(9).idle(idle).listen(|_: &Event<'_>| user()).build(
        |key: &Fragile| {
            user();
            Fragile(key.0)
        },
    );
    let (store, start) = (store.unwrap(), clock::now());
    let empty = store.bytes();
    LEFT.set(Some(run));
    for step in 0..3 * KEYS {
        let (key, now) = (step * 7 % KEYS, start + Duration::from_secs(11 * step));
        let step = || match step % 6 {
            0 => drop(store.remove(&Fragile(key))),
            1 => drop(store.peek(&Fragile(key), now)),
            2 => store.with(&Fragile(key), now, |_| user()),
            _ => drop(store.get(&Fragile(key), now)),
        };
        // Of no consequence to the calls after it.
        let _panicked = catch_unwind(AssertUnwindSafe(step));
        assert!(store.len() <= 9, "at {run}: {}", store.len());
    }
    let panicked = LEFT.take().is_none();
    let late = start + Duration::from_secs(11 * 3 * KEYS);
    let there = (0..KEYS).filter(|key| store.remove(&Fragile(*key)).is_some()).count();
    assert!(there > 0, "at {run}");
    assert_eq!((store.len(), store.bytes()), (0, empty), "at {run}: all of them are given back");
    assert_eq!(store.get(&Fragile(3), late).0, 3);
    panicked
}

#[test]
fn keys_and_bytes_are_given_back_whatever_panics() {
    let runs = (0..).take_while(|run| panics_at(*run)).count();
    assert!(runs > 500, "only {runs} pieces of the user's code ran");
}

/// An entry that is evicted while a new one panics is dropped outside of the locks, so it may
/// use the store.
#[test]
fn a_drop_that_a_panic_causes_may_use_the_store() {
    /// Which it is of those that were made, and the store that it is in.
    struct State(usize, Arc<OnceLock<Keyed<u64, State>>>);
    impl Clone for State {
        fn clone(&self) -> State {
            assert_ne!(self.0, 1, "on purpose");
            State(self.0, self.1.clone())
        }
    }
    impl Drop for State {
        fn drop(&mut self) {
            let _snapshot = self.1.get().map(Keyed::snapshot);
        }
    }
    impl Entry for State {}

    let (ended, end) = mpsc::channel();
    // On a thread of its own: to wait for a lock that one has is to wait for ever.
    std::thread::spawn(move || {
        let (kept, made) = (Arc::new(OnceLock::new()), AtomicUsize::new(0));
        let this = kept.clone();
        let make = move |_: &u64| State(made.fetch_add(1, Ordering::SeqCst), this.clone());
        let store = Keyed::builder().idle(Duration::from_secs(60)).build(make);
        let (store, now) = (kept.get_or_init(|| store.unwrap()), clock::now());
        drop(store.get(&7, now));
        // Idle by now, it makes room for its own successor, which panics.
        let call = || drop(store.get(&7, now + Duration::from_secs(600)));
        let panicked = catch_unwind(AssertUnwindSafe(call)).is_err();
        ended.send((panicked, store.snapshot().evicted_idle)).unwrap();
    });
    assert_eq!(end.recv_timeout(Duration::from_secs(20)), Ok((true, 1)));
}
