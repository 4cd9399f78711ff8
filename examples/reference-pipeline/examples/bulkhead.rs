//! A bulkhead for each host: one host hangs, and calls to the other are not delayed:
//! `cargo run -p reference-pipeline --example bulkhead`.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::{StreamExt, stream::FuturesUnordered};
use resilience_core::bulkhead::{Bulkhead, BulkheadLayer};
use resilience_core::keyed::KeyedLimits;
use resilience_core::{Error, clock};
use tower::{ServiceBuilder, service_fn};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let two = Bulkhead::builder()
        .name("quotes")
        .max_concurrent(2)
        .wait_at_most(Duration::from_millis(100))
        .build()?;
    let service = ServiceBuilder::new()
        .layer(BulkheadLayer::per_key(two, KeyedLimits::default(), |host: &&'static str| *host))
        .map_err(Error::<Infallible>::Service)
        .service(service_fn(async |host: &'static str| {
            let millis = if host == "slow.example" { 500 } else { 20 };
            tokio::time::sleep(Duration::from_millis(millis)).await;
            Ok(host)
        }));

    let started = clock::now();
    let hosts = ["slow.example", "fast.example"].repeat(4);
    let calls = hosts.into_iter().map(|host| service.clone().oneshot(host));
    let mut calls: FuturesUnordered<_> = calls.collect();
    while let Some(ended) = calls.next().await {
        let millis = clock::now().saturating_duration_since(started).as_millis();
        match ended {
            Ok(host) => println!("{millis:>3} ms  {host} responded"),
            Err(rejected) => println!("{millis:>3} ms  {rejected}"),
        }
    }
    Ok(())
}
