//! Every layer there is, and the standard order of them: a layer added here is put through every
//! suite that asks for them.

use std::io;
use std::time::Duration;

use resilience_core::retry::{Backoff, RetryBudget, RetryLayer, RetryPolicy};
use resilience_core::timeout::{DeadlineLayer, TimeoutLayer};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service, ServiceBuilder};

/// Requests are numbers, so that a script can tell calls apart.
pub(crate) type Boxed = BoxCloneSyncService<u64, u64, BoxError>;

pub(crate) const LAYERS: [&str; 4] = ["retry", "timeout", "deadline", "stack"];

/// Those that wait in the call and therefore reserve nothing when they become ready (R4).
pub(crate) const LATE_BINDING: [&str; 2] = ["retry", "stack"];

/// A budget in which nothing expires while a test runs.
pub(crate) fn budget() -> RetryBudget {
    let day = Duration::from_secs(24 * 60 * 60);
    RetryBudget::builder().ratio(0.1).reserve(RESERVE).window(day).build().unwrap()
}

pub(crate) const RESERVE: u32 = 20;

pub(crate) fn policy(budget: &RetryBudget) -> RetryPolicy {
    RetryPolicy::builder()
        .max_attempts(3)
        .backoff(Backoff::decorrelated_jitter(Duration::from_millis(10), Duration::from_secs(1)))
        .budget(budget.clone())
        .seed(7)
        .build()
        .unwrap()
}

/// `inner` under the layer of this name.
pub(crate) fn layered<S>(name: &str, budget: &RetryBudget, inner: S) -> Boxed
where
    S: Service<u64, Response = u64, Error = BoxError> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    let retry = RetryLayer::new(policy(budget));
    let timeout = TimeoutLayer::new(Duration::from_secs(1)).unwrap();
    let deadline = DeadlineLayer::new(Duration::from_secs(10)).unwrap();
    let builder = ServiceBuilder::new();
    match name {
        "retry" => Boxed::new(builder.layer(retry).service(inner)),
        "timeout" => Boxed::new(builder.layer(timeout).service(inner)),
        "deadline" => Boxed::new(builder.layer(deadline).service(inner)),
        "stack" => Boxed::new(builder.layer(deadline).layer(retry).layer(timeout).service(inner)),
        other => panic!("no layer is called {other}"),
    }
}

/// A failure that may pass.
pub(crate) fn reset() -> BoxError {
    io::Error::from(io::ErrorKind::ConnectionReset).into()
}
