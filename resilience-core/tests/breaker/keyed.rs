//! A circuit for each of many keys.

use std::sync::Arc;

use parking_lot::Mutex;
use resilience_core::breaker::CircuitBreakerLayer;
use resilience_core::keyed::KeyedLimits;
use resilience_core::{AnyError, CarriesRejection, clock};
use tower::{BoxError, ServiceBuilder, service_fn};

use crate::{SECOND, builder, reset};

const DEAD: u64 = u64::MAX;

/// Neither a flood of other keys nor the time after which an idle one is let go closes a circuit
/// that is open. Its break ends when it was to end.
#[tokio::test(start_paused = true)]
async fn an_open_circuit_outlives_a_flood_and_its_idle_time() {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let sink = sent.clone();
    let limits = KeyedLimits::new(64, 1 << 20, SECOND).unwrap();
    let breaker = builder().break_for(SECOND * 60).build().unwrap();
    let layer = CircuitBreakerLayer::per_key(breaker, limits, |key: &u64| *key);
    let service = ServiceBuilder::new().layer(layer.classifier(AnyError)).service(service_fn(
        move |key: u64| {
            if key == DEAD {
                sink.lock().push(clock::now());
            }
            std::future::ready(if key == DEAD { Err::<u64, BoxError>(reset()) } else { Ok(key) })
        },
    ));
    for _ in 0..2 {
        service.clone().oneshot(DEAD).await.unwrap_err();
    }
    let opened = clock::now();
    for second in 0..59 {
        for key in 0..200 {
            service.clone().oneshot(second * 200 + key).await.unwrap();
        }
        let refused = service.clone().oneshot(DEAD).await.unwrap_err();
        let refused = refused.rejection().unwrap();
        assert_eq!(refused.retry_after(), Some(SECOND * 60 - (clock::now() - opened)));
        // Nobody asks for it in between, for twenty times as long as an idle key is kept.
        if second == 20 {
            tokio::time::advance(SECOND * 20).await;
        }
        tokio::time::advance(SECOND / 2).await;
    }
    while clock::now() < opened + SECOND * 60 {
        service.clone().oneshot(DEAD).await.unwrap_err();
        tokio::time::advance(SECOND / 2).await;
    }
    assert_eq!(sent.lock().len(), 2);
    service.clone().oneshot(DEAD).await.unwrap_err();
    assert_eq!(sent.lock().len(), 3, "a probe");
    assert!(service.oneshot(DEAD).await.unwrap_err().rejection().is_some());
}
