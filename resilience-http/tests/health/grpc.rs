//! The gRPC health service, queried by a real client.

use std::sync::atomic::Ordering;
use std::time::Duration;

use resilience_core::health::{Criticality, Health};
use resilience_http::health::grpc::GrpcHealth;
use tonic::transport::{Channel, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::{check, counting, down, of};

fn request(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

/// Watches the service until it has this status.
async fn until(client: &mut HealthClient<Channel>, service: &str, status: ServingStatus) {
    let mut said = client.watch(request(service)).await.unwrap().into_inner();
    while said.message().await.unwrap().unwrap().status() != status {}
}

#[tokio::test]
async fn a_client_receives_the_state_of_the_registry() {
    let (up, database) = check("database", Criticality::Critical);
    up.store(false, Ordering::Relaxed);
    // Degraded is ready.
    let cache = down("cache", Criticality::Optional);
    let health = Health::builder().check(database).check(cache).build().unwrap();
    let (reporter, server) = tonic_health::server::health_reporter();
    let driver = GrpcHealth::new(health, reporter)
        .service("predictions.v1.Predictions")
        .every(Duration::from_millis(5))
        .start()
        .await
        .unwrap();

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    tokio::spawn(Server::builder().add_service(server).serve_with_incoming(incoming));
    let channel = Channel::from_shared(format!("http://{address}")).unwrap();
    let mut client = HealthClient::new(channel.connect().await.unwrap());

    // Before the first check.
    for service in ["", "predictions.v1.Predictions"] {
        let said = client.check(request(service)).await.unwrap().into_inner();
        assert_eq!(said.status(), ServingStatus::NotServing, "`{service}`");
    }
    let unknown = client.check(request("nobody.v1.Nobody")).await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound);

    let driver = tokio::spawn(driver);
    for (is_up, status) in [(true, ServingStatus::Serving), (false, ServingStatus::NotServing)] {
        up.store(is_up, Ordering::Relaxed);
        for service in ["", "predictions.v1.Predictions"] {
            until(&mut client, service, status).await;
        }
    }
    driver.abort();
}

#[tokio::test(start_paused = true)]
async fn the_default_interval_is_one_second() {
    let (runs, check) = counting(Duration::ZERO);
    let (reporter, _server) = tonic_health::server::health_reporter();
    let driver = GrpcHealth::new(of([check.ttl(Duration::ZERO)]), reporter).start().await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(3_500), driver).await.is_err());
    assert_eq!(runs.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn an_interval_of_zero_is_rejected() {
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    for (wait, field) in [
        (Duration::ZERO, Some("every")),
        (year + Duration::from_nanos(1), Some("every")),
        (Duration::MAX, Some("every")),
        (year, None),
    ] {
        let (reporter, _server) = tonic_health::server::health_reporter();
        let health = Health::builder().build().unwrap();
        let started = GrpcHealth::new(health, reporter).every(wait).start().await;
        assert_eq!(started.err().map(|error| error.field()), field, "{wait:?}");
    }
}
