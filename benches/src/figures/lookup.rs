//! Looking up the shared state of one of a thousand keys.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

use foldhash::fast::RandomState;
use resilience_core::clock;
use resilience_core::keyed::{Entry, Keyed, KeyedLimits};

use super::keys::{Asked, Keys};
use super::peers::maps;
use super::{Figure, names};
use crate::cost::{Role, Subject};

/// A small state that calls share.
#[derive(Debug, Clone, Default)]
pub(crate) struct State(pub(crate) Arc<u64>);

impl Entry for State {}

pub(super) fn figure() -> Figure {
    let mut subjects = vec![floor()];
    let ways = [Keys::new()];
    subjects.extend(maps::unbounded(&ways));
    subjects.extend(maps::moka(&ways));
    subjects.extend(ours(&ways, KeyedLimits::default()));
    Figure::new(
        names::LOOKUP,
        "one lookup in a thread's own HashMap (foldhash), nothing locked",
        subjects,
    )
}

/// Looks every key up once, so that each measured lookup finds its entry.
pub(super) fn fill<A: Asked, T: Entry>(store: &Keyed<A::Key, T>, way: &A) {
    let now = clock::now();
    way.all().for_each(|key| store.with(&key, now, |_| ()));
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

/// Returns two subjects for each of `ways`: a read in place, and a clone of the state.
pub(crate) fn ours<A: Asked>(ways: &[A], limits: KeyedLimits) -> Vec<Subject> {
    let store: Keyed<A::Key, State> = Keyed::new(limits, |_| State::default());
    ways.iter().take(1).for_each(|way| fill(&store, way));
    let now = clock::now();
    let with = ways.iter().cloned().map(|way| {
        let store = store.clone();
        Subject::function(Role::Ours, names::OUR_WITH, move || {
            black_box(way.ask(|key| store.with(key, now, |state| *state.0)));
        })
    });
    let get = ways.iter().cloned().map(|way| {
        let store = store.clone();
        Subject::function(Role::Ours, names::OUR_GET, move || {
            drop(black_box(way.ask(|key| store.get(key, now))));
        })
    });
    with.chain(get).collect()
}
