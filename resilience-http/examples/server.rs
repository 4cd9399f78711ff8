//! An axum server with admission control, health probes and a graceful shutdown.
//!
//! `cargo run -p resilience-http --example server --features server`, then
//! `for i in $(seq 8); do curl -si localhost:3000/quotes -H 'x-tenant: acme' | head -1; done`:
//! five requests succeed, and the others get a 429 with `Retry-After`. `/health` and `/ready` are
//! not limited.
//!
//! On SIGTERM or ctrl-c `/ready` fails, and clients have two seconds to notice. Then requests under
//! way are finished, those that take longer than the drain are cut, and a report lists the results.
//! A process that is blocked ends after 29 seconds, or at the third signal.

use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use resilience_core::health::Health;
use resilience_core::keyed::KeyedLimits;
use resilience_core::rate::Quota;
use resilience_core::shutdown::Shutdown;
use resilience_http::health::HealthLayer;
use resilience_http::serve::{bind, serve_with_shutdown};
use resilience_http::server::{AdmissionControlLayer, Uploads};

/// Returns the tenant that a request names. Requests without a name are limited together.
fn tenant(request: &Request) -> String {
    let tenant = request.headers().get("x-tenant");
    tenant.and_then(|tenant| tenant.to_str().ok()).unwrap_or("anonymous").to_owned()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let shutdown = Shutdown::builder()
        .grace(Duration::from_secs(2))
        .total(Duration::from_secs(29)) // Kubernetes kills after 30 s by default
        .exit_process_at_total() // a handler may block its thread
        .build()?
        .on_signals()?;
    let token = shutdown.token();
    let ready = token.clone();
    let health = Health::builder().serving_while(move || ready.is_ready()).build()?;
    let protect = AdmissionControlLayer::builder()
        .name("api")
        .longest(Duration::from_secs(10))
        .concurrency(200)
        .uploads(Uploads::new().at_most(64 << 10))
        .rate_per_key(Quota::per_second(5), KeyedLimits::default(), tenant)
        .build()?;
    let router = Router::new()
        .route("/quotes", get(|| async { "42\n" }))
        .layer(protect)
        // The last layer is the outermost, so probes are not limited.
        .layer(HealthLayer::new(health));
    let listener = bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    tokio::spawn(serve_with_shutdown(listener, router, token));
    let report = shutdown.run().await;
    println!("{report}");
    Ok(ExitCode::from(report.exit_code()))
}
