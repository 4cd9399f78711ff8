//! Eight calls at once to an API that allows bursts of three and ten calls a second:
//! `cargo run -p reference-pipeline --example rate_limit`.

use std::convert::Infallible;

use futures_util::{StreamExt, stream::FuturesUnordered};
use resilience_core::rate::{Quota, RateLimitLayer, RateLimiter};
use resilience_core::{Error, clock};
use tower::{ServiceBuilder, service_fn};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let limiter = RateLimiter::builder()
        .name("odds")
        .quota(Quota::per_second(10)?.with_burst(3)?)
        .wait()
        .max_queued(4)
        .build()?;
    let service = ServiceBuilder::new()
        .layer(RateLimitLayer::new(limiter))
        .map_err(Error::<Infallible>::Service)
        .service(service_fn(async |board: u32| Ok(board)));

    let started = clock::now();
    let mut calls: FuturesUnordered<_> =
        (1..=8).map(|board| service.clone().oneshot(board)).collect();
    while let Some(ended) = calls.next().await {
        let millis = clock::now().saturating_duration_since(started).as_millis();
        match ended {
            Ok(board) => println!("{millis:>3} ms  board {board}"),
            Err(rejected) => println!("{millis:>3} ms  {rejected}"),
        }
    }
    Ok(())
}
