//! Looking a shared state up by key: the maps that a keyed store could be made of.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use moka::sync::Cache;

use crate::cost::{Role, Subject};
use crate::figures::keys::{KEYS, Keys};

/// What each key has: something small that calls share.
type State = Arc<u64>;

/// The maps, none of which bounds what it holds but moka's.
pub(in crate::figures) fn maps() -> Vec<Subject> {
    vec![papaya(), scc(), dashmap(), mutex(), moka()]
}

fn all(keys: &Keys) -> impl Iterator<Item = (Arc<str>, State)> {
    keys.iter().enumerate().map(|(at, key)| (key.clone(), Arc::new(at as u64)))
}

fn papaya() -> Subject {
    let keys = Keys::new();
    let map: Arc<papaya::HashMap<_, _>> = Arc::new(all(&keys).collect());
    Subject::function(Role::Peer, "papaya, get + clone", move || {
        drop(black_box(map.pin().get(keys.next()).cloned()));
    })
}

fn scc() -> Subject {
    let keys = Keys::new();
    let map: Arc<scc::HashMap<_, _>> = Arc::new(all(&keys).collect());
    Subject::function(Role::Peer, "scc, read + clone", move || {
        drop(black_box(map.read_sync(keys.next(), |_, state| state.clone())));
    })
}

fn dashmap() -> Subject {
    let keys = Keys::new();
    let map: Arc<DashMap<_, _>> = Arc::new(all(&keys).collect());
    Subject::function(Role::Peer, "dashmap, get + clone", move || {
        drop(black_box(map.get(keys.next()).map(|state| state.clone())));
    })
}

fn mutex() -> Subject {
    let keys = Keys::new();
    let map: HashMap<Arc<str>, State> = all(&keys).collect();
    let map = Arc::new(parking_lot::Mutex::new(map));
    Subject::function(Role::Peer, "Mutex<HashMap>, get + clone", move || {
        drop(black_box(map.lock().get(keys.next()).cloned()));
    })
}

/// Least recently used, and let go when idle: the nearest to what is needed.
fn moka() -> Subject {
    let keys = Keys::new();
    let map = Cache::builder()
        .max_capacity(2 * KEYS as u64)
        .time_to_idle(Duration::from_secs(600))
        .eviction_policy(moka::policy::EvictionPolicy::lru())
        .build();
    all(&keys).for_each(|(key, state)| map.insert(key, state));
    Subject::function(Role::Peer, "moka, get", move || {
        drop(black_box(map.get(keys.next())));
    })
}
