//! Recognising a probe by its path.

use std::sync::Arc;

use http::Method;

/// The kind of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    Live,
    Ready,
    Startup,
}

/// The paths of the probes.
#[derive(Debug, Clone)]
pub(super) struct Paths {
    pub(super) live: Arc<str>,
    pub(super) ready: Arc<str>,
    pub(super) startup: Arc<str>,
}

impl Default for Paths {
    fn default() -> Paths {
        Paths { live: "/health".into(), ready: "/ready".into(), startup: "/startup".into() }
    }
}

impl Paths {
    /// Returns the probe at this path.
    pub(super) fn find(&self, path: &str) -> Option<Probe> {
        let probes = [
            (&self.live, Probe::Live),
            (&self.ready, Probe::Ready),
            (&self.startup, Probe::Startup),
        ];
        probes.into_iter().find(|(at, _)| ***at == *path).map(|(_, probe)| probe)
    }
}

/// Returns `true` if a probe may be requested with this method.
pub(super) fn is_allowed(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
