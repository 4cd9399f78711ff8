//! Compares outputs that the book shows, and that no code of their page prints, with the code.
//!
//! Where the page has the code, a hidden line compares the two (`docs/src/stack.md`).

#![cfg(all(feature = "client", feature = "reqwest", feature = "server", feature = "tls"))]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::routing::get;
use axum::{Json, Router};
use http::Response;
use rcgen::{CertificateParams, KeyPair};
use resilience_core::breaker::CircuitBreaker;
use resilience_core::health::{Check, Criticality, Health, Readiness};
use resilience_core::keyed::KeyedLimits;
use resilience_core::profiles::{Profile, Profiles};
use resilience_core::rate::Quota;
use resilience_http::client::ResilientClient;
use resilience_http::health::HealthLayer;
use resilience_http::server::{AdmissionControlLayer, Uploads};
use resilience_http::smoke::Smoke;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::{Layer, Service};

/// Returns the text of a page.
fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// Returns the only block of this language on a page.
fn shown(name: &str, language: &str) -> String {
    let page = page(name);
    let blocks: Vec<&str> = page.split(&format!("```{language}\n")).skip(1).collect();
    assert_eq!(blocks.len(), 1, "blocks of `{language}` in {name}");
    blocks[0].split("\n```").next().unwrap().to_owned()
}

/// Every block of output is compared with the code that prints it: here, or in the code of its
/// page.
#[test]
fn every_output_of_the_book_is_a_test() {
    // Compared by the tests below.
    let here = ["health.md", "http-client.md", "http-server.md"];
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src");
    for entry in std::fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".md") || here.contains(&&*name) {
            continue;
        }
        let page = page(&name);
        let shows = page.contains("```text\n") || page.contains("```json\n");
        let compares = page.contains(&format!("/docs/src/{name}\"));"));
        // Shown by a test that ends its process.
        assert!(compares || !shows || name == "shutdown.md", "{name} shows what no test compares");
    }
}

async fn ask(service: &mut Router, path: &str) -> Response<Body> {
    let Ok(response) = service.call(Request::get(path).body(Body::empty()).unwrap()).await;
    response
}

fn tenant(_: &Request) -> String {
    "one".to_owned()
}

#[tokio::test(start_paused = true)]
async fn the_rejection_of_a_server_is_as_shown() {
    let shown = shown("http-server.md", "text");
    let (head, body) = shown.split_once("\n\n").unwrap();
    let protect = AdmissionControlLayer::builder()
        .name("api")
        .longest(Duration::from_secs(10))
        .concurrency(200)
        .uploads(Uploads::new().at_most(64 << 10).stall(Duration::from_secs(10)))
        .rate_per_key(Quota::per_second(50), KeyedLimits::default(), tenant)
        .build()
        .unwrap();
    let router = Router::new().route("/quotes", get(|| async { "quotes" }));
    let mut service = Router::new().fallback_service(protect.layer(router));
    for _ in 0..50 {
        assert_eq!(ask(&mut service, "/quotes").await.status(), 200);
    }
    let (response, content) = ask(&mut service, "/quotes").await.into_parts();
    let status = format!("HTTP/1.1 {}", response.status);
    let fields = response.headers.iter().filter(|(name, _)| *name != http::header::CONTENT_LENGTH);
    let fields = fields.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
    let lines: BTreeSet<String> = [status].into_iter().chain(fields).collect();
    assert_eq!(head.lines().map(str::to_owned).collect::<BTreeSet<_>>(), lines);
    let content = to_bytes(content, 1 << 16).await.unwrap();
    let content: Value = serde_json::from_slice(&content).unwrap();
    assert_eq!(serde_json::from_str::<Value>(body).unwrap(), content, "{content}");
}

/// The circuit and the check of the page: `odds` is closed, and the warehouse is too slow after
/// this number of good runs.
fn health(good: usize) -> Health {
    let odds = CircuitBreaker::builder().build().unwrap();
    let runs = Arc::new(AtomicUsize::new(0));
    let warehouse = Check::critical("warehouse", move || {
        let is_good = runs.fetch_add(1, Ordering::Relaxed) < good;
        async move { if is_good { Ok::<_, String>(()) } else { std::future::pending().await } }
    });
    let warehouse = warehouse.timeout(Duration::from_millis(300));
    // A good result is not cached.
    let warehouse = if good > 0 { warehouse.ttl(Duration::ZERO) } else { warehouse };
    let health = Health::builder().circuit_breaker("odds", odds, Criticality::Optional);
    health.check(warehouse).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_readiness_response_is_as_shown() {
    let mut service = Router::new().fallback_service(HealthLayer::new(health(0)).into_service());
    ask(&mut service, "/ready").await;
    tokio::time::sleep(Duration::from_millis(120)).await;
    let body = to_bytes(ask(&mut service, "/ready").await.into_body(), 1 << 16).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let shown: Value = serde_json::from_str(&shown("health.md", "json")).unwrap();
    assert_eq!(shown, body, "{body}");
}

/// Replaces the durations of a report, so that two runs compare equal.
fn timeless(report: &str) -> String {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let line = |line: &str| {
        let mut words = words(line);
        if let Some(unit) = words.iter().position(|word| word == "ms").filter(|&at| at > 0) {
            words[unit - 1] = "0".to_owned();
        }
        words.join(" ")
    };
    report.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn the_smoke_report_is_as_shown() {
    let shown = shown("health.md", "text");
    let (command, report) = shown.split_once('\n').unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // The service has started.
    let health = health(1);
    assert_eq!(health.ready().await.readiness, Readiness::Ready);
    let router = Router::new()
        .route("/predictions/1", get(|| async { Json(json!({"points": 21})) }))
        .layer(HealthLayer::new(health.clone()));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let arguments = command.split_once(" -- ").unwrap().1.replace("127.0.0.1:8080", &address);
    let suite = Smoke::from_args(arguments.split(' ').map(str::to_owned)).unwrap();
    let printed = suite.run().await.to_string().replace(&address, "127.0.0.1:8080");
    assert_eq!(timeless(report), timeless(&printed));
}

fn profile() -> Profile {
    let text = "[api]\ndeadline = \"20s\"";
    Profiles::from_toml(text).unwrap().profile("api").unwrap()
}

/// Creates a file with this content and name.
fn file(name: &str, content: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn certificate() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[test]
fn the_errors_of_tls_files_are_as_shown() {
    let ((good, _), (own, _), (_, other)) = (certificate(), certificate(), certificate());
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let missing = Path::new("/nonexistent/internal-ca.pem");
    let damaged = file("internal-ca.pem", &format!("{good}{junk}"));
    let certificate = file("us.pem", &own);
    let key = file("us.key", &other);
    let client = || ResilientClient::builder(&profile());
    let errors = [
        client().root_certificate(missing).build().map(drop).unwrap_err(),
        client().root_certificate(damaged).build().map(drop).unwrap_err(),
        client().identity(certificate, key).build().map(drop).unwrap_err(),
    ];
    let printed = errors.map(|error| error.to_string()).join("\n");
    let printed = printed.replace("/nonexistent/", "/etc/pki/");
    let printed = printed.replace(&format!("{}/", env!("CARGO_TARGET_TMPDIR")), "/etc/pki/");
    assert_eq!(shown("http-client.md", "text"), printed);
}
