//! What probes are answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Method;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use resilience_core::breaker::CircuitBreaker;
use resilience_core::health::{Check, Criticality, Health, Startup};
use resilience_http::health::HealthLayer;
use serde_json::json;

use crate::{ask, check, down, get, of};

#[tokio::test(start_paused = true)]
async fn liveness_touches_nothing() {
    let check = Check::critical("it", || -> std::future::Ready<Result<(), String>> {
        panic!("it was asked")
    });
    let serves = Arc::new(AtomicBool::new(false));
    let health = Health::builder().check(check).serving(move || serves.load(Ordering::Relaxed));
    let layer = HealthLayer::new(health.build().unwrap());
    assert_eq!(get(&layer, "/health").await, (200, json!({"status": "alive"})));
}

#[tokio::test(start_paused = true)]
async fn readiness_names_what_is_wrong() {
    let (_, database) = check("database", Criticality::Critical);
    let odds = CircuitBreaker::builder().build().unwrap();
    let health = Health::builder()
        .check(database)
        .check(down("cache", Criticality::Optional))
        .breaker("odds", odds.clone(), Criticality::Critical)
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

#[tokio::test(start_paused = true)]
async fn heads_are_as_they_must_be() {
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
async fn what_errors_said_is_shown_if_asked_for() {
    let layer = HealthLayer::new(of([down("it", Criticality::Critical)]));
    let (_, hidden) = get(&layer, "/ready").await;
    assert!(!hidden.to_string().contains("10.0.0.7"), "{hidden}");
    let (_, shown) = get(&layer.show_details(), "/ready").await;
    assert_eq!(shown["checks"]["it"]["detail"], "refused by 10.0.0.7");
}

#[tokio::test(start_paused = true)]
async fn draining_is_503_before_anything_is_checked() {
    let health = Health::builder()
        .check(Check::critical("it", std::future::pending::<Result<(), String>>))
        .serving(|| false);
    let layer = HealthLayer::new(health.build().unwrap());
    let began = resilience_core::clock::now();
    let (status, body) = get(&layer, "/ready").await;
    assert_eq!((status, &body["reason"]), (503, &json!("not_serving")));
    assert_eq!(resilience_core::clock::now(), began);
    assert_eq!(body["checks"]["it"]["error"], "not checked yet");
}

#[tokio::test(start_paused = true)]
async fn starting_is_a_question_of_its_own() {
    let health = Health::builder().startup(Startup::Told).build().unwrap();
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
async fn other_methods_and_other_paths_are_refused() {
    let layer = HealthLayer::new(of([]));
    for path in ["/health", "/ready", "/startup"] {
        let (head, _) = ask(&layer, Method::POST, path).await;
        assert_eq!(
            (head.status().as_u16(), &head.headers()[ALLOW]),
            (405, &"GET, HEAD".parse().unwrap())
        );
    }
    for path in ["/", "/health/", "/healthy", "/Health", "/ready/now"] {
        assert_eq!(ask(&layer, Method::GET, path).await.0.status(), 404, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn paths_are_where_they_are_put() {
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
