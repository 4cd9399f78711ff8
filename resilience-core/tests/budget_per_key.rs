//! A shard that is down spends its own budget, and no other's.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use resilience_core::keyed::KeyedLimits;
use resilience_core::retry::{Backoff, RetryBudget, RetryLayer, RetryPolicy};
use tower::{BoxError, Layer, service_fn};

const SHARDS: usize = 10;
const CALLS: usize = 100;
const RESERVE: u32 = 5;

#[tokio::test(start_paused = true)]
async fn the_dead_shard_leaves_the_others_their_retries() {
    let wire: Arc<[AtomicUsize; SHARDS]> = Arc::default();
    let seen = wire.clone();
    // Shard 0 is down. Each of the others refuses its first call.
    let shards = service_fn(move |shard: usize| {
        let before = seen[shard].fetch_add(1, Ordering::Relaxed);
        async move {
            if shard == 0 || before == 0 {
                return Err(BoxError::from(io::Error::from(io::ErrorKind::ConnectionRefused)));
            }
            Ok(shard)
        }
    });
    let policy = RetryPolicy::builder()
        .max_attempts(4)
        .backoff(Backoff::constant(Duration::from_millis(1)))
        .build()
        .unwrap();
    let budget = RetryBudget::builder()
        .ratio(0.0)
        .reserve(RESERVE)
        .window(Duration::from_secs(3_600))
        .build()
        .unwrap();
    let layer =
        RetryLayer::new(policy)
            .budget_per_key(&budget, KeyedLimits::default(), |shard: &usize| *shard);
    for _ in 0..CALLS {
        for shard in 0..SHARDS {
            // Applied anew for each call, as a router does: the budgets are the layer's.
            let result = layer.layer(shards.clone()).oneshot(shard).await;
            assert_eq!(result.is_ok(), shard != 0, "shard {shard}");
        }
    }
    assert_eq!(wire[0].load(Ordering::Relaxed), CALLS + RESERVE as usize);
    for healthy in &wire[1..] {
        assert_eq!(healthy.load(Ordering::Relaxed), CALLS + 1);
    }
}
