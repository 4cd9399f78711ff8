//! Many threads at once. What is under way is counted by the service below.

use std::time::Duration;

use resilience_core::bulkhead::BulkheadLayer;
use tower::{BoxError, Layer, service_fn};

use crate::*;

const LIMIT: u32 = 3;

/// Counts those that are inside, for as long as it lives.
struct Inside(Arc<AtomicUsize>);

impl Inside {
    fn enter(inside: &Arc<AtomicUsize>, peak: &AtomicUsize) -> Inside {
        peak.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        Inside(inside.clone())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn never_more_than_the_limit_are_inside_and_none_is_forgotten() {
    let bulkhead = builder(LIMIT).wait().max_queued(10_000).build().unwrap();
    let (inside, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let inner = service_fn({
        let peak = peak.clone();
        move |n: u64| {
            let (inside, peak) = (inside.clone(), peak.clone());
            async move {
                let _inside = Inside::enter(&inside, &peak);
                for _ in 0..n % 4 {
                    tokio::task::yield_now().await;
                }
                Ok::<_, BoxError>(n)
            }
        }
    });
    let service = BulkheadLayer::new(bulkhead.clone()).layer(inner);
    let calls: Vec<_> = (0..4_000).map(|n| tokio::spawn(service.clone().oneshot(n))).collect();
    // Every seventh is cancelled, wherever it is.
    let mut ended = 0;
    for (at, call) in calls.into_iter().enumerate() {
        if at % 7 == 0 {
            call.abort();
        }
        ended += usize::from(call.await.is_ok_and(|result| result.is_ok()));
    }
    assert!(ended >= 4_000 - 4_000_usize.div_ceil(7), "{ended}");
    assert!((1..=LIMIT as usize).contains(&peak.load(Ordering::SeqCst)), "{peak:?}");
    assert_at_rest(&bulkhead);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_changing_limit_loses_no_call() {
    let bulkhead = builder(LIMIT).wait_at_most(Duration::from_secs(600)).build().unwrap();
    let calls: Vec<_> = (0..8)
        .map(|task| {
            let bulkhead = bulkhead.clone();
            tokio::spawn(async move {
                for turn in 0..500 {
                    let permit = bulkhead.acquire(1 + task % 2).await.unwrap();
                    if turn % 3 == 0 {
                        tokio::task::yield_now().await;
                    }
                    drop(permit);
                }
            })
        })
        .collect();
    while calls.iter().any(|call| !call.is_finished()) {
        for limit in [0, 2, 3, 5] {
            bulkhead.resize(limit);
            tokio::task::yield_now().await;
        }
    }
    for call in calls {
        call.await.unwrap();
    }
    assert_at_rest(&bulkhead);
}
