//! The gRPC health service (`grpc.health.v1.Health`), fed from a [`Health`] registry.
//!
//! A driver checks the registry at an interval. It sets `SERVING` for ready and degraded, and
//! `NOT_SERVING` otherwise, for the server as a whole (the service with the empty name) and for
//! each named service. Until the first result the status is `NOT_SERVING`; `tonic_health` alone
//! would report `SERVING` before anything was checked.
//!
//! ```no_run
//! use std::time::Duration;
//! use resilience_core::health::{Check, Health};
//! use resilience_http::health::grpc::GrpcHealth;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let health = Health::builder()
//!     .check(Check::critical("warehouse", || async { Ok::<_, std::io::Error>(()) }))
//!     .build()?;
//! let (reporter, server) = tonic_health::server::health_reporter();
//! let driver = GrpcHealth::new(health, reporter)
//!     .service("predictions.v1.Predictions")
//!     .every(Duration::from_secs(1))
//!     .start()
//!     .await?;
//! tokio::spawn(driver);
//! tonic::transport::Server::builder().add_service(server).serve("[::]:50051".parse()?).await?;
//! # Ok(())
//! # }
//! ```

use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use resilience_core::InvalidConfig;
use resilience_core::clock::MAX_WAIT;
use resilience_core::health::{Health, Readiness};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// The name that the protocol gives to the server as a whole.
const WHOLE: &str = "";

/// A driver that reports the state of a registry to a gRPC health service.
#[must_use = "nothing is reported until it is started and its driver is polled"]
pub struct GrpcHealth {
    health: Health,
    reporter: HealthReporter,
    services: Vec<String>,
    every: Duration,
}

impl GrpcHealth {
    /// Reports for the server as a whole, every second.
    pub fn new(health: Health, reporter: HealthReporter) -> GrpcHealth {
        let services = vec![WHOLE.to_owned()];
        GrpcHealth { health, reporter, services, every: Duration::from_secs(1) }
    }

    /// Reports for this service too, by its full name: `package.Service`.
    pub fn service(mut self, name: impl Into<String>) -> GrpcHealth {
        self.services.push(name.into());
        self
    }

    /// Sets the wait between two checks of the registry. Clients may learn this late that the
    /// server is about to stop, so a shutdown should wait longer before it closes the listener.
    pub fn every(mut self, wait: Duration) -> GrpcHealth {
        self.every = wait;
        self
    }

    /// Reports `NOT_SERVING`, and returns the driver, to be spawned and kept running as long as the
    /// server. Dropping the driver leaves the last status in place.
    ///
    /// # Errors
    /// If [`every`](Self::every) is zero or longer than 365 days.
    pub async fn start(
        self,
    ) -> Result<impl Future<Output = Infallible> + Send + 'static, InvalidConfig> {
        if self.every.is_zero() || self.every > MAX_WAIT {
            let bound = "more than zero, at most 365 days";
            return Err(InvalidConfig::new("every", format_args!("{:?}", self.every), bound));
        }
        self.report(ServingStatus::NotServing).await;
        Ok(async move {
            loop {
                self.report(status(self.health.ready().await.readiness)).await;
                tokio::time::sleep(self.every).await;
            }
        })
    }

    async fn report(&self, status: ServingStatus) {
        for service in &self.services {
            self.reporter.set_service_status(service, status).await;
        }
    }
}

fn status(readiness: Readiness) -> ServingStatus {
    if readiness.is_ready() { ServingStatus::Serving } else { ServingStatus::NotServing }
}

impl fmt::Debug for GrpcHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcHealth")
            .field("services", &self.services)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}
