//! One fault in a service that is otherwise good: it is found and named.

use std::time::Duration;

use resilience_http::smoke::{MAX_BODY, Smoke, SmokeCheck, SmokeFault, SmokeReport};
use serde_json::json;

use crate::{Reply, only_fault, serve, smoke};

const LIMIT: Duration = Duration::from_millis(300);

/// Runs a good check, this one, and another good one.
async fn run(bad: Reply, check: SmokeCheck) -> SmokeReport {
    let base = serve(bad).await;
    let suite = smoke(&base).check(SmokeCheck::ready("/ready")).check(check.named("the bad one"));
    let report = suite.check(SmokeCheck::startup("/startup")).build().unwrap().run().await;
    assert_eq!(report.results.len(), 3, "all checks run");
    report
}

fn bad() -> SmokeCheck {
    SmokeCheck::get("/bad")
}

#[tokio::test]
async fn a_closed_port_is_unreachable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let report = smoke(&base).check(SmokeCheck::health("/health")).build().unwrap().run().await;
    let fault = only_fault(&report, "health");
    assert!(matches!(fault, SmokeFault::Unreachable { .. }), "{fault}");
    assert!(fault.to_string().contains("refused"), "{fault}");
}

#[tokio::test]
async fn no_response_is_too_slow() {
    let reply = Reply { parts: vec![], hangs: true };
    let report = run(reply, bad().within(LIMIT)).await;
    let fault = only_fault(&report, "the bad one");
    assert!(matches!(fault, SmokeFault::TooSlow { limit: LIMIT, .. }), "{fault}");
    assert_eq!(fault.to_string(), "no whole response within 300ms");
    let [took, others @ ..] = [1, 0, 2].map(|index| report.results[index].took);
    assert!(took >= LIMIT && others.iter().all(|it| !it.is_zero()), "{report}");
}

/// A check without its own time limit.
#[tokio::test]
async fn no_response_within_the_timeout_of_the_suite_is_too_slow() {
    let base = serve(Reply { parts: vec![], hangs: true }).await;
    let suite = smoke(&base).timeout(LIMIT).check(bad());
    let report = suite.build().unwrap().run().await;
    let fault = only_fault(&report, "/bad");
    assert!(matches!(fault, SmokeFault::TooSlow { limit: LIMIT, .. }), "{fault}");
}

/// A head in time is not a complete response in time.
#[tokio::test]
async fn a_response_that_does_not_end_is_too_slow() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n".to_owned();
    let reply = Reply { parts: vec![head, "beginning".to_owned()], hangs: true };
    let report = run(reply, bad().within(LIMIT)).await;
    let fault = only_fault(&report, "the bad one");
    assert!(matches!(fault, SmokeFault::TooSlow { limit: LIMIT, .. }), "{fault}");
}

#[tokio::test]
async fn a_response_that_breaks_off_is_unreachable() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n".to_owned();
    let reply = Reply { parts: vec![head, "beginning".to_owned()], hangs: false };
    let report = run(reply, bad()).await;
    let fault = only_fault(&report, "the bad one");
    assert!(matches!(fault, SmokeFault::Unreachable { .. }), "{fault}");
}

#[tokio::test]
async fn another_status_is_a_fault() {
    for found in [204, 301, 404, 500] {
        let report = run(Reply::new(found, ""), bad()).await;
        let fault = only_fault(&report, "the bad one");
        assert_eq!(fault.to_string(), format!("status {found}, expected 200"));
    }
    let report = run(Reply::new(404, ""), bad().status(404)).await;
    assert!(report.passed(), "{report}");
}

/// With the default client: the target of the redirect is good, and is not requested.
#[tokio::test]
async fn a_redirect_is_a_fault() {
    for status in [301, 302, 303, 307, 308] {
        let head = format!("HTTP/1.1 {status} x\r\nlocation: /ready\r\ncontent-length: 0\r\n\r\n");
        let base = serve(Reply { parts: vec![head], hangs: false }).await;
        let suite = Smoke::of(&base).check(bad().named("the bad one"));
        let report = suite.build().unwrap().run().await;
        let fault = only_fault(&report, "the bad one");
        assert_eq!(fault.to_string(), format!("status {status}, expected 200"));
        // A client that was given is used unchanged.
        let follows = reqwest::Client::builder().no_proxy().build().unwrap();
        let suite = Smoke::of(&base).client(follows).check(bad());
        assert!(suite.build().unwrap().run().await.passed());
    }
}

#[tokio::test]
async fn the_dependency_that_is_down_is_quoted() {
    let body = json!({"status": "not_ready", "reason": "dependency", "checks": {
        "cache": {"status": "impaired", "critical": false},
        "fine": {"status": "up", "critical": true},
        "warehouse": {"status": "down", "critical": true, "error": "timed out (limit 500 ms)"},
    }});
    let report = run(Reply::new(503, &body.to_string()), bad()).await;
    assert_eq!(
        only_fault(&report, "the bad one").to_string(),
        "status 503, expected 200: warehouse is down (timed out (limit 500 ms)), cache is impaired"
    );
    for body in [
        json!({"status": "not_ready", "reason": "not_serving", "checks": {}}),
        json!({"status": "not_ready", "reason": "not_serving"}),
    ] {
        let report = run(Reply::new(503, &body.to_string()), bad()).await;
        let fault = only_fault(&report, "the bad one").to_string();
        assert_eq!(fault, "status 503, expected 200: not serving");
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_is_a_fault() {
    for body in ["", "<html>", "{\"points\":", "\u{0}"] {
        let report = run(Reply::new(200, body), bad().has("/points")).await;
        assert_eq!(only_fault(&report, "the bad one"), &SmokeFault::NotJson, "{body}");
        // Without an expected value the body is not parsed.
        assert!(run(Reply::new(200, body), bad()).await.passed());
    }
}

#[tokio::test]
async fn a_body_above_the_limit_is_a_fault() {
    let report = run(Reply::new(200, &" ".repeat(MAX_BODY + 1)), bad()).await;
    assert_eq!(only_fault(&report, "the bad one"), &SmokeFault::TooLarge);
    assert!(run(Reply::new(200, &" ".repeat(MAX_BODY)), bad()).await.passed());
}

#[tokio::test]
async fn another_value_is_a_fault() {
    let body = json!({"player": 1, "points": [21.5], "note": null, "long": "x".repeat(500)});
    let reply = Reply::new(200, &body.to_string());
    let good = bad().json("/player", 1).json("/points/0", 21.5).has("/note").has("");
    assert!(run(reply.clone(), good).await.passed());
    let cases = [
        (bad().json("/player", 2), "`/player` is 1, expected 2"),
        (bad().json("/player", "1"), "`/player` is 1, expected \"1\""),
        (bad().one_of("/points/0", [20, 21]), "`/points/0` is 21.5, expected 20 or 21"),
        (bad().json("/points/1", 3), "`/points/1` is missing, expected 3"),
        (bad().has("/name"), "`/name` is missing"),
    ];
    for (check, expected) in cases {
        let report = run(reply.clone(), check).await;
        assert_eq!(only_fault(&report, "the bad one").to_string(), expected);
    }
    let report = run(reply, bad().json("/long", "y")).await;
    let text = only_fault(&report, "the bad one").to_string();
    assert!(text.len() < 150 && text.contains('…'), "{text}");
}
