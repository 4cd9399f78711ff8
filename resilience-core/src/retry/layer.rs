use tower_layer::Layer;

use super::budget::RetryBudget;
use super::budget_selector::PolicyBudget;
use super::policy::RetryPolicy;
use super::replay::CloneRequest;
use crate::call::{Absent, CallService, OnlyRetry};
use crate::keyed::{Key, Keyed, KeyedLimits};
use crate::outcome::Standard;
use crate::select::PerKey;

/// Retries the calls of the services it is applied to. See the [module](super).
///
/// Every service made by one layer value, and by its clones, shares the policy's budget.
///
/// **Every request that is `Clone` counts as one that may run twice.** For requests that must not,
/// write `.replayed_by(AtMostOnce)` ([`AtMostOnce`](super::AtMostOnce)).
#[derive(Debug, Clone)]
pub struct RetryLayer<C = Standard, R = CloneRequest, A = PolicyBudget> {
    pub(super) policy: RetryPolicy<C>,
    pub(super) replay: R,
    pub(super) budget_selector: A,
}

/// A service with a retry in front of it.
pub type Retry<S, C = Standard, R = CloneRequest, A = PolicyBudget> =
    CallService<S, OnlyRetry<RetryLayer<C, R, A>>>;

/// A budget for each key that `F` reads off a request.
pub type BudgetPerKey<K, F> = PerKey<K, RetryBudget, F>;

impl<C> RetryLayer<C> {
    /// Makes a layer that retries by this policy, and clones requests.
    #[must_use]
    pub fn new(policy: RetryPolicy<C>) -> RetryLayer<C> {
        RetryLayer { policy, replay: CloneRequest, budget_selector: PolicyBudget }
    }
}

impl<C, R, A> RetryLayer<C, R, A> {
    /// Sets the copy of a request: a closure from `&Req` to `Option<Req>`. A request with `None` is
    /// sent once.
    #[must_use]
    pub fn replay<F, Req>(self, replay: F) -> RetryLayer<C, F, A>
    where
        F: Fn(&Req) -> Option<Req>,
    {
        self.replayed_by(replay)
    }

    /// Sets the copy of a request with a [`Replay`](super::Replay) type.
    #[must_use]
    pub fn replayed_by<F>(self, replay: F) -> RetryLayer<C, F, A> {
        RetryLayer { policy: self.policy, replay, budget_selector: self.budget_selector }
    }

    #[cfg(feature = "profiles")]
    pub(crate) fn paid_from<B>(self, budget_selector: B) -> RetryLayer<C, R, B> {
        RetryLayer { policy: self.policy, replay: self.replay, budget_selector }
    }

    /// Returns the selector of the budget, which has the store of budgets where there is one for
    /// each key.
    #[must_use]
    pub const fn selector(&self) -> &A {
        &self.budget_selector
    }

    /// Pays for retries from a budget for each key: the retries of one shard that is down do not
    /// spend the budget of the others. The budget of each key begins as a
    /// [fresh](RetryBudget::fresh) copy of `budget`. The budget of the policy is not used.
    #[must_use]
    pub fn budget_per_key<K, F, Req>(
        self,
        budget: &RetryBudget,
        limits: KeyedLimits,
        key: F,
    ) -> RetryLayer<C, R, BudgetPerKey<K, F>>
    where
        K: Key,
        F: Fn(&Req) -> K,
    {
        let model = budget.fresh();
        let store = Keyed::new(limits, move |_: &K| model.fresh());
        let budget_selector = PerKey::new(store, key);
        RetryLayer { policy: self.policy, replay: self.replay, budget_selector }
    }
}

impl<S, C: Clone, R: Clone, A: Clone> Layer<S> for RetryLayer<C, R, A> {
    type Service = Retry<S, C, R, A>;

    fn layer(&self, inner: S) -> Retry<S, C, R, A> {
        OnlyRetry::around(inner, Absent, self.clone(), Absent, Absent)
    }
}
