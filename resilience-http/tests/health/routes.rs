//! The responses to probes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Method;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use resilience_core::breaker::CircuitBreaker;
use resilience_core::health::{Check, Criticality, Health, Startup};
use resilience_http::health::HealthLayer;
use serde_json::json;

use crate::{ask, check, counting, down, get, of};

#[tokio::test(start_paused = true)]
async fn liveness_runs_no_check() {
    let check = Check::critical("it", || -> std::future::Ready<Result<(), String>> {
        panic!("the check ran")
    });
    let serves = Arc::new(AtomicBool::new(false));
    let health =
        Health::builder().check(check).serving_while(move || serves.load(Ordering::Relaxed));
    let layer = HealthLayer::new(health.build().unwrap());
    assert_eq!(get(&layer, "/health").await, (200, json!({"status": "alive"})));
}

#[tokio::test(start_paused = true)]
async fn readiness_names_the_failed_checks() {
    let (_, database) = check("database", Criticality::Critical);
    let odds = CircuitBreaker::builder().build().unwrap();
    let health = Health::builder()
        .check(database)
        .check(down("cache", Criticality::Optional))
        .circuit_breaker("odds", odds.clone(), Criticality::Critical)
        .build()
        .unwrap();
    let layer = HealthLayer::new(health);
    let degraded = json!({"status": "degraded", "checks": {
        "database": {"status": "up", "critical": true, "age_ms": 0, "duration_ms": 0},
        "cache": {"status": "down", "critical": false, "error": "failed", "age_ms": 0, "duration_ms": 0},
        "odds": {"status": "up", "critical": true, "circuit": "closed"},
    }});
    assert_eq!(get(&layer, "/ready").await, (200, degraded));

    odds.force_open_for(Duration::from_millis(6_001));
    let (status, body) = get(&layer, "/ready").await;
    assert_eq!(
        (status, &body["status"], &body["reason"]),
        (503, &json!("not_ready"), &json!("dependency"))
    );
    let open = json!({"status": "down", "critical": true, "error": "circuit open", "circuit": "forced open"});
    assert_eq!(body["checks"]["odds"], open);
    let (head, _) = ask(&layer, Method::GET, "/ready").await;
    assert_eq!(head.headers()[RETRY_AFTER], "7", "rounded up");
}

/// A check that has failed once, below its threshold.
#[tokio::test(start_paused = true)]
async fn an_impaired_check_is_degraded_and_has_a_reason() {
    let (up, check) = check("cache", Criticality::Critical);
    let layer = HealthLayer::new(of([check.failures_to_down(2)]));
    assert_eq!(get(&layer, "/ready").await.1["status"], "ready");
    up.store(false, Ordering::Relaxed);
    let (status, body) = get(&layer, "/ready").await;
    assert_eq!((status, &body["status"], body.get("reason")), (200, &json!("degraded"), None));
    let cache = &body["checks"]["cache"];
    assert_eq!((&cache["status"], &cache["error"]), (&json!("impaired"), &json!("failed")));
}

#[tokio::test(start_paused = true)]
async fn a_cached_result_has_its_age_and_duration() {
    let (runs, check) = counting(Duration::from_millis(20));
    let layer = HealthLayer::new(of([check.ttl(Duration::from_secs(5))]));
    for (age, path) in [(0, "/ready"), (1_500, "/ready"), (3_000, "/startup")] {
        let (status, body) = get(&layer, path).await;
        let expected = json!({"status": "up", "critical": true, "age_ms": age, "duration_ms": 20});
        assert_eq!((status, &body["checks"]["it"]), (200, &expected));
        tokio::time::advance(Duration::from_millis(1_500)).await;
    }
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_started_service_stays_started_and_may_be_unready() {
    let (up, check) = check("database", Criticality::Critical);
    let layer = HealthLayer::new(of([check.ttl(Duration::from_secs(60))]));
    assert_eq!(get(&layer, "/startup").await.0, 200);
    up.store(false, Ordering::Relaxed);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(get(&layer, "/ready").await.0, 503);
    let (head, _) = ask(&layer, Method::GET, "/startup").await;
    assert_eq!((head.status().as_u16(), head.headers().get(RETRY_AFTER)), (200, None));
    assert_eq!(get(&layer, "/startup").await.1["status"], "degraded");
}

#[tokio::test(start_paused = true)]
async fn probe_responses_have_the_right_headers() {
    let failing = down("it", Criticality::Critical).ttl(Duration::from_secs(60));
    let layer = HealthLayer::new(of([failing]));
    for (path, status, hint) in [("/health", 200, None), ("/ready", 503, Some("60"))] {
        let (head, body) = ask(&layer, Method::GET, path).await;
        let (headed, nothing) = ask(&layer, Method::HEAD, path).await;
        assert_eq!((head.status().as_u16(), headed.status().as_u16()), (status, status));
        assert_eq!(head.headers(), headed.headers(), "{path}");
        assert_eq!(head.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(head.headers()[CONTENT_TYPE], "application/json");
        assert_eq!(head.headers()[CONTENT_LENGTH], body.len().to_string());
        assert_eq!(head.headers().get(RETRY_AFTER).map(|it| it.to_str().unwrap()), hint);
        assert!(!body.is_empty() && nothing.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn error_texts_are_shown_only_if_enabled() {
    let layer = HealthLayer::new(of([down("it", Criticality::Critical)]));
    let (_, hidden) = get(&layer, "/ready").await;
    assert!(!hidden.to_string().contains("10.0.0.7"), "{hidden}");
    for path in ["/ready", "/startup"] {
        let (_, shown) = get(&layer.clone().show_details(), path).await;
        assert_eq!(shown["checks"]["it"]["detail"], "refused by 10.0.0.7", "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn draining_is_503_without_running_checks() {
    let health = Health::builder()
        .check(Check::critical("it", std::future::pending::<Result<(), String>>))
        .serving_while(|| false);
    let layer = HealthLayer::new(health.build().unwrap());
    let began = resilience_core::clock::now();
    let (status, body) = get(&layer, "/ready").await;
    assert_eq!((status, &body["reason"]), (503, &json!("not_serving")));
    assert_eq!(resilience_core::clock::now(), began);
    assert_eq!(body["checks"]["it"]["error"], "not checked yet");
}

#[tokio::test(start_paused = true)]
async fn starting_is_reported_separately() {
    let health = Health::builder().startup(Startup::Manual).build().unwrap();
    let layer = HealthLayer::new(health.clone());
    for path in ["/startup", "/ready"] {
        let (status, body) = get(&layer, path).await;
        assert_eq!((status, &body["reason"]), (503, &json!("starting")));
    }
    health.set_started();
    for path in ["/startup", "/ready"] {
        assert_eq!(get(&layer, path).await, (200, json!({"status": "ready", "checks": {}})));
    }
}

#[tokio::test(start_paused = true)]
async fn other_methods_and_paths_are_rejected() {
    let layer = HealthLayer::new(of([]));
    for path in ["/health", "/ready", "/startup"] {
        for method in [Method::POST, Method::OPTIONS] {
            let (head, body) = ask(&layer, method, path).await;
            assert_eq!(
                (head.status().as_u16(), &head.headers()[ALLOW]),
                (405, &"GET, HEAD".parse().unwrap())
            );
            assert_eq!(body, r#"{"error":"method not allowed"}"#);
        }
    }
    for path in ["/", "/health/", "/healthy", "/Health", "/ready/now"] {
        let (head, body) = ask(&layer, Method::GET, path).await;
        assert_eq!((head.status().as_u16(), &body[..]), (404, &br#"{"error":"not found"}"#[..]));
        let (headed, nothing) = ask(&layer, Method::HEAD, path).await;
        assert_eq!((headed.status().as_u16(), headed.headers()), (404, head.headers()), "{path}");
        assert!(nothing.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn paths_can_be_changed() {
    let layer =
        HealthLayer::new(of([])).live_at("/livez").ready_at("/readyz").startup_at("/startupz");
    for (path, status) in
        [("/livez", "alive"), ("/readyz", "ready"), ("/startupz?verbose", "ready")]
    {
        let (code, body) = get(&layer, path).await;
        assert_eq!((code, &body["status"]), (200, &json!(status)), "{path}");
    }
    assert_eq!(ask(&layer, Method::GET, "/health").await.0.status(), 404);
}

/// Of equal paths: liveness before readiness before startup.
#[tokio::test(start_paused = true)]
async fn equal_paths_are_the_first_probe() {
    let (up, check) = check("it", Criticality::Critical);
    let layer = HealthLayer::new(of([check]));
    assert_eq!(get(&layer, "/startup").await.0, 200);
    up.store(false, Ordering::Relaxed);
    let all = layer.clone().live_at("/it").ready_at("/it").startup_at("/it");
    assert_eq!(get(&all, "/it").await, (200, json!({"status": "alive"})));
    let two = layer.ready_at("/it").startup_at("/it");
    assert_eq!(get(&two, "/it").await.0, 503, "not ready, and started");
}
