use tower_layer::Layer;

use super::policy::RetryPolicy;
use super::replay::CloneRequest;
use super::service::Retry;
use crate::outcome::Standard;

/// Retries the calls of the services it is applied to. See the [module](super).
///
/// Every service made by one layer value, and by its clones, shares the policy's budget.
#[derive(Debug, Clone)]
pub struct RetryLayer<C = Standard, R = CloneRequest> {
    policy: RetryPolicy<C>,
    replay: R,
}

impl<C> RetryLayer<C> {
    /// Retries by this policy, cloning requests.
    #[must_use]
    pub fn new(policy: RetryPolicy<C>) -> RetryLayer<C> {
        RetryLayer { policy, replay: CloneRequest }
    }
}

impl<C, R> RetryLayer<C, R> {
    /// Copies requests in this way instead: a closure from `&Req` to `Option<Req>`, where `None`
    /// says that this one is sent only once.
    #[must_use]
    pub fn replay<F, Req>(self, replay: F) -> RetryLayer<C, F>
    where
        F: Fn(&Req) -> Option<Req>,
    {
        RetryLayer { policy: self.policy, replay }
    }
}

impl<S, C: Clone, R: Clone> Layer<S> for RetryLayer<C, R> {
    type Service = Retry<S, C, R>;

    fn layer(&self, inner: S) -> Retry<S, C, R> {
        Retry::new(inner, self.policy.clone(), self.replay.clone())
    }
}
