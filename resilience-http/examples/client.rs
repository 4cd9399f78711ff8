//! reqwest under a profile, with a server that fails twice.
//!
//! `cargo run -p resilience-http --features client,reqwest --example client`

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::any;
use resilience_core::profiles::Profiles;
use resilience_http::client::{ConnectionLimits, ResilientClient};
use tokio::net::TcpListener;

const PROFILES: &str = r#"
[odds]
deadline = "10s"
bulkhead = { max_concurrent = 8, wait_at_most = "2s", max_queued = 50 }
retry = { max_attempts = 4, backoff = { base = "50ms", cap = "1s" }, budget = { ratio = "10%", reserve = 10 } }
circuit_breaker = { consecutive_failures = 10, break_for = "30s" }
attempt_timeout = "2s"
"#;

/// Starts a server that returns 503 for two requests of each method, and 200 afterwards.
async fn server() -> std::io::Result<String> {
    let requests = Arc::new(AtomicU32::new(0));
    let response = move || async move {
        let busy = requests.fetch_add(1, Ordering::Relaxed) < 2;
        (if busy { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }, "2.35")
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let routes = Router::new().route("/", any(response));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(format!("http://{address}/"))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let profile = Profiles::from_toml(PROFILES)?.profile("odds")?;
    let client = ResilientClient::builder(&profile)
        .connections(ConnectionLimits::default().per_authority(8))
        .build()?;

    let response = client.get(server().await?).await?;
    println!("GET:  {} after two 503s", response.status());

    let post = client.request(reqwest::Method::POST, server().await?).body("bet");
    let response = client.send(post).await?;
    println!("POST: {}, sent once: it may have run", response.status());
    println!("known: {} authorities", client.layer().authorities().keys);
    Ok(())
}
