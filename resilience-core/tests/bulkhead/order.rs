//! The order of the queue.

use resilience_core::Quantity;
use resilience_core::bulkhead::QueueOrder;

use crate::*;

#[test]
fn first_come_is_first_served_and_no_call_barges() {
    let bulkhead = waiting(1);
    let mut held = Some(bulkhead.try_acquire_owned(1).unwrap());
    let mut callers: Vec<_> = (0..50).map(|_| Caller::queued(&bulkhead, 1)).collect();
    for next in 0..callers.len() {
        held = None.or_else(|| {
            drop(held.take());
            assert!(bulkhead.try_acquire(1).is_err(), "those that wait come first");
            Some(callers[next].served())
        });
        assert!(callers[next + 1..].iter_mut().all(|caller| caller.wakes() == 0));
    }
    drop(held);
    assert_at_rest(&bulkhead);
}

/// One wake-up and two polls an admission, however long the queue.
#[test]
fn a_waiter_is_woken_once() {
    let bulkhead = builder(1).wait().max_queued(200).build().unwrap();
    let held = bulkhead.try_acquire(1).unwrap();
    let mut callers: Vec<_> = (0..200).map(|_| Caller::queued(&bulkhead, 1)).collect();
    drop(held);
    for caller in &mut callers {
        assert_eq!(caller.wakes(), 1);
        drop(caller.served());
        assert_eq!(caller.wakes(), 1);
    }
    assert_at_rest(&bulkhead);
}

#[test]
fn the_latest_waker_is_woken() {
    let bulkhead = waiting(1);
    let held = bulkhead.try_acquire(1).unwrap();
    let mut caller = Caller::queued(&bulkhead, 1);
    let former = std::mem::take(&mut caller.wakes);
    assert!(caller.poll().is_pending());
    drop(held);
    assert_eq!((former.0.load(Ordering::SeqCst), caller.wakes()), (0, 1));
    drop(caller.served());
}

#[test]
fn a_big_one_is_not_starved_by_small_ones() {
    let bulkhead = waiting(3);
    let (one, two) = (bulkhead.try_acquire(1).unwrap(), bulkhead.try_acquire(2).unwrap());
    let (mut big, mut small) = (Caller::queued(&bulkhead, 3), Caller::queued(&bulkhead, 1));
    drop(two);
    assert_eq!((big.wakes(), small.wakes()), (0, 0), "there is room for the small one");
    assert!(bulkhead.try_acquire(1).is_err());
    drop(one);
    let big = big.served();
    assert!(small.poll().is_pending());
    drop(big);
    drop(small.served());
    assert_at_rest(&bulkhead);
}

#[test]
fn a_big_one_that_gives_up_lets_those_behind_it_pass() {
    let bulkhead = waiting(3);
    let held = bulkhead.try_acquire(1).unwrap();
    let big = Caller::queued(&bulkhead, 3);
    let (mut small, mut other) = (Caller::queued(&bulkhead, 1), Caller::queued(&bulkhead, 1));
    drop(big);
    drop((small.served(), other.served(), held));
    assert_at_rest(&bulkhead);
}

#[test]
fn one_that_is_cancelled_after_it_was_served_passes_the_permit_on() {
    let bulkhead = waiting(1);
    let held = bulkhead.try_acquire(1).unwrap();
    let (first, mut second) = (Caller::queued(&bulkhead, 1), Caller::queued(&bulkhead, 1));
    drop(held);
    assert_eq!((first.wakes(), second.wakes()), (1, 0));
    drop(first);
    assert_eq!(second.wakes(), 1);
    drop(second.served());
    assert_at_rest(&bulkhead);
}

#[test]
fn the_newest_are_served_first_if_that_is_the_order() {
    let bulkhead = builder(1).wait().order(QueueOrder::NewestFirst).build().unwrap();
    let mut held = bulkhead.try_acquire_owned(1).unwrap();
    let mut callers: Vec<_> = (0..5).map(|_| Caller::queued(&bulkhead, 1)).collect();
    while let Some(mut newest) = callers.pop() {
        drop(held);
        held = newest.served();
    }
    drop(held);
    assert_at_rest(&bulkhead);
}

#[test]
fn a_full_queue_rejects_the_new_call_or_the_oldest() {
    for (order, newcomer_waits) in [(QueueOrder::Fifo, false), (QueueOrder::NewestFirst, true)] {
        let bulkhead = builder(1).wait().max_queued(2).order(order).build().unwrap();
        let held = bulkhead.try_acquire(1).unwrap();
        let mut oldest = Caller::queued(&bulkhead, 1);
        let _younger = Caller::queued(&bulkhead, 1);
        let mut newcomer = Caller::new(&bulkhead, 1);
        let rejection = if newcomer_waits {
            assert!(newcomer.poll().is_pending());
            assert_eq!(oldest.wakes(), 1, "it is told");
            oldest.rejected()
        } else {
            newcomer.rejected()
        };
        assert_eq!(rejection.limit(), Some(Quantity::Count(2)), "the queue's");
        assert_eq!(rejection.observed(), Some(Quantity::Count(2)));
        assert_eq!(bulkhead.snapshot().queued, 2);
        drop(held);
    }
}

/// A hundred thousand wait, every other one gives up, all others are served in order. Quadratic,
/// this would take hours.
#[test]
fn a_crowd_is_served_in_order_around_those_that_gave_up() {
    let bulkhead = builder(1).wait().max_queued(100_000).build().unwrap();
    let held = bulkhead.try_acquire(1).unwrap();
    let mut callers: Vec<_> = (0..100_000).map(|_| Some(Caller::queued(&bulkhead, 1))).collect();
    callers.iter_mut().step_by(2).rev().for_each(|caller| drop(caller.take()));
    assert_eq!(bulkhead.snapshot().queued, 50_000);
    drop(held);
    callers.iter_mut().flatten().for_each(|caller| drop(caller.served()));
    assert_at_rest(&bulkhead);
}
