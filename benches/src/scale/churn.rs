//! Calls with a new key in a full store: each evicts an entry.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moka::policy::EvictionPolicy;
use resilience_core::clock;
use resilience_core::keyed::Keyed;
use tower::BoxError;

use super::figure::Figure;
use super::keys::room;
use super::sweep::{At, Sweep};
use super::{Group, tenfolds};
use crate::cost::{Effort, Role, Subject};
use crate::figures::lookup::State;
use crate::figures::maps;

pub(super) const GROUP: Group = Group { names: &[NAME], measure };

const NAME: &str = "churn";
const OURS: &str = "our Keyed::with";
const LRU: &str = "moka, LRU";
const LFU: &str = "moka, TinyLFU";

fn measure(quick: bool) -> Result<Vec<Figure>, BoxError> {
    let most = if quick { 100_000 } else { 1_000_000 };
    let mut points = Vec::new();
    for size in tenfolds(1_000, most) {
        points.push(At::new(size, ours(size)?));
        points.push(At::new(size, moka(LRU, size, EvictionPolicy::lru())));
        points.push(At::new(size, moka(LFU, size, EvictionPolicy::tiny_lfu())));
    }
    let sweep = Sweep::measure(points, Effort::new(quick).warm())?;
    let mut figure = Figure::new(NAME, "keys that fit", "CPU ns of a call for a new key");
    sweep.draw(&mut figure);
    figure.timed(
        "ours / moka's LRU, at the most keys",
        1.0,
        sweep.ratio((OURS, most), (LRU, most)),
    );
    figure.timed(
        "ours / moka's TinyLFU, at the most keys",
        1.0,
        sweep.ratio((OURS, most), (LFU, most)),
    );
    Ok(vec![figure])
}

fn ours(keys: u64) -> Result<Subject, BoxError> {
    let store: Keyed<u64, State> = Keyed::new(room(usize::try_from(keys)?)?, |_| State::default());
    Ok(full(Role::Ours, OURS, keys, move |key| {
        black_box(store.with(&key, clock::now(), |state| *state.0));
    }))
}

fn moka(name: &'static str, keys: u64, policy: EvictionPolicy) -> Subject {
    let cache = maps::cache(keys, policy);
    full(Role::Peer, name, keys, move |key| {
        if cache.get(&key).is_none() {
            cache.insert(key, black_box(Arc::default()));
        }
    })
    .lacks("pins, a bound on bytes with its own structures; lets go a while later, in batches")
}

/// Fills a store with twice the keys that fit. The subject then calls with a new key each time.
fn full(
    role: Role,
    name: &'static str,
    keys: u64,
    call: impl Fn(u64) + Clone + Send + 'static,
) -> Subject {
    (0..2 * keys).for_each(&call);
    let next = Arc::new(AtomicU64::new(2 * keys));
    Subject::function(role, name, move || call(next.fetch_add(1, Ordering::Relaxed)))
}
