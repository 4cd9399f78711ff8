//! Smoke tests of the health routes of a real service.

use std::time::Duration;

use axum::routing::get;
use axum::{Json, Router};
use resilience_core::health::{Check, Criticality, Health};
use resilience_http::health::HealthLayer;
use resilience_http::smoke::{SmokeCheck, SmokeFault, SmokeReport};
use serde_json::json;

use crate::{only_fault, smoke};

/// Starts the service, and returns its URL.
async fn serve(health: Health) -> String {
    let app = Router::new()
        .route("/predictions/1", get(async || Json(json!({"player": 1, "points": 21.5}))))
        .layer(HealthLayer::new(health));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    base
}

async fn test(health: Health) -> SmokeReport {
    let base = serve(health).await;
    let prediction = SmokeCheck::get("/predictions/1").named("one prediction").has("/points");
    // With a trailing slash, as people write it.
    smoke(&format!("{base}/")).probes().check(prediction).build().unwrap().run().await
}

fn health(name: &'static str, criticality: Criticality, up: bool) -> Health {
    let check = Check::new(name, criticality, move || async move {
        if up { Ok(()) } else { Err("refused by 10.0.0.7") }
    });
    Health::builder().check(check).build().unwrap()
}

#[tokio::test]
async fn a_good_service_passes() {
    let report = test(health("database", Criticality::Critical, true)).await;
    assert!(report.passed(), "{report}");
    let text = report.to_string();
    assert!(text.ends_with("passed: all of 4"), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("  ok  ")).count(), 4, "{text}");
}

#[tokio::test]
async fn a_degraded_service_passes() {
    let report = test(health("cache", Criticality::Optional, false)).await;
    assert!(report.passed(), "{report}");
}

#[tokio::test]
async fn a_missing_critical_dependency_is_named() {
    let report = test(health("database", Criticality::Critical, false)).await;
    let failed: Vec<_> = report.failed().map(|result| result.name.as_str()).collect();
    assert_eq!(failed, ["startup", "ready"], "{report}");
    let text = report.to_string();
    assert!(text.contains("database is down (failed)"), "{text}");
    assert!(text.ends_with("failed: 2 of 4: startup, ready"), "{text}");
}

#[tokio::test]
async fn a_hanging_service_is_too_slow() {
    let check = Check::critical("database", std::future::pending::<Result<(), String>>);
    let health = Health::builder().check(check.timeout(Duration::from_secs(3_600)));
    let health = health.build().unwrap();
    health.set_started();
    let base = serve(health).await;
    let limit = Duration::from_millis(300);
    let suite = smoke(&base)
        .check(SmokeCheck::health("/health"))
        .check(SmokeCheck::ready("/ready").within(limit))
        .check(SmokeCheck::startup("/startup"));
    let report = suite.build().unwrap().run().await;
    let fault = only_fault(&report, "ready");
    assert!(matches!(fault, SmokeFault::TooSlow { .. }), "{report}");
}
