//! gRPC's own health service (`grpc.health.v1.Health`), told by a [`Health`] registry.
//!
//! A client of it may ask once or watch, so it is told: a driver asks the registry every so often, and
//! sets `SERVING` for ready and degraded, `NOT_SERVING` otherwise, for the server as a whole (the
//! service with no name) and for each service named. It says `NOT_SERVING` from its start on until it
//! knows better; `tonic_health` alone would say `SERVING` before anything was checked.
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

/// The service that stands for the whole server.
const WHOLE: &str = "";

/// Tells a reporter how a registry stands.
#[must_use = "nothing is told until it is started and its driver polled"]
pub struct GrpcHealth {
    health: Health,
    reporter: HealthReporter,
    services: Vec<String>,
    every: Duration,
}

impl GrpcHealth {
    /// For the server as a whole, every second.
    pub fn new(health: Health, reporter: HealthReporter) -> GrpcHealth {
        let (services, every) = (vec![WHOLE.to_owned()], Duration::from_secs(1));
        GrpcHealth { health, reporter, services, every }
    }

    /// For this service too, by its full name: `package.Service`.
    pub fn service(mut self, name: impl Into<String>) -> GrpcHealth {
        self.services.push(name.into());
        self
    }

    /// How long to wait after one look before the next. It is also how long clients may not know that
    /// the server is about to stop: wait for longer than this before that.
    pub fn every(mut self, wait: Duration) -> GrpcHealth {
        self.every = wait;
        self
    }

    /// Says `NOT_SERVING`, and returns what goes on from there: to be spawned, and to be kept running
    /// for as long as the server. Dropped, it leaves what it said last.
    ///
    /// # Errors
    /// If it is to look all the time.
    pub async fn start(
        self,
    ) -> Result<impl Future<Output = Infallible> + Send + 'static, InvalidConfig> {
        if self.every.is_zero() || self.every > MAX_WAIT {
            let (value, bound) = (format!("{:?}", self.every), "more than zero, at most 365 days");
            return Err(InvalidConfig::new("every", value, bound));
        }
        self.say(ServingStatus::NotServing).await;
        Ok(async move {
            loop {
                self.say(status(self.health.ready().await.readiness)).await;
                tokio::time::sleep(self.every).await;
            }
        })
    }

    async fn say(&self, status: ServingStatus) {
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
