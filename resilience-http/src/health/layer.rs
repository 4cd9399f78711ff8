//! The layer.

use std::sync::Arc;

use resilience_core::health::Health;
use tower_layer::Layer;

use super::probe::Paths;
use super::service::{HealthService, NoRoute};

/// Answers probes in front of a service. Clones, and the services made by them, share the registry.
///
/// See the [module](super) for what is answered, and an example.
#[derive(Debug, Clone)]
pub struct HealthLayer {
    pub(super) health: Health,
    pub(super) paths: Paths,
    pub(super) details: bool,
}

impl HealthLayer {
    /// At `/health`, `/ready` and `/startup`.
    #[must_use]
    pub fn new(health: Health) -> HealthLayer {
        HealthLayer { health, paths: Paths::default(), details: false }
    }

    /// Where it is asked whether the process is alive. Paths are compared whole, as they are sent.
    /// Of two that are the same, the first of this, [`ready_at`](HealthLayer::ready_at) and
    /// [`startup_at`](HealthLayer::startup_at) is answered.
    #[must_use]
    pub fn live_at(mut self, path: impl Into<Arc<str>>) -> HealthLayer {
        self.paths.live = path.into();
        self
    }

    /// Where it is asked whether it is ready.
    #[must_use]
    pub fn ready_at(mut self, path: impl Into<Arc<str>>) -> HealthLayer {
        self.paths.ready = path.into();
        self
    }

    /// Where it is asked whether it has started.
    #[must_use]
    pub fn startup_at(mut self, path: impl Into<Arc<str>>) -> HealthLayer {
        self.paths.startup = path.into();
        self
    }

    /// Puts what errors said into the answers. They may name hosts, users and worse: for a port that
    /// nobody but the operators can reach.
    #[must_use]
    pub fn show_details(mut self) -> HealthLayer {
        self.details = true;
        self
    }

    /// In front of nothing: other paths are answered with 404. For a router's `route_service`, or a
    /// port of its own.
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
