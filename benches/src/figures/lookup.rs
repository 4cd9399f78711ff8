//! The shared state of one of a thousand keys.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

use foldhash::fast::RandomState;
use resilience_core::clock;
use resilience_core::keyed::{Entry, Keyed, KeyedLimits};

use super::keys::Keys;
use super::peers::maps;
use super::{Figure, names};
use crate::cost::{Role, Subject};

/// Something small that calls share.
#[derive(Clone)]
struct State(Arc<u64>);

impl Entry for State {}

pub(super) fn figure() -> Figure {
    let mut subjects = vec![floor()];
    subjects.extend(maps::maps());
    subjects.extend(ours());
    Figure::new(
        names::LOOKUP,
        "one lookup in a thread's own HashMap (foldhash), nothing locked",
        subjects,
    )
}

/// Looks every key up once: a lookup is of what is there.
pub(super) fn fill<T: Entry>(store: &Keyed<Arc<str>, T>, keys: &Keys) {
    let now = clock::now();
    keys.iter().for_each(|key| store.with(key, now, |_| ()));
}

fn floor() -> Subject {
    Subject::function_each(Role::Floor, names::FLOOR, || {
        let keys = Keys::new();
        let map: HashMap<_, _, RandomState> =
            keys.iter().map(|key| (key.clone(), Arc::new(0_u64))).collect();
        move || {
            black_box(map.get(keys.next()).map(|state| **state));
        }
    })
}

fn ours() -> [Subject; 2] {
    let store: Keyed<Arc<str>, State> = Keyed::new(KeyedLimits::default(), |_| State(Arc::new(0)));
    let (keys, other, now) = (Keys::new(), store.clone(), clock::now());
    fill(&store, &keys);
    let other_keys = keys.clone();
    [
        Subject::function(Role::Ours, names::OUR_WITH, move || {
            black_box(store.with(keys.next(), now, |state| *state.0));
        }),
        Subject::function(Role::Ours, "our Keyed::get, a clone", move || {
            drop(black_box(other.get(other_keys.next(), now)));
        }),
    ]
}
