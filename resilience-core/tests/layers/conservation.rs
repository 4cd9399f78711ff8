//! Whatever a crowd of callers does to a stack, at rest everything is back and every token accounted.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use crate::every::{Boxed, RESERVE, budget, layered, reset};
use parking_lot::Mutex;
use proptest::prelude::*;
use resilience_core::clock;
use resilience_core::testing::{Reply, Script, ServiceProbe};
use tower::{BoxError, Service};

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

async fn run(operations: &[Operation]) {
    let budget = budget();
    let started = Arc::new(Mutex::new(HashSet::new()));
    let wire = started.clone();
    let (probe, log) = ServiceProbe::new(Script::new(move |call, request| {
        wire.lock().insert(request);
        let reply = if call % 3 == 0 { Reply::ok(request) } else { Reply::err(reset()) };
        reply.after(Duration::from_millis(call as u64 % 7)).yielding(call as u32 % 3)
    }));
    let mut service = layered("stack", &budget, probe);
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
            Operation::Close => log.close(),
            Operation::Open => log.open(),
            Operation::Poll(_) | Operation::Drop(_) => {}
        }
        assert!(log.in_flight() <= calls.len());
    }
    drop(calls);
    assert_eq!((log.in_flight(), log.engaged()), (0, 0));
    assert_eq!(log.called_unready(), 0);
    let retries = log.calls() - started.lock().len();
    let expected = f64::from(RESERVE) + 0.1 * made as f64 - retries as f64;
    assert!((budget.available(clock::now()) - expected).abs() < 1e-6);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn at_rest_everything_is_back(operations in prop::collection::vec(operation(), 1..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(&operations));
    }
}
