//! Which probe a request is.

use std::sync::Arc;

use http::Method;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    Live,
    Ready,
    Startup,
}

/// Where it is asked.
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
    /// The probe at this path.
    pub(super) fn find(&self, path: &str) -> Option<Probe> {
        let probes = [
            (&self.live, Probe::Live),
            (&self.ready, Probe::Ready),
            (&self.startup, Probe::Startup),
        ];
        probes.into_iter().find(|(at, _)| ***at == *path).map(|(_, probe)| probe)
    }
}

/// Whether a probe is asked with this method.
pub(super) fn is_allowed(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
