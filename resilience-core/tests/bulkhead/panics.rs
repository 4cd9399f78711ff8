//! Wakers and names of keys that panic: no other call waits for ever, and no permit is lost.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;

use resilience_core::Name;
use resilience_core::bulkhead::{BulkheadLayer, QueueOrder};
use resilience_core::keyed::{Key, KeyedLimits};
use resilience_core::testing::Ready;
use tower::{BoxError, Layer, Service};

use crate::*;

/// Panics when it is woken.
struct Bomb;

impl Wake for Bomb {
    fn wake(self: Arc<Self>) {
        panic!("on purpose");
    }
}

/// Polls a call until it waits, with a waker that panics.
fn queued_with_a_bomb(bulkhead: &Bulkhead) -> Pin<Box<Acquire>> {
    let mut call = Box::pin(bulkhead.acquire_owned(1));
    let waker = Waker::from(Arc::new(Bomb));
    assert!(call.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    call
}

fn panics(body: impl FnOnce()) {
    assert!(catch_unwind(AssertUnwindSafe(body)).is_err(), "a waker panics");
}

#[test]
fn those_behind_a_waker_that_panics_are_woken() {
    let bulkhead = waiting(1);
    let held = bulkhead.try_acquire_owned(1).unwrap();
    let first = queued_with_a_bomb(&bulkhead);
    let mut second = Caller::queued(&bulkhead, 1);
    panics(|| bulkhead.resize(3));
    assert_eq!(second.wakes.0.load(Ordering::SeqCst), 1);
    assert!(matches!(second.poll(), Poll::Ready(Ok(_))));
    drop((held, first));
    assert_at_rest(&bulkhead);
}

/// All keys follow a change, also while calls wait for one of them.
#[test]
fn a_change_reaches_every_key_though_a_waker_panics() {
    let bulkhead = waiting(1);
    let keys: Vec<_> = (0..20).map(|_| bulkhead.fresh()).collect();
    let held: Vec<_> = keys.iter().map(|key| key.try_acquire(1).unwrap()).collect();
    // One of them, since two panics at once end a process.
    let call = queued_with_a_bomb(&keys[7]);
    panics(|| bulkhead.resize(5));
    assert!(keys.iter().all(|key| key.snapshot().limit == 5));
    drop((call, held));
}

#[test]
fn a_newcomer_that_wakes_a_waker_that_panics_leaves_no_place_behind() {
    let newest_first = builder(1).wait().max_queued(1).order(QueueOrder::NewestFirst);
    let bulkhead = newest_first.build().unwrap();
    let held = bulkhead.try_acquire_owned(1).unwrap();
    // It loses its place to the newcomer, and is told.
    let oldest = queued_with_a_bomb(&bulkhead);
    let mut newcomer = Caller::new(&bulkhead, 1);
    panics(|| drop(newcomer.poll()));
    assert_eq!(bulkhead.snapshot().queued, 1);
    drop((newcomer, oldest));
    assert_eq!(bulkhead.snapshot().queued, 0);
    drop(held);
    assert_at_rest(&bulkhead);
}

/// Dropping a permit wakes the next call.
#[test]
fn a_permit_is_back_though_its_drop_panics() {
    let bulkhead = waiting(1);
    let held = bulkhead.try_acquire_owned(1).unwrap();
    let waits = queued_with_a_bomb(&bulkhead);
    panics(|| drop(held));
    drop(waits);
    assert_at_rest(&bulkhead);
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Nameless;

impl Key for Nameless {
    type Stored = Nameless;

    fn name(&self) -> Name {
        panic!("on purpose");
    }
}

#[test]
fn a_name_that_panics_costs_no_permit() {
    for bulkhead in [builder(1).observe_only(), builder(1)] {
        let bulkhead = bulkhead.build().unwrap();
        let key = |_: &u64| Nameless;
        let layer = BulkheadLayer::per_key(bulkhead, KeyedLimits::default(), key);
        let of_key = layer.selector().store().get(&Nameless, resilience_core::clock::now());
        let held = of_key.try_acquire(1).unwrap();
        let mut service = layer.layer(Ready::<BoxError>::new());
        panics(|| {
            let call = pin!(Service::call(&mut service, 1));
            drop(call.poll(&mut Context::from_waker(Waker::noop())));
        });
        drop(held);
        assert_eq!((of_key.snapshot().in_use, of_key.snapshot().queued), (0, 0));
    }
}
