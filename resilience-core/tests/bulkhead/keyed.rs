//! A bulkhead for each key.

use std::time::Duration;

use resilience_core::bulkhead::BulkheadLayer;
use resilience_core::keyed::{Entry, KeyedLimits};
use resilience_core::testing::{Reply, Script};
use resilience_core::{CarriesRejection, clock};
use tower::{BoxError, Layer};

use crate::*;

/// A slow dependency that is saturated leaves the others alone.
#[tokio::test(start_paused = true)]
async fn a_saturated_dependency_does_not_touch_another() {
    let inner = Script::new(|_, host: &'static str| {
        let reply = Reply::<_, BoxError>::ok(host);
        if host == "slow" { reply.after(Duration::from_secs(60)) } else { reply }
    });
    let template = rejecting(2);
    let layer =
        BulkheadLayer::per_key(template.clone(), KeyedLimits::default(), |host: &&'static str| {
            *host
        });
    let service = layer.layer(inner);
    let stuck: Vec<_> = (0..2).map(|_| tokio::spawn(service.clone().oneshot("slow"))).collect();
    tokio::task::yield_now().await;
    let start = clock::now();
    for _ in 0..1_000 {
        assert_eq!(service.clone().oneshot("fast").await.unwrap(), "fast");
        let refused = service.clone().oneshot("slow").await.unwrap_err();
        let rejection = refused.rejection().unwrap();
        assert_eq!(rejection.to_string(), "b: bulkhead full for `slow` (2 permits, limit 2)");
    }
    assert_eq!(clock::now(), start, "nobody waited");
    let snapshot = |host| {
        let store = layer.selector().store();
        store.with(&host, clock::now(), Bulkhead::snapshot)
    };
    assert_eq!((snapshot("slow").in_use, snapshot("slow").rejected), (2, 1_000));
    assert_eq!((snapshot("fast").in_use, snapshot("fast").rejected), (0, 0));
    assert_eq!(template.snapshot().in_use, 0, "the template is another one");
    for call in stuck {
        call.await.unwrap().unwrap();
    }
    assert_eq!(snapshot("slow").in_use, 0);
}

/// A change applies at once, and not with the next call.
#[test]
fn a_change_reaches_those_that_wait_for_any_key() {
    let template = waiting(1);
    let (first, second) = (template.fresh(), template.fresh());
    template.resize(0);
    let mut callers = [Caller::queued(&first, 1), Caller::queued(&second, 1)];
    drop(template.fresh());
    first.resize(1);
    for caller in &mut callers {
        assert_eq!(caller.wakes(), 1);
        drop(caller.served());
    }
    assert_eq!(template.fresh().snapshot().limit, 1);
    [template, first, second].iter().for_each(assert_at_rest);
}

#[test]
fn what_is_in_use_is_not_forgotten() {
    let now = clock::now();
    let bulkhead = waiting(1);
    let heap = bulkhead.heap_bytes();
    assert!(heap >= 100, "{heap}");
    assert!(!bulkhead.is_pinned(now));
    let elsewhere = bulkhead.clone();
    assert!(bulkhead.is_pinned(now), "somebody is about to ask");
    drop(elsewhere);
    let held = bulkhead.try_acquire(1).unwrap();
    assert!(bulkhead.is_pinned(now), "a permit is out");
    let mut future = bulkhead.acquire(1);
    let mut context = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut future).poll(&mut context).is_pending());
    assert!(bulkhead.heap_bytes() > heap, "the queue has a slot");
    drop(held);
    assert!(bulkhead.is_pinned(now), "granted, and not heard of yet");
    drop(future);
    assert!(!bulkhead.is_pinned(now));
}
