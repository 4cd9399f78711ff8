//! The behaviour of a store for one caller.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use resilience_core::clock;
use resilience_core::keyed::{EvictionReason, Keyed};
use resilience_core::observe::Event;

use crate::Counter;

#[tokio::test(start_paused = true)]
async fn idle_by_the_paused_clock() {
    let store =
        Keyed::builder().idle(Duration::from_secs(60)).build(|_: &u8| Counter::default()).unwrap();
    let add = |key| store.with(&key, clock::now(), Counter::add);
    assert_eq!((add(1), add(2)), (0, 0));
    store.with(&3, clock::now(), |counter| counter.pin(true));
    tokio::time::advance(Duration::from_secs(59)).await;
    assert_eq!(add(1), 1);
    assert!(store.peek(&2, clock::now()).is_some());
    tokio::time::advance(Duration::from_secs(3)).await;
    // The first was asked for, the second only looked at, the third is pinned.
    assert!(store.peek(&2, clock::now()).is_none());
    assert_eq!((add(1), add(2)), (2, 0));
    tokio::time::advance(Duration::from_secs(3_600)).await;
    assert!(store.peek(&3, clock::now()).is_some());
    assert_eq!(store.snapshot().evicted_idle, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_idle_is_given_back_by_other_calls() {
    let store =
        Keyed::builder().idle(Duration::from_secs(60)).build(|_: &u32| Counter::default()).unwrap();
    let empty = store.bytes();
    for key in 0..50_000 {
        store.with(&key, clock::now(), Counter::add);
    }
    let full = store.bytes() - empty;
    tokio::time::advance(Duration::from_secs(120)).await;
    // One hot key is enough, without any that are new.
    for _ in 0..600_000 {
        store.with(&0, clock::now(), Counter::add);
    }
    assert!(store.len() < 100, "{} are left", store.len());
    assert!(store.bytes() - empty < full / 100, "{} of {full}", store.bytes() - empty);
}

#[test]
fn a_small_store_is_exact() {
    let store = Keyed::builder().max_keys(7).build(|_: &u32| Counter::default()).unwrap();
    let now = clock::now();
    for round in 0..100 {
        for key in 0..7 {
            assert_eq!(store.with(&key, now, Counter::add), round);
        }
    }
    assert_eq!(store.snapshot().evicted_capacity, 0);
    for key in 7..1_000 {
        assert_eq!(store.with(&key, now, Counter::add), 0);
        assert_eq!(store.len(), 7);
    }
    assert_eq!(store.snapshot().overflowed, 0);
}

#[test]
fn where_all_are_pinned_newcomers_share() {
    let store = Keyed::builder().max_keys(4).build(|_: &u32| Counter::default()).unwrap();
    let now = clock::now();
    for key in 0..4 {
        store.with(&key, now, |counter| counter.pin(true));
    }
    let calls: Vec<u64> = (10..20).map(|key| store.with(&key, now, Counter::add)).collect();
    assert_eq!(calls, (0..10).collect::<Vec<_>>(), "one state, counted together");
    assert_eq!((store.snapshot().overflowed, store.len()), (10, 4));
    assert!((0..4).all(|key| store.peek(&key, now).is_some()));
    store.with(&2, now, |counter| counter.pin(false));
    assert_eq!(store.with(&10, now, Counter::add), 0, "room, and a state of its own");
    assert!(store.peek(&2, now).is_none());
}

#[test]
fn evictions_are_reported_outside_of_locks() {
    let told: Arc<Mutex<Vec<(String, EvictionReason)>>> = Arc::default();
    let store: Arc<Mutex<Option<Keyed<u32, Counter>>>> = Arc::default();
    let (told_, store_) = (told.clone(), store.clone());
    let builder = Keyed::builder().max_keys(2).name("hosts").listen(move |event: &Event<'_>| {
        let Event::KeyEvicted { store, key, reason, .. } = event else { return };
        assert_eq!(*store, "hosts");
        // Asks every shard: a deadlock, if one were locked.
        let snapshot = store_.lock().as_ref().map(Keyed::snapshot);
        assert!(snapshot.is_some());
        told_.lock().push(((*key).to_owned(), *reason));
    });
    let keyed = builder.build(|_: &u32| Counter::default()).unwrap();
    *store.lock() = Some(keyed.clone());
    for key in 0..100 {
        keyed.with(&key, clock::now(), Counter::add);
    }
    assert_eq!(told.lock().len(), 98);
    *store.lock() = None;
}

#[test]
fn removed_is_gone_whatever_it_holds() {
    let store = Keyed::builder().build(|_: &(u32, Box<str>)| Counter::default()).unwrap();
    let (key, now) = ((1, Box::from("a")), clock::now());
    store.with(&key, now, |counter| counter.pin(true));
    assert!(store.remove(&key).is_some() && store.remove(&key).is_none());
    assert!(store.is_empty() && store.peek(&key, now).is_none());
}
