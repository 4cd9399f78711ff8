//! Limits that change while calls are under way, and the details of a rejection.

use std::sync::Arc;

use parking_lot::Mutex;
use resilience_core::observe::Event;
use resilience_core::{Quantity, RetryHint};

use crate::*;

/// D-BH1.
#[test]
fn a_full_bulkhead_rejects_with_details() {
    let bulkhead = rejecting(2);
    let held = [bulkhead.try_acquire(1).unwrap(), bulkhead.try_acquire(1).unwrap()];
    let rejection = bulkhead.try_acquire(1).unwrap_err();
    assert_eq!(rejection.kind(), RejectionKind::BulkheadFull);
    assert_eq!(rejection.limit(), Some(Quantity::Count(2)));
    assert_eq!(rejection.observed(), Some(Quantity::Count(2)));
    assert_eq!(rejection.retry_hint(), RetryHint::None);
    assert_eq!(rejection.to_string(), "b: bulkhead full (2 permits, limit 2)");
    drop(held);
    assert_at_rest(&bulkhead);
}

/// D-BH2.
#[test]
fn the_largest_limit_there_is_works() {
    let bulkhead = rejecting(u32::MAX);
    drop(bulkhead.try_acquire(1).unwrap());
    bulkhead.resize(u32::MAX);
    let never = bulkhead.try_acquire(u32::MAX).unwrap_err();
    assert_eq!(never.retry_hint(), RetryHint::Never, "more than can be counted");
    assert_eq!(bulkhead.snapshot().in_use, 0);
}

#[test]
fn what_weighs_more_than_there_is_is_never_admitted() {
    let bulkhead = waiting(3);
    let rejection = Caller::new(&bulkhead, 4).rejected();
    assert_eq!(rejection.to_string(), "b: bulkhead full (4 permits, limit 3), never to be retried");
    assert_at_rest(&bulkhead);
}

#[test]
fn what_weighs_nothing_is_always_admitted() {
    let bulkhead = rejecting(1);
    let held = bulkhead.try_acquire(1).unwrap();
    let free = bulkhead.try_acquire(0).unwrap();
    assert_eq!((free.weight(), bulkhead.snapshot().in_use), (0, 1));
    drop((held, free));
    assert_at_rest(&bulkhead);
}

/// Resize 2 → 0 → 1 with two out, where a count once went below zero.
#[test]
fn a_lowered_limit_is_a_debt() {
    let bulkhead = rejecting(2);
    let (first, second) = (bulkhead.try_acquire(1).unwrap(), bulkhead.try_acquire(1).unwrap());
    for limit in [2, 0, 1] {
        bulkhead.resize(limit);
        assert_eq!(bulkhead.snapshot().in_use, 2);
        assert!(bulkhead.try_acquire(1).is_err());
    }
    drop(first);
    assert!(bulkhead.try_acquire(1).is_err(), "one is out, and one may be");
    drop(second);
    assert_at_rest(&bulkhead);
}

/// A limit of 0 with a waiter, raised to 1.
#[test]
fn a_raised_limit_serves_those_that_wait() {
    let bulkhead = waiting(1);
    bulkhead.resize(0);
    let mut callers: Vec<_> = (0..3).map(|_| Caller::queued(&bulkhead, 1)).collect();
    bulkhead.resize(2);
    assert_eq!(callers.iter().map(Caller::wakes).collect::<Vec<_>>(), [1, 1, 0]);
    let permits = [callers[0].served(), callers[1].served()];
    assert!(callers[2].poll().is_pending());
    drop(permits);
    drop(callers[2].served());
    assert_at_rest(&bulkhead);
}

#[test]
fn a_waiter_that_a_lowered_limit_leaves_no_hope_makes_way() {
    let bulkhead = waiting(3);
    let held = bulkhead.try_acquire(1).unwrap();
    let (mut big, mut small) = (Caller::queued(&bulkhead, 3), Caller::queued(&bulkhead, 1));
    bulkhead.resize(2);
    assert_eq!(big.rejected().retry_hint(), RetryHint::Never);
    drop((small.served(), held));
    assert_at_rest(&bulkhead);
}

#[test]
fn a_configuration_that_changes_reaches_those_that_wait() {
    let bulkhead = waiting(1);
    let held = bulkhead.try_acquire(1).unwrap();
    let mut caller = Caller::queued(&bulkhead, 1);
    bulkhead.set_config(builder(1).config().unwrap());
    assert!(caller.poll().is_pending(), "it keeps its place");
    assert!(Caller::new(&bulkhead, 1).rejected().retry_after().is_none(), "nobody else gets one");
    bulkhead.set_config(builder(1).observe_only().config().unwrap());
    assert_eq!(caller.wakes(), 1);
    drop((caller.served(), held));
    bulkhead.set_config(builder(4).config().unwrap());
    assert_at_rest(&bulkhead);
    assert_eq!(bulkhead.snapshot().limit, 4);
}

type Log = Arc<Mutex<Vec<String>>>;

fn logged(builder: BulkheadBuilder) -> (Bulkhead, Log) {
    let log = Log::default();
    let lines = log.clone();
    let builder = builder.listen(move |event: &Event<'_>| match event {
        Event::Rejected(rejection) => lines.lock().push(format!("rejected {rejection}")),
        Event::WouldReject(rejection) => lines.lock().push(format!("would {rejection}")),
        _ => {}
    });
    (builder.build().unwrap(), log)
}

#[test]
fn an_observing_limiter_admits_everything_and_reports_rejections() {
    let (bulkhead, log) = logged(builder(1).observe_only());
    let permits: Vec<_> = (0..3).map(|_| bulkhead.try_acquire(1).unwrap()).collect();
    let heavy = Caller::new(&bulkhead, 2).served();
    let seen = bulkhead.snapshot();
    assert_eq!((seen.in_use, seen.limit, seen.peak, seen.rejected), (5, 1, 5, 3));
    let expected = [
        "would b: bulkhead full (1 permit, limit 1)",
        "would b: bulkhead full (2 permits, limit 1)",
        "would b: bulkhead full (2 permits, limit 1), never to be retried",
    ];
    assert_eq!(*log.lock(), expected);
    // What is over the limit is a debt once it does more than observe.
    bulkhead.set_config(builder(1).config().unwrap());
    drop(permits);
    assert!(bulkhead.try_acquire(1).is_err());
    drop(heavy);
    assert_at_rest(&bulkhead);
}

#[test]
fn those_over_the_limit_stand_for_the_queue_of_one_that_only_observes() {
    let (bulkhead, log) = logged(builder(1).wait().max_queued(2).observe_only());
    let permits: Vec<_> = (0..4).map(|_| Caller::new(&bulkhead, 1).served()).collect();
    assert_eq!(*log.lock(), ["would b: bulkhead full (2 calls waiting, limit 2)"]);
    drop(permits);
    assert_eq!(bulkhead.snapshot().in_use, 0);
}

#[test]
fn a_listener_may_use_the_bulkhead_that_it_listens_to() {
    let slot = Arc::new(Mutex::new(None::<Bulkhead>));
    let own = slot.clone();
    let bulkhead = builder(1)
        .listen(move |_: &Event<'_>| {
            let bulkhead = own.lock().clone().unwrap();
            assert_eq!(bulkhead.snapshot().limit, 1);
            bulkhead.resize(1);
        })
        .build()
        .unwrap();
    *slot.lock() = Some(bulkhead.clone());
    let held = bulkhead.try_acquire(1).unwrap();
    assert!(bulkhead.try_acquire(1).is_err());
    drop(held);
    *slot.lock() = None;
}

#[test]
fn what_happens_is_counted() {
    let bulkhead = builder(1).wait().max_queued(1).build().unwrap();
    let held = bulkhead.try_acquire(1).unwrap();
    let mut waiter = Caller::queued(&bulkhead, 1);
    Caller::new(&bulkhead, 1).rejected();
    let seen = bulkhead.snapshot();
    assert_eq!((seen.limit, seen.in_use, seen.queued), (1, 1, 1));
    drop(held);
    drop(waiter.served());
    let seen = bulkhead.snapshot();
    assert_eq!((seen.in_use, seen.queued, seen.peak), (0, 0, 1));
    assert_eq!((seen.waited, seen.rejected), (1, 1));
}
