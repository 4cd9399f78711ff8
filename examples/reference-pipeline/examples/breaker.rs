//! A circuit breaker for each host: one host fails, and calls to the other go on:
//! `cargo run -p reference-pipeline --example breaker`.

use std::io;
use std::time::Duration;

use resilience_core::breaker::{CircuitBreaker, CircuitBreakerLayer};
use resilience_core::keyed::KeyedLimits;
use resilience_core::{AnyError, Error};
use tower::{ServiceBuilder, service_fn};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let breaker = CircuitBreaker::builder()
        .name("quotes")
        .consecutive_failures(3)
        .break_for(Duration::from_secs(1))
        .build()?;
    let per_host = CircuitBreakerLayer::per_key(breaker, KeyedLimits::default(), |host: &_| *host);
    let service = ServiceBuilder::new()
        .layer(per_host.classifier(AnyError))
        .map_err(Error::Service)
        .service(service_fn(async |host: &'static str| match host {
            "a.example" => Err(io::Error::from(io::ErrorKind::ConnectionRefused)),
            _ => Ok("a quote"),
        }));

    for host in ["a.example", "a.example", "a.example", "a.example", "b.example"] {
        match service.clone().oneshot(host).await {
            Ok(response) => println!("{host}: {response}"),
            Err(Error::Service(error)) => println!("{host}: {error}"),
            Err(Error::Rejected(why)) => println!("{host}: not called: {why}"),
        }
    }
    Ok(())
}
