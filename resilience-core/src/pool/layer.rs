//! A Tower layer that checks out an object for each call.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use deadpool::managed::Manager;
use tower_layer::Layer;
use tower_service::Service;

use super::deferred_return;
use super::handle::ResilientPool;
use super::pooled::Pooled;
use crate::error::{CarriesRejection, Error};
use crate::inherent::inherent_service_methods;
use crate::outcome::{AsOutcome, Classify, Outcome, Standard};
use crate::rejection::RejectionKind;

/// A layer that checks out an object for each call and passes it, with the request, to the service
/// below, which takes `(Req, Pooled<M>)`.
///
/// The object is checked out in the future of the call, before the service below is readied. It
/// returns when that future completes, or when the service below drops it, if that is later (a
/// streaming body), and not before the result is classified. After a transient failure or a timeout
/// it is retired, since an answer may still be on its wire; also if the call is cancelled while the
/// service below has it.
///
/// Clones share the pool. Each call makes two allocations.
///
/// ```
/// use deadpool::managed::{Manager, Metrics, RecycleResult};
/// use resilience_core::pool::{CheckoutLayer, Pooled, ResilientManager, ResilientPool};
/// use tower::{BoxError, ServiceBuilder, service_fn};
///
/// # struct Connect;
/// impl Manager for Connect {
///     // ...
/// #    type Type = u64;
/// #    type Error = std::io::Error;
/// #    async fn create(&self) -> Result<u64, std::io::Error> { Ok(7) }
/// #    async fn recycle(&self, _: &mut u64, _: &Metrics) -> RecycleResult<std::io::Error> { Ok(()) }
/// }
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), BoxError> {
/// let pool = ResilientPool::builder(ResilientManager::builder(Connect).build()).build()?;
/// let service = ServiceBuilder::new()
///     .layer(CheckoutLayer::new(pool))
///     .service(service_fn(async |(query, connection): (u64, Pooled<Connect>)| {
///         Ok::<_, BoxError>(query * *connection)
///     }));
/// assert_eq!(service.oneshot(6).await?, 42);
/// # Ok(())
/// # }
/// ```
pub struct CheckoutLayer<M: Manager, C = Standard> {
    pool: ResilientPool<M>,
    classify: C,
}

/// Service of a [`CheckoutLayer`].
pub struct Checkout<S, M: Manager, C = Standard> {
    inner: S,
    pool: ResilientPool<M>,
    classify: C,
}

/// Future of a [`Checkout`].
#[doc(hidden)]
pub struct CheckoutFuture<T, E>(Option<Boxed<T, E>>);

type Boxed<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl<M: Manager> CheckoutLayer<M> {
    /// Creates a layer that checks out objects of this pool. Errors are classified by
    /// [`AsOutcome`](crate::AsOutcome).
    #[must_use]
    pub const fn new(pool: ResilientPool<M>) -> CheckoutLayer<M> {
        CheckoutLayer { pool, classify: Standard }
    }
}

impl<M: Manager, C> CheckoutLayer<M, C> {
    /// Classifies results with this function. A timeout and a transient failure retire the object.
    #[must_use]
    pub fn classify<F, T, E>(self, classify: F) -> CheckoutLayer<M, F>
    where
        F: Fn(Result<&T, &E>) -> Outcome,
    {
        CheckoutLayer { pool: self.pool, classify }
    }

    /// Returns the pool.
    #[must_use]
    pub const fn pool(&self) -> &ResilientPool<M> {
        &self.pool
    }
}

inherent_service_methods!(Checkout<S, M, C> where M: Manager);

impl<S, M: Manager, C: Clone> Layer<S> for CheckoutLayer<M, C> {
    type Service = Checkout<S, M, C>;

    fn layer(&self, inner: S) -> Checkout<S, M, C> {
        Checkout { inner, pool: self.pool.clone(), classify: self.classify.clone() }
    }
}

impl<S, M, C, Req> Service<Req> for Checkout<S, M, C>
where
    S: Service<(Req, Pooled<M>)> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send,
    S::Error: CarriesRejection + From<Error<M::Error>> + Send,
    M: Manager + 'static,
    C: Classify<S::Response, S::Error> + Clone + Send + 'static,
    Req: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = CheckoutFuture<S::Response, S::Error>;

    /// Always ready: a call waits for its object in its own future, on its own clone of the
    /// service.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let Checkout { inner, pool, classify } = self.clone();
        CheckoutFuture(Some(Box::pin(call(inner, pool, classify, request))))
    }
}

async fn call<S, M, C, Req>(
    mut inner: S,
    pool: ResilientPool<M>,
    classify: C,
    request: Req,
) -> Result<S::Response, S::Error>
where
    S: Service<(Req, Pooled<M>)>,
    S::Error: CarriesRejection + From<Error<M::Error>>,
    M: Manager,
    C: Classify<S::Response, S::Error>,
{
    let pooled = pool.get().await?;
    std::future::poll_fn(|cx| inner.poll_ready(cx)).await?;
    let (deferred, decision) = deferred_return::pair();
    let result = inner.call((request, pooled.with_deferred_return(deferred))).await;
    decision.decide(is_broken_by(outcome(&classify, result.as_ref())));
    result
}

/// Returns the outcome of a result; that of a rejection does not depend on the classifier.
fn outcome<T, E: CarriesRejection>(
    classify: &impl Classify<T, E>,
    result: Result<&T, &E>,
) -> Outcome {
    match result.err().and_then(CarriesRejection::rejection) {
        // The object may be in the middle of a response.
        Some(rejection) if rejection.kind() == RejectionKind::DeadlineExceeded => {
            Outcome::Abandoned
        }
        Some(rejection) => rejection.as_outcome(),
        None => classify.classify(result),
    }
}

/// Returns `true` if the object cannot be used again after this outcome.
fn is_broken_by(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Transient(_) | Outcome::TimedOut | Outcome::Unknown | Outcome::Abandoned
    )
}

impl<T, E> Future for CheckoutFuture<T, E> {
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Polled after completion: stay pending.
        let Some(call) = &mut self.0 else { return Poll::Pending };
        let result = std::task::ready!(call.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(result)
    }
}

impl<M: Manager, C: Clone> Clone for CheckoutLayer<M, C> {
    fn clone(&self) -> Self {
        CheckoutLayer { pool: self.pool.clone(), classify: self.classify.clone() }
    }
}

impl<S: Clone, M: Manager, C: Clone> Clone for Checkout<S, M, C> {
    fn clone(&self) -> Self {
        let Checkout { inner, pool, classify } = self;
        Checkout { inner: inner.clone(), pool: pool.clone(), classify: classify.clone() }
    }
}

impl<M: Manager, C> fmt::Debug for CheckoutLayer<M, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckoutLayer").field("pool", &self.pool).finish_non_exhaustive()
    }
}

impl<S, M: Manager, C> fmt::Debug for Checkout<S, M, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkout").field("pool", &self.pool).finish_non_exhaustive()
    }
}

impl<T, E> fmt::Debug for CheckoutFuture<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckoutFuture").finish_non_exhaustive()
    }
}
