//! Model of the keyed store: a list.
//!
//! The store may choose the entries that it evicts. The model reads its events, and checks that
//! each eviction was allowed: the entry was there and not pinned; for idle, it was unused and like
//! a new one; for capacity, there was no room. Everything else must be as if there were no
//! evictions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use parking_lot::Mutex;

use crate::clock;
use crate::keyed::{Entry, EvictionReason, Keyed, KeyedLimits, allocation_size};
use crate::model_input::{Rest, parse};
use crate::observe::Event;

#[derive(Debug, Arbitrary)]
struct Input {
    max_keys: u8,
    spare_bytes: u16,
    idle: u8,
    operations: Rest<Operation>,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Operation {
    Call(u16),
    Peek(u16),
    Pin(u16, u8),
    Remember(u16, u8),
    Remove(u16),
    Advance(u8),
}

/// A state that counts its calls, is pinned for a time, and differs from a new one for a time.
#[derive(Debug, Clone)]
struct State(Arc<Mutex<Inside>>);

#[derive(Debug, Clone, Copy, PartialEq)]
struct Inside {
    number: u64,
    calls: u64,
    pinned_until: Option<Instant>,
    remembers_until: Option<Instant>,
}

impl Inside {
    fn is_pinned(&self, now: Instant) -> bool {
        self.pinned_until.is_some_and(|until| now < until)
    }

    fn remembers(&self, now: Instant) -> Option<Instant> {
        self.remembers_until.filter(|until| now < *until)
    }

    fn is_kept(&self, now: Instant) -> bool {
        self.is_pinned(now) || self.remembers(now).is_some()
    }

    /// Records a call that pins the state, or makes it differ from a new one, for a time.
    fn called(&mut self, until: Until) {
        self.calls += 1;
        match until {
            Until::Nothing => {}
            Until::Pinned(until) => self.pinned_until = Some(until),
            Until::Remembered(until) => self.remembers_until = Some(until),
        }
    }
}

/// The effect of a call on a state besides counting.
#[derive(Debug, Clone, Copy)]
enum Until {
    Nothing,
    Pinned(Instant),
    Remembered(Instant),
}

impl Entry for State {
    fn is_pinned(&self, now: Instant) -> bool {
        self.0.lock().is_pinned(now)
    }

    fn remembers_until(&self, now: Instant) -> Option<Instant> {
        self.0.lock().remembers(now)
    }

    fn heap_bytes(&self) -> usize {
        allocation_size(16 + size_of::<Mutex<Inside>>())
    }
}

/// The model of a key.
#[derive(Debug)]
struct Known {
    key: String,
    inside: Inside,
    used: Instant,
}

type Evicted = Arc<Mutex<Vec<(String, EvictionReason)>>>;

struct Model {
    store: Keyed<String, State>,
    known: Vec<Known>,
    limits: KeyedLimits,
    evicted: Evicted,
    overflow: Option<Inside>,
    now: Instant,
}

/// Asserts for any sequence of operations: no more keys and bytes than allowed; no pinned key
/// evicted; no key evicted as idle while it differs from a new one; no state of another key; no
/// state that is older than the idle time and like a new one; and every state unchanged unless an
/// allowed eviction was reported.
pub fn keyed(bytes: &[u8]) {
    let Some(input) = parse::<Input>(bytes) else { return };
    let bytes = KeyedLimits::MIN_BYTES + usize::from(input.spare_bytes);
    let idle = Duration::from_millis(u64::from(input.idle).max(1) * 20);
    let Ok(limits) = KeyedLimits::new(usize::from(input.max_keys).max(1), bytes, idle) else {
        return;
    };
    let mut model = Model::new(limits);
    for operation in input.operations.0 {
        let now = model.now;
        let after = |wait: u8| now + Duration::from_millis(u64::from(wait) * 4);
        match operation {
            Operation::Call(key) => model.call(name(key), Until::Nothing),
            Operation::Pin(key, wait) => model.call(name(key), Until::Pinned(after(wait))),
            Operation::Remember(key, wait) => {
                model.call(name(key), Until::Remembered(after(wait)));
            }
            Operation::Peek(key) => model.peek(&name(key)),
            Operation::Remove(key) => model.remove(&name(key)),
            Operation::Advance(wait) => model.now += Duration::from_millis(u64::from(wait)),
        }
        model.check_bounds();
    }
}

/// Returns one of few keys, with lengths from one to about two thousand.
fn name(key: u16) -> String {
    let length = if key.is_multiple_of(32) { usize::from(key >> 5) } else { 1 };
    format!("{:>length$}", key % 512)
}

impl Model {
    fn new(limits: KeyedLimits) -> Model {
        let evicted = Evicted::default();
        let numbers = AtomicU64::new(0);
        let reported = evicted.clone();
        let make = move |_: &String| {
            let number = numbers.fetch_add(1, Ordering::Relaxed);
            let new = Inside { number, calls: 0, pinned_until: None, remembers_until: None };
            State(Arc::new(Mutex::new(new)))
        };
        let store = Keyed::builder().limits(limits).listen(move |event: &Event<'_>| {
            if let Event::KeyEvicted { key, reason, .. } = event {
                reported.lock().push(((*key).to_owned(), *reason));
            }
        });
        let Ok(store) = store.build(make) else { unreachable!("limits that were checked") };
        Model { store, known: Vec::new(), limits, evicted, overflow: None, now: clock::now() }
    }

    fn call(&mut self, key: String, until: Until) {
        let now = self.now;
        let keys = self.known.len();
        let overflowed = self.store.snapshot().overflowed;
        let mut inside = None;
        self.store.with(&key, now, |state| {
            let mut state = state.0.lock();
            inside = Some(*state);
            state.called(until);
        });
        let Some(inside) = inside else { unreachable!("`with` calls its closure") };
        let mut left = inside;
        left.called(until);
        self.evictions(keys);
        if self.store.snapshot().overflowed > overflowed {
            assert!(!self.known.iter().any(|known| known.key == key), "{key} is there");
            assert_eq!(inside, *self.overflow.get_or_insert(inside), "one overflow state");
            self.overflow = Some(left);
            return;
        }
        match self.known.iter_mut().find(|known| known.key == key) {
            Some(known) => {
                let idle = now - known.used > late(self.limits.idle());
                assert!(!idle || known.inside.is_kept(now), "{key} was idle");
                assert_eq!(inside, known.inside, "{key} is as it was left");
                (known.inside, known.used) = (left, now);
            }
            None => {
                assert!(inside.calls == 0 && !inside.is_kept(now), "{key} is new");
                self.known.push(Known { key, inside: left, used: now });
            }
        }
    }

    /// Checks that every reported eviction was allowed. `keys` is the number of keys before the
    /// call.
    fn evictions(&mut self, keys: usize) {
        let now = self.now;
        for (key, reason) in self.evicted.lock().drain(..) {
            let place = self.known.iter().position(|known| known.key == key);
            let Some(place) = place else { unreachable!("{key} was not there") };
            let known = self.known.swap_remove(place);
            assert!(!known.inside.is_pinned(now), "{key} was pinned");
            match reason {
                EvictionReason::Idle => {
                    assert!(now - known.used >= self.limits.idle(), "{key} was not idle");
                    assert_eq!(known.inside.remembers(now), None, "{key} remembered");
                }
                EvictionReason::Capacity => {
                    // Scarce: less than the largest key and a growth of the slots would take.
                    let scarce = self.store.bytes() + 12_288 > self.limits.max_bytes();
                    assert!(keys >= self.limits.max_keys() || scarce, "there was room");
                }
            }
        }
    }

    fn peek(&self, key: &String) {
        let seen = self.store.peek(key, self.now).map(|state| *state.0.lock());
        let known = self.known.iter().find(|known| known.key == *key);
        match (seen, known) {
            (Some(seen), Some(known)) => assert_eq!(seen, known.inside, "{key}"),
            (None, Some(known)) => {
                assert!(self.now - known.used >= self.limits.idle());
                assert!(!known.inside.is_kept(self.now), "{key} is there");
            }
            (Some(_), None) => unreachable!("{key} was evicted"),
            (None, None) => {}
        }
    }

    fn remove(&mut self, key: &String) {
        let removed = self.store.remove(key).map(|state| *state.0.lock());
        let place = self.known.iter().position(|known| known.key == *key);
        assert_eq!(removed, place.map(|place| self.known.swap_remove(place).inside), "{key}");
    }

    fn check_bounds(&self) {
        let snapshot = self.store.snapshot();
        assert_eq!(self.store.len(), self.known.len());
        assert!(snapshot.keys <= snapshot.max_keys && snapshot.bytes <= snapshot.max_bytes);
        let own = |known: &Known| allocation_size(known.key.len()) + allocation_size(16);
        let least: usize = self.known.iter().map(own).sum();
        assert!(self.store.bytes() > least, "{} bytes for {least}", self.store.bytes());
    }
}

/// Returns the latest time at which an idle key is evicted.
fn late(idle: Duration) -> Duration {
    idle + idle / 80 + Duration::from_millis(4)
}
