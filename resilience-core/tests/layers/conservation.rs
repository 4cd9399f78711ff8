//! Whatever a crowd of callers does to a stack, at rest everything is back and every token
//! accounted.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use crate::every::{Boxed, Limits, RESERVE, breaker, budget, reset, whole};
use parking_lot::Mutex;
use proptest::prelude::*;
use resilience_core::clock;
use resilience_core::keyed::KeyedLimits;
use resilience_core::stack::StackSnapshot;
use resilience_core::testing::{Reply, Script, ServiceProbe};
use tower::{BoxError, Layer, Service};

#[derive(Debug, Clone, Copy)]
enum Operation {
    Call,
    Poll(usize),
    Drop(usize),
    Advance(u64),
    /// A handle that becomes ready and is kept, idle.
    Idle,
    Close,
    Open,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        3 => Just(Operation::Call),
        6 => any::<usize>().prop_map(Operation::Poll),
        2 => any::<usize>().prop_map(Operation::Drop),
        3 => (1_u64..200).prop_map(Operation::Advance),
        1 => Just(Operation::Idle),
        1 => Just(Operation::Close),
        1 => Just(Operation::Open),
    ]
}

type Call = Pin<Box<dyn Future<Output = Result<u64, BoxError>>>>;

/// Few of everything but tokens: calls stand in line, and the circuit opens and is probed.
const FEW: Limits = Limits { permits: 3, min_gap: Duration::ZERO, failures: 4 };

/// `closing`: the service below is at times not ready. `noted`: it is known which calls were let
/// in.
async fn run(operations: &[Operation], closing: bool, noted: bool) {
    let budget = budget();
    let entered = Arc::new(Mutex::new(HashSet::new()));
    let reached = Arc::new(Mutex::new(HashSet::new()));
    let sent = reached.clone();
    let (probe, log) = ServiceProbe::new(Script::new(move |call, request| {
        sent.lock().insert(request);
        let reply = if call % 9 > 5 { Reply::ok(request) } else { Reply::err(reset()) };
        reply.after(Duration::from_millis(call as u64 % 7)).yielding(call as u32 % 3)
    }));
    let (mut service, snapshot): (Boxed, Box<dyn Fn() -> StackSnapshot>) = if noted {
        let let_in = entered.clone();
        // Whose circuit it is is asked in the poll that lets a call in, which is when the retry
        // deposits: nothing stands between them but a limit that has tokens for all.
        let all_the_same = move |request: &u64| {
            let_in.lock().insert(*request);
            0_u64
        };
        let keys = KeyedLimits::default();
        let stack = whole(&budget, FEW).circuit_breaker_per_key(breaker(FEW), keys, all_the_same);
        let stack = stack.build().unwrap();
        let service = Boxed::new(stack.layer(probe));
        let snapshot = move || {
            let circuit = stack.circuit_breaker_layer().selector().store().get(&0, clock::now());
            let mut rest = stack.snapshot();
            rest.circuit_breaker = Some(circuit.snapshot());
            rest
        };
        (service, Box::new(snapshot))
    } else {
        let stack = whole(&budget, FEW).build().unwrap();
        (Boxed::new(stack.layer(probe)), Box::new(move || stack.snapshot()))
    };
    let mut context = Context::from_waker(Waker::noop());
    let (mut calls, mut idle): (Vec<Call>, Vec<Boxed>) = (Vec::new(), Vec::new());
    let mut made = 0;
    for &operation in operations {
        match operation {
            Operation::Call => {
                assert!(service.poll_ready(&mut context).is_ready());
                calls.push(Box::pin(service.call(made)));
                made += 1;
            }
            Operation::Poll(at) if !calls.is_empty() => {
                let at = at % calls.len();
                if calls[at].as_mut().poll(&mut context).is_ready() {
                    drop(calls.swap_remove(at));
                }
            }
            Operation::Drop(at) if !calls.is_empty() => drop(calls.swap_remove(at % calls.len())),
            Operation::Advance(ms) => tokio::time::advance(Duration::from_millis(ms)).await,
            Operation::Idle => {
                let mut handle = service.clone();
                assert!(handle.poll_ready(&mut context).is_ready());
                idle.push(handle);
            }
            Operation::Close if closing => log.close(),
            Operation::Open => log.open(),
            Operation::Close | Operation::Poll(_) | Operation::Drop(_) => {}
        }
        assert!(log.in_flight() <= calls.len());
    }
    drop(calls);
    assert_eq!((log.in_flight(), log.engaged()), (0, 0));
    assert_eq!(log.called_unready(), 0);
    let rest = snapshot();
    let bulkhead = rest.bulkhead.unwrap();
    assert_eq!((bulkhead.in_use, bulkhead.queued), (0, 0));
    assert!(bulkhead.peak <= FEW.permits);
    let (rate, circuit) = (rest.rate_limit.unwrap(), rest.circuit_breaker.unwrap());
    assert_eq!((rate.queued, circuit.probes), (0, 0));
    // A token for each attempt that reached the service, and the price of a retry for each but the
    // first of a call. What was rejected on the way, or dropped in front of a service that was not
    // ready, has cost nothing.
    if closing {
        // What is given back after the next was let through may come back in part: no window is let
        // over.
        assert!(rate.admitted >= log.calls() as u64);
        assert!(rate.available as usize <= 10_000 - log.calls());
    } else {
        assert_eq!(rate.admitted, log.calls() as u64);
        assert_eq!(rate.available as usize, 10_000 - log.calls());
    }
    if noted {
        let retries = (log.calls() - reached.lock().len()) as f64;
        let earned = f64::from(RESERVE) + 0.1 * entered.lock().len() as f64;
        let spent = earned - budget.available(clock::now());
        if closing {
            // An attempt that times out in front of a service that is not ready has been paid for.
            assert!(spent - retries > -1e-6, "{spent}, {retries}");
        } else {
            assert!((spent - retries).abs() < 1e-6, "{spent}, {retries}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn at_rest_everything_is_back(
        operations in prop::collection::vec(operation(), 1..200),
        closing: bool,
        noted: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(&operations, closing, noted));
    }
}
