//! Latency of probes while eight dependencies hang, and the number of checks that probes share.
//!
//! `cargo run --release -p resilience-http --features layers,reqwest --example probes`

use std::error::Error;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use reqwest::Client;
use resilience_core::clock;
use resilience_core::health::{Check, Health};
use resilience_http::health::HealthLayer;

const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

type Failed = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failed> {
    let client = Client::builder().no_proxy().build()?;
    measure_liveness(&client).await?;
    count_checks(&client).await
}

async fn serve(checks: impl IntoIterator<Item = Check>) -> Result<String, Failed> {
    let builder = checks.into_iter().fold(Health::builder(), |builder, check| builder.check(check));
    let app = Router::new().layer(HealthLayer::new(builder.build()?));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(base)
}

/// Times 2,000 liveness probes, one after the other, while 20 readiness probes wait.
async fn measure_liveness(client: &Client) -> Result<(), Failed> {
    let hour = Duration::from_secs(3_600);
    let blocked = |name| Check::critical(name, pending::<Result<(), String>>).timeout(hour);
    let base = serve(NAMES.map(blocked)).await?;
    for _ in 0..20 {
        tokio::spawn(client.get(format!("{base}/ready")).send());
    }
    let mut took = Vec::with_capacity(2_000);
    for _ in 0..2_000 {
        let began = clock::now();
        client.get(format!("{base}/health")).send().await?.error_for_status()?;
        took.push(clock::now() - began);
    }
    took.sort();
    let quantile = |thousandths: usize| took[(took.len() - 1) * thousandths / 1_000];
    let p50 = quantile(500);
    let p99 = quantile(990);
    let most = quantile(1_000);
    println!("/health, 8 checks blocked: p50 {p50:?}, p99 {p99:?}, max {most:?}");
    Ok(())
}

/// Counts the checks that 500 readiness probes within a second run.
async fn count_checks(client: &Client) -> Result<(), Failed> {
    let runs = Arc::new(AtomicUsize::new(0));
    let check = |name| {
        let runs = runs.clone();
        Check::critical(name, move || {
            runs.fetch_add(1, Ordering::Relaxed);
            async { Ok::<_, String>(()) }
        })
    };
    let base = serve(NAMES.map(|name| check(name).ttl(Duration::from_secs(1)))).await?;
    let began = clock::now();
    let mut probes = tokio::task::JoinSet::new();
    for probe in 0..500 {
        let send = client.get(format!("{base}/ready")).send();
        probes.spawn(async move {
            tokio::time::sleep(Duration::from_millis(2) * probe).await;
            send.await?.error_for_status()
        });
    }
    for response in probes.join_all().await {
        response?;
    }
    let took = clock::now() - began;
    let runs = runs.load(Ordering::Relaxed);
    println!("/ready, 500 probes in {took:?}: {runs} runs of {} checks", NAMES.len());
    Ok(())
}
