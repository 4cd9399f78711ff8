//! A tonic client whose channel is below a stack, against gRPC's health service in this process.
//!
//! `cargo run -p resilience-http --features client,grpc --example tonic_client`

use std::time::Duration;

use resilience_core::Error;
use resilience_core::breaker::CircuitBreaker;
use resilience_core::bulkhead::Bulkhead;
use resilience_core::retry::{RetryPolicy, retry};
use resilience_core::stack::Stack;
use resilience_http::classify::{GrpcClassifier, TransportError, to_status};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::{ServiceBuilder, ServiceExt as _};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (_reporter, health) = tonic_health::server::health_reporter();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = Server::builder().add_service(health);
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));

    // A gRPC body is a stream: the stack sends it once, and classifies it by its `grpc-status`.
    let stack = Stack::builder()
        .name("health")
        .classifier(GrpcClassifier)
        .deadline(Duration::from_secs(5))
        .bulkhead(Bulkhead::builder().max_concurrent(16))
        .circuit_breaker(CircuitBreaker::builder().consecutive_failures(5))
        .attempt_timeout(Duration::from_secs(1))
        .build()?;
    let channel = Channel::from_shared(format!("http://{address}"))?.connect_lazy();
    let channel = channel.map_err(|error| Error::Service(TransportError::new(error)));
    // Outermost: a rejection of the stack becomes a status that callers and the policy below can
    // read.
    let service = ServiceBuilder::new().map_err(to_status).layer(stack.clone()).service(channel);
    let client = HealthClient::new(service);

    // A health check is idempotent, so the message is sent again here, above the body. An open
    // circuit is not called again: the classifier recognises it in the status.
    let policy = RetryPolicy::builder().build()?.with_classifier(GrpcClassifier);
    let ask = |service: &'static str| {
        let client = client.clone();
        async move {
            let request = HealthCheckRequest { service: service.into() };
            client.clone().check(request).await
        }
    };
    let response = retry(&policy, || ask("")).await?;
    println!("the server is {:?}", response.into_inner().status());
    let unknown = retry(&policy, || ask("nobody")).await;
    println!("`nobody` is {:?}, sent once", unknown.map(drop).map_err(|status| status.code()));
    println!("the circuit is {:?}", stack.snapshot().circuit_breaker.map(|circuit| circuit.state));
    Ok(())
}
