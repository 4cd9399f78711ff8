//! An axum server that takes on what it can do, and says so to the rest.
//!
//! `cargo run -p resilience-http --example server --features layers`, then
//! `for i in $(seq 8); do curl -si localhost:3000/quotes -H 'x-tenant: acme' | head -1; done`:
//! five are answered, and the others are told when to come back. `/healthz` is not limited.

use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use resilience_core::keyed::KeyedLimits;
use resilience_core::rate::Quota;
use resilience_http::server::ProtectLayer;
use tokio::net::TcpListener;

/// Who is limited: a tenant says who it is, and all that do not are one.
fn tenant(request: &Request) -> String {
    let tenant = request.headers().get("x-tenant");
    tenant.and_then(|tenant| tenant.to_str().ok()).unwrap_or("anonymous").to_owned()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let protect = ProtectLayer::builder()
        .name("api")
        .longest(Duration::from_secs(10))
        .concurrency(200)
        .rate_per_key(Quota::per_second(5), KeyedLimits::default(), tenant)
        .build()?;
    let router = Router::new()
        .route("/quotes", get(|| async { "42\n" }))
        .layer(protect)
        // After the layer, and so outside of it: whoever asks whether the server is alive must not be refused.
        .route("/healthz", get(|| async { "alive\n" }));
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, router).await?;
    Ok(())
}
