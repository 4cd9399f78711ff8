//! Maintenance and gauges of a store that was opened by its URL.

use std::time::Duration;

use resilience_core::flow::idempotency::{Fingerprint, KeyRequest};
use resilience_core::observe::Gauges;
use resilience_stores::Stores;

/// Returns the gauge of this name.
pub(crate) fn gauge(stores: &Stores, wanted: &str) -> Option<f64> {
    let mut value = None;
    stores.gauges(&mut |name, now| {
        if name == wanted {
            value = Some(now);
        }
    });
    value
}

/// Runs maintenance until a gauge has this value.
pub(crate) async fn until(stores: &Stores, name: &str, value: f64) {
    let reached = async {
        while gauge(stores, name).is_none_or(|now| (now - value).abs() > 0.5) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let upkeep = stores.clone();
    let upkeep = tokio::spawn(async move { upkeep.maintenance(Duration::from_millis(20)).await });
    let in_time = tokio::time::timeout(Duration::from_secs(60), reached).await.is_ok();
    assert!(in_time, "{name} is {:?}, not {value}", gauge(stores, name));
    upkeep.abort();
}

/// Maintenance removes a key whose time is over and keeps the other, so that this gauge shows what
/// is left.
pub(crate) async fn maintenance_by_url(url: &str, name: &str, left: f64) {
    let stores = resilience_stores::open(url).await.unwrap();
    let request = |key: &str| KeyRequest::new(key, Fingerprint::new([1; 32]));
    let short = Duration::from_millis(1);
    stores.keys.claim(request("kept")).await.unwrap().unwrap();
    stores.keys.claim(request("short").claim_for(short).ttl(short)).await.unwrap().unwrap();
    until(&stores, name, left).await;
    assert!(stores.sizes().await.unwrap().iter().any(|size| size.rows > 0));
    assert_eq!(stores.remove_expired(10).await.unwrap().total(), 0);
}
