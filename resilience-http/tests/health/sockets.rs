//! Health routes over real sockets.

use std::future::pending;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use resilience_core::health::{Check, Criticality, Health};
use resilience_http::health::HealthLayer;

use crate::{counting, of};

async fn serve(health: Health) -> String {
    let app = Router::new().layer(HealthLayer::new(health));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    base
}

/// Eight checks that never return: all readiness probes wait for them, and no liveness probe does.
#[tokio::test]
async fn liveness_does_not_wait_for_eight_blocked_checks() {
    const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let checks = NAMES.map(|name| {
        let check = Check::new(name, Criticality::Critical, pending::<Result<(), String>>);
        check.timeout(Duration::from_secs(3_600))
    });
    let base = serve(of(checks)).await;
    let client = reqwest::Client::new();
    let waiting: Vec<_> =
        (0..20).map(|_| tokio::spawn(client.get(format!("{base}/ready")).send())).collect();
    for _ in 0..500 {
        let response = client.get(format!("{base}/health")).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.text().await.unwrap(), r#"{"status":"alive"}"#);
    }
    for ready in waiting {
        assert!(!ready.is_finished());
        ready.abort();
    }
}

#[tokio::test]
async fn five_hundred_probes_share_one_run() {
    let (runs, check) = counting(Duration::ZERO);
    let base = serve(of([check.ttl(Duration::from_secs(3_600))])).await;
    let client = reqwest::Client::new();
    let mut probes = tokio::task::JoinSet::new();
    for _ in 0..500 {
        probes.spawn(client.get(format!("{base}/ready")).send());
    }
    let responses = probes.join_all().await;
    assert!(responses.into_iter().all(|response| response.unwrap().status() == 200));
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}
