use std::task::{Context, Poll};

use tower_service::Service;

use super::account::{Account, PolicyBudget};
use super::future::ResponseFuture;
use super::policy::RetryPolicy;
use super::replay::{CloneRequest, Replay};
use crate::clock::Now;
use crate::error::CarriesRejection;
use crate::inherent::inherent_service_methods;
use crate::outcome::{Classify, Standard};

/// A service whose calls are retried. Made by [`RetryLayer`](super::RetryLayer).
#[derive(Debug, Clone)]
pub struct Retry<S, C = Standard, R = CloneRequest, A = PolicyBudget> {
    inner: S,
    policy: RetryPolicy<C>,
    replay: R,
    account: A,
}

impl<S, C, R, A> Retry<S, C, R, A> {
    pub(crate) fn new(inner: S, policy: RetryPolicy<C>, replay: R, account: A) -> Self {
        Retry { inner, policy, replay, account }
    }

    /// The service below.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

inherent_service_methods!(Retry<S, C, R, A>);

impl<S, C, R, A, Req> Service<Req> for Retry<S, C, R, A>
where
    S: Service<Req> + Clone,
    S::Error: CarriesRejection,
    C: Classify<S::Response, S::Error> + Clone,
    R: Replay<Req> + Clone,
    A: Account<Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, C, R, Req>;

    /// Always ready: each attempt waits for the service below in the call's own future, on a handle
    /// of its own. A handle that was readied here and never called would hold, unseen, what the
    /// service below reserves when it becomes ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let now = &mut Now::unread();
        let own_budget = self.account.budget(&request, now);
        let replay = self.replay.clone();
        ResponseFuture::new(self.inner.clone(), &self.policy, own_budget, replay, request, now)
    }
}
