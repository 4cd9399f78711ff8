//! Calls with boxed errors, made inside a task. That this compiles is the test: what a task holds
//! across an `await` must be `Send` with its lifetimes forgotten, and nothing that is looked up by
//! `CarriesRejection` is (see `src/inherent.rs`).

use std::time::Duration;

use resilience_core::breaker::CircuitBreakerLayer;
use resilience_core::bulkhead::BulkheadLayer;
use resilience_core::keyed::KeyedLimits;
use resilience_core::profiles::Profiles;
use resilience_core::rate::RateLimitLayer;
use resilience_core::retry::RetryLayer;
use resilience_core::stack::Stack;
use resilience_core::timeout::{DeadlineLayer, TimeoutLayer};
use resilience_core::{AnyError, Standard};
use tower::{BoxError, Layer, ServiceBuilder, service_fn};

use crate::every::{
    Boxed, Shard, TIGHT, WIDE, breaker, budget, bulkhead, limiter, policy, shard, whole,
    whole_per_key,
};

/// Every way to make a call, over a closure and over a box.
macro_rules! spawned {
    ($layer:expr) => {
        let layer = $layer;
        spawned!(in layer, service_fn(async |n: u64| Ok::<_, BoxError>(n)));
        spawned!(in layer, Boxed::new(service_fn(async |n: u64| Ok::<_, BoxError>(n))));
    };
    (in $layer:expr, $inner:expr) => {
        let service = $layer.layer($inner);
        let (once, mut again, mut trait_too) = (service.clone(), service.clone(), service);
        let calls = [
            tokio::spawn(async move { once.oneshot(1).await }),
            tokio::spawn(async move { again.ready().await?.call(1).await }),
            tokio::spawn(async move {
                tower::ServiceExt::ready(&mut trait_too).await?;
                tower::Service::call(&mut trait_too, 1).await
            }),
        ];
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap(), 1);
        }
    };
}

#[tokio::test(start_paused = true)]
async fn every_layer() {
    let (keys, each) = (KeyedLimits::default(), shard as Shard);
    spawned!(TimeoutLayer::new(Duration::from_secs(1)).unwrap());
    spawned!(DeadlineLayer::new(Duration::from_secs(1)).unwrap());
    spawned!(RetryLayer::new(policy(&budget())));
    spawned!(RetryLayer::new(policy(&budget())).budget_per_key(&budget(), keys, each));
    spawned!(CircuitBreakerLayer::new(breaker(WIDE)));
    spawned!(CircuitBreakerLayer::per_key(breaker(WIDE), keys, each).classifier(AnyError));
    spawned!(BulkheadLayer::new(bulkhead(TIGHT)));
    spawned!(BulkheadLayer::per_key(bulkhead(TIGHT), keys, each));
    spawned!(RateLimitLayer::new(limiter(TIGHT)));
    spawned!(RateLimitLayer::per_key(limiter(TIGHT), keys, each).classifier(Standard));
}

#[tokio::test(start_paused = true)]
async fn layers_on_layers() {
    spawned!(
        ServiceBuilder::new()
            .layer(DeadlineLayer::new(Duration::from_secs(1)).unwrap())
            .layer(BulkheadLayer::new(bulkhead(TIGHT)))
            .layer(RetryLayer::new(policy(&budget())))
            .layer(RateLimitLayer::new(limiter(TIGHT)))
            .layer(CircuitBreakerLayer::new(breaker(WIDE)))
            .layer(TimeoutLayer::new(Duration::from_secs(1)).unwrap())
            .into_inner()
    );
}

#[tokio::test(start_paused = true)]
async fn stacks_and_profiles() {
    spawned!(Stack::standard("upstream").build().unwrap());
    spawned!(whole(&budget(), TIGHT).build().unwrap());
    spawned!(whole_per_key(&budget(), TIGHT).build().unwrap());
    let profiles = Profiles::standard().unwrap();
    spawned!(profiles.profile("scraper.odds").unwrap().layer());
}
