//! Partial failure: ten shards, a thousand requests a second, one shard
//! dead for two minutes. Window of 100, at least 20 calls, break of 5 s, one probe. One request in
//! 2,000 fails for no reason.

use std::time::Duration;

use crate::{SECOND, reset};
use resilience_core::breaker::{CircuitBreaker, CircuitBreakerLayer, ProbeRule, SlidingWindow};
use resilience_core::clock;
use resilience_core::keyed::KeyedLimits;
use tower::{BoxError, Service, ServiceBuilder};

struct Totals {
    /// The share of requests for the nine healthy shards that succeeded.
    healthy: f64,
    /// The share of all requests that were sent and failed.
    failed: f64,
}

fn breaker(rate: f64) -> CircuitBreaker {
    CircuitBreaker::builder()
        .failure_rate(rate, SlidingWindow::count(100))
        .minimum_calls(20)
        .break_for(SECOND * 5)
        .probes(1)
        .probes_succeed_by(ProbeRule::InARow(1))
        .build()
        .unwrap()
}

async fn run<L>(layer: L) -> Totals
where
    L: tower::Layer<Upstream>,
    L::Service: Service<u64, Response = u64, Error = BoxError> + Clone,
{
    let start = clock::now();
    let (mut healthy, mut succeeded, mut failed) = (0_u32, 0_u32, 0_u32);
    let service =
        ServiceBuilder::new().layer(layer).service(Upstream { dead_from: start + SECOND * 10 });
    const REQUESTS: u64 = 130_000;
    for request in 0..REQUESTS {
        let mut handle = service.clone();
        std::future::poll_fn(|cx| handle.poll_ready(cx)).await.unwrap();
        let result = handle.call(request).await;
        failed += u32::from(result.as_ref().is_err_and(|error| error.is::<std::io::Error>()));
        if request % 10 != 0 {
            healthy += 1;
            succeeded += u32::from(result.is_ok());
        }
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    Totals {
        healthy: f64::from(succeeded) / f64::from(healthy),
        failed: f64::from(failed) / REQUESTS as f64,
    }
}

/// Shard 0 is dead from then on.
#[derive(Clone)]
struct Upstream {
    dead_from: std::time::Instant,
}

impl Service<u64> for Upstream {
    type Response = u64;
    type Error = BoxError;
    type Future = std::future::Ready<Result<u64, BoxError>>;
    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), BoxError>> {
        std::task::Poll::Ready(Ok(()))
    }
    fn call(&mut self, request: u64) -> Self::Future {
        let dead = request.is_multiple_of(10) && clock::now() >= self.dead_from;
        std::future::ready(if dead || request % 2_000 == 1_111 {
            Err(reset())
        } else {
            Ok(request)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_shard_is_its_own_outage() {
    let layer =
        CircuitBreakerLayer::per_key(breaker(0.5), KeyedLimits::default(), |request: &u64| {
            request % 10
        });
    let per_shard = run(layer).await;
    println!(
        "per shard: {:.3} % healthy, {:.3} % failed",
        per_shard.healthy * 100.0,
        per_shard.failed * 100.0
    );
    assert!(per_shard.healthy >= 0.999, "{}", per_shard.healthy);
    assert!(per_shard.failed <= 0.0015, "{}", per_shard.failed);
}

/// The comparison: one circuit for all shards either never opens, or fails all shards.
#[tokio::test(start_paused = true)]
async fn one_circuit_for_all_shards_is_no_help() {
    let blind = run(CircuitBreakerLayer::new(breaker(0.5))).await;
    assert!(blind.failed >= 0.09, "{}", blind.failed);
    let strict = run(CircuitBreakerLayer::new(breaker(0.1))).await;
    assert!(strict.healthy <= 0.5, "{}", strict.healthy);
}
