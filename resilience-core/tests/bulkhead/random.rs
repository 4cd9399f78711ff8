//! Whatever a crowd does, at rest everything is back.

use std::time::Duration;

use proptest::prelude::*;
use resilience_core::bulkhead::QueueOrder;

use crate::*;

#[derive(Debug, Clone, Copy)]
enum Operation {
    Try(u32),
    Wait(u32),
    Poll(usize),
    Cancel(usize),
    Release(usize),
    Resize(u32),
    Configure(u32, QueueOrder, bool),
    Advance(u64),
    Fresh,
}

fn order() -> impl Strategy<Value = QueueOrder> {
    let standing = QueueOrder::NewestFirstAfter(Duration::from_millis(50));
    prop::sample::select(vec![QueueOrder::Fifo, QueueOrder::NewestFirst, standing])
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        2 => (0_u32..4).prop_map(Operation::Try),
        4 => (0_u32..4).prop_map(Operation::Wait),
        4 => any::<usize>().prop_map(Operation::Poll),
        2 => any::<usize>().prop_map(Operation::Cancel),
        4 => any::<usize>().prop_map(Operation::Release),
        1 => (0_u32..6).prop_map(Operation::Resize),
        1 => (1_u32..6, order(), any::<bool>())
            .prop_map(|(limit, order, observe)| Operation::Configure(limit, order, observe)),
        2 => (1_u64..60).prop_map(Operation::Advance),
        1 => Just(Operation::Fresh),
    ]
}

async fn run(operations: &[Operation]) {
    let configured = |limit| builder(limit).wait_at_most(Duration::from_millis(100)).max_queued(5);
    let bulkhead = configured(3).build().unwrap();
    let (mut permits, mut callers) = (Vec::new(), Vec::<Caller>::new());
    let mut observes = false;
    for &operation in operations {
        match operation {
            Operation::Try(weight) => permits.extend(bulkhead.try_acquire_owned(weight)),
            Operation::Wait(weight) => callers.push(Caller::new(&bulkhead, weight)),
            Operation::Poll(at) if !callers.is_empty() => {
                let at = at % callers.len();
                if let Poll::Ready(answer) = callers[at].poll() {
                    permits.extend(answer);
                    callers.swap_remove(at);
                }
            }
            Operation::Cancel(at) if !callers.is_empty() => {
                drop(callers.swap_remove(at % callers.len()));
            }
            Operation::Release(at) if !permits.is_empty() => {
                drop(permits.swap_remove(at % permits.len()));
            }
            Operation::Resize(limit) => bulkhead.resize(limit),
            Operation::Configure(limit, order, observe) => {
                let builder = configured(limit).order(order);
                let builder = if observe { builder.observe_only() } else { builder };
                observes = observe;
                bulkhead.set_config(builder.config().unwrap());
            }
            Operation::Advance(ms) => tokio::time::advance(Duration::from_millis(ms)).await,
            Operation::Fresh => assert_at_rest(&configured(1).build().unwrap().fresh()),
            Operation::Poll(_) | Operation::Cancel(_) | Operation::Release(_) => {}
        }
        let seen = bulkhead.snapshot();
        let held: u32 = permits.iter().map(BulkheadPermit::weight).sum();
        assert!(held <= seen.in_use, "{seen:?}");
        assert!(seen.queued <= 5);
        // What is available is what a new call gets, and one more is not.
        if !observes {
            assert!(bulkhead.try_acquire(seen.available + 1).is_err(), "{seen:?}");
            assert!(
                seen.available == 0 || bulkhead.try_acquire(seen.available).is_ok(),
                "{seen:?}"
            );
        }
    }
    drop(callers);
    let held: u32 = permits.iter().map(BulkheadPermit::weight).sum();
    assert_eq!(bulkhead.snapshot().in_use, held);
    drop(permits);
    bulkhead.set_config(configured(3).config().unwrap());
    assert_at_rest(&bulkhead);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn at_rest_everything_is_back(operations in prop::collection::vec(operation(), 1..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(&operations));
    }

    /// After any cancellation the other calls are served, in their order.
    #[test]
    fn the_others_are_served_in_order(
        gives_up in prop::collection::vec(any::<bool>(), 1..60),
        limit in 1_u32..4,
    ) {
        let bulkhead = waiting(limit);
        let mut held = vec![bulkhead.try_acquire_owned(limit).unwrap()];
        let queue = gives_up.iter().map(|_| Some(Caller::queued(&bulkhead, 1)));
        let mut callers: Vec<_> = queue.collect();
        for (at, &gives_up) in gives_up.iter().enumerate() {
            // Some after they were granted a permit, most before.
            if gives_up {
                callers[at] = None;
            }
            if at == gives_up as usize {
                held.clear();
            }
        }
        held.clear();
        for caller in callers.iter_mut().flatten() {
            prop_assert_eq!(caller.wakes(), 1);
            drop(caller.served());
        }
        assert_at_rest(&bulkhead);
    }
}
