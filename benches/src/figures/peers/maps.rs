//! Looking a shared state up by key: the maps that a keyed store could be made of.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use resilience_core::keyed::Key;

use crate::cost::{Role, Subject};
use crate::figures::keys::Asked;

/// The value of each key: a small object that calls share.
type State = Arc<u64>;

/// The maps that hold whatever they are given. Each has a subject for each way to ask it; all ask
/// for the keys of the first.
pub(crate) fn unbounded<A: Asked>(ways: &[A]) -> Vec<Subject> {
    [papaya(ways), scc(ways), dashmap(ways), mutex(ways)].into_iter().flatten().collect()
}

fn all<A: Asked>(ways: &[A]) -> impl Iterator<Item = (A::Key, State)> {
    let keys = ways.iter().take(1).flat_map(A::all);
    keys.enumerate().map(|(at, key)| (key, Arc::new(at as u64)))
}

/// Returns a row of a peer for each way to access its map.
fn each<A: Asked, F: Fn() + Clone + Send + 'static>(
    name: &'static str,
    ways: &[A],
    call: impl Fn(A) -> F,
) -> Vec<Subject> {
    ways.iter().map(|way| Subject::function(Role::Peer, name, call(way.clone()))).collect()
}

pub(crate) fn papaya<A: Asked>(ways: &[A]) -> Vec<Subject> {
    let map: Arc<papaya::HashMap<_, _>> = Arc::new(all(ways).collect());
    each("papaya, get + clone", ways, |way| {
        let map = map.clone();
        move || drop(black_box(way.ask(|key| map.pin().get(key).cloned())))
    })
}

pub(crate) fn scc<A: Asked>(ways: &[A]) -> Vec<Subject> {
    let map: Arc<scc::HashMap<_, _>> = Arc::new(all(ways).collect());
    each("scc, read + clone", ways, |way| {
        let map = map.clone();
        move || drop(black_box(way.ask(|key| map.read_sync(key, |_, state| state.clone()))))
    })
}

pub(crate) fn dashmap<A: Asked>(ways: &[A]) -> Vec<Subject> {
    let map: Arc<DashMap<_, _>> = Arc::new(all(ways).collect());
    each("dashmap, get + clone", ways, |way| {
        let map = map.clone();
        move || drop(black_box(way.ask(|key| map.get(key).map(|state| state.clone()))))
    })
}

pub(crate) fn mutex<A: Asked>(ways: &[A]) -> Vec<Subject> {
    let map: HashMap<_, _> = all(ways).collect();
    let map = Arc::new(parking_lot::Mutex::new(map));
    each("Mutex<HashMap>, get + clone", ways, |way| {
        let map = map.clone();
        move || drop(black_box(way.ask(|key| map.lock().get(key).cloned())))
    })
}

/// Returns the rows of moka, with a capacity that is not reached.
pub(crate) fn moka<A: Asked>(ways: &[A]) -> Vec<Subject> {
    let keys: usize = ways.iter().take(1).map(|way| way.all().len()).sum();
    let map = cache(2 * keys as u64, EvictionPolicy::lru());
    all(ways).for_each(|(key, state)| map.insert(key, state));
    each("moka, get", ways, |way| {
        let map = map.clone();
        move || drop(black_box(way.ask(|key| map.get(key))))
    })
}

/// Creates a cache of this capacity with an idle limit, the nearest to a keyed store.
pub(crate) fn cache<K: Key>(capacity: u64, policy: EvictionPolicy) -> Cache<K, State> {
    Cache::builder()
        .max_capacity(capacity)
        .time_to_idle(Duration::from_secs(600))
        .eviction_policy(policy)
        .build()
}
