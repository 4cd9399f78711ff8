//! The layer of the health probes.

use std::sync::Arc;

use resilience_core::health::Health;
use tower_layer::Layer;

use super::probe::Paths;
use super::service::{HealthService, NoRoute};

/// A layer that responds to health probes in front of a service. Clones, and the services made by
/// them, share the registry.
///
/// See the [module](super) for the responses, and an example.
#[derive(Debug, Clone)]
pub struct HealthLayer {
    pub(super) health: Health,
    pub(super) paths: Paths,
    pub(super) details: bool,
}

impl HealthLayer {
    /// Responds at `/health`, `/ready` and `/startup`.
    #[must_use]
    pub fn new(health: Health) -> HealthLayer {
        HealthLayer { health, paths: Paths::default(), details: false }
    }

    /// Sets the path of the liveness probe. Paths are compared whole, as they were sent. If two
    /// paths are equal, the order is this, [`ready_at`](HealthLayer::ready_at),
    /// [`startup_at`](HealthLayer::startup_at).
    #[must_use]
    pub fn live_at(mut self, path: impl Into<Arc<str>>) -> HealthLayer {
        self.paths.live = path.into();
        self
    }

    /// Sets the path of the readiness probe.
    #[must_use]
    pub fn ready_at(mut self, path: impl Into<Arc<str>>) -> HealthLayer {
        self.paths.ready = path.into();
        self
    }

    /// Sets the path of the startup probe.
    #[must_use]
    pub fn startup_at(mut self, path: impl Into<Arc<str>>) -> HealthLayer {
        self.paths.startup = path.into();
        self
    }

    /// Adds the texts of errors to the responses. They may contain hosts, users and secrets: use it
    /// only on a port that only operators can reach.
    #[must_use]
    pub fn show_details(mut self) -> HealthLayer {
        self.details = true;
        self
    }

    /// Returns a service without an inner service: all other paths get a 404. For a router's
    /// `route_service`, or a port of its own.
    #[must_use]
    pub fn into_service(self) -> HealthService<NoRoute> {
        self.layer(NoRoute::new())
    }
}

impl<S> Layer<S> for HealthLayer {
    type Service = HealthService<S>;

    fn layer(&self, inner: S) -> HealthService<S> {
        HealthService::new(Arc::new(self.clone()), inner)
    }
}
