//! A service for admission policies of one's own: a call may wait before it reaches the service
//! below.
//!
//! Policies differ in what a call waits for, and implement [`Admit`]. [`Admission`] does the part
//! that is the same for all of them: which handle is readied and when, what is held meanwhile, and
//! what a dropped call gives back. The policies of this crate are parts of a `Stack` instead.
//!
//! - The service is always ready: a handle that was readied and never called reserves nothing.
//! - Admission begins at the first poll of the call's future, for a request that exists.
//! - The service below is readied after the admission, so that a waiting call reserves nothing
//!   there.
//! - The permit is notified when the service below takes the request ([`Permit::sent`]) and when
//!   the call ends ([`Permit::settle`]). A permit that is dropped before either belongs to a call
//!   that was cancelled.
//! - The permit is dropped when the future is ready, not when the future is dropped.
//!
//! ```
//! use std::future::{Ready, ready};
//! use resilience_core::admission::{Admission, Admit, Permit};
//! use resilience_core::{Rejection, RejectionKind};
//! use tower::{BoxError, service_fn};
//!
//! /// Lets even numbers pass.
//! #[derive(Clone)]
//! struct Even;
//! struct Pass;
//!
//! impl Admit<u32> for Even {
//!     type Waiting = Ready<Result<Pass, Rejection>>;
//!     type Permit = Pass;
//!     fn admit(&self, request: &u32) -> Self::Waiting {
//!         ready(if request % 2 == 0 { Ok(Pass) } else { Err(Rejection::new(RejectionKind::Shed, "even")) })
//!     }
//! }
//!
//! impl<T, E> Permit<T, E> for Pass {
//!     fn sent(&mut self) {}
//!     fn settle(self, _: Result<&T, &E>) {}
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let service = Admission::new(service_fn(async |n: u32| Ok::<_, BoxError>(n)), Even);
//! assert_eq!(service.clone().oneshot(2).await?, 2);
//! assert_eq!(service.oneshot(3).await.unwrap_err().to_string(), "even: shed");
//! # Ok(())
//! # }
//! ```

mod future;

use std::task::{Context, Poll};

use tower_service::Service;

use crate::error::CarriesRejection;
use crate::inherent::inherent_service_methods;
use crate::rejection::Rejection;
pub use future::{CallFuture, ResponseFuture};

/// Decides if and when a call may go on. Clones share the state that decides.
pub trait Admit<Req>: Clone {
    /// The wait for admission. Takes nothing before its first poll. Dropping it leaves every queue.
    type Waiting: Future<Output = Result<Self::Permit, Rejection>>;
    /// The permit that the call holds from its admission to its end.
    type Permit;

    /// Begins the admission of a call with this request.
    fn admit(&self, request: &Req) -> Self::Waiting;
}

/// The permit of a call that ends in a `Result<T, E>`, held from its admission to its end.
///
/// A permit that is dropped without [`settle`](Permit::settle) belongs to an abandoned call; one
/// without [`sent`](Permit::sent), to a call that never reached the service below.
pub trait Permit<T, E> {
    /// Records that the service below takes the request now.
    fn sent(&mut self);

    /// Records the end of the call. An error that carries a [`Rejection`] may come from a layer
    /// below, before the request was sent.
    fn settle(self, result: Result<&T, &E>);
}

/// A service that [admits](Admit) each call first.
#[derive(Debug, Clone)]
pub struct Admission<S, A> {
    inner: S,
    admit: A,
}

impl<S, A> Admission<S, A> {
    /// Creates a service that calls `inner` as far as `admit` admits the calls.
    pub const fn new(inner: S, admit: A) -> Admission<S, A> {
        Admission { inner, admit }
    }

    /// Returns the service below.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

inherent_service_methods!(Admission<S, A>);

impl<S, A, Req> Service<Req> for Admission<S, A>
where
    S: Service<Req> + Clone,
    S::Error: CarriesRejection,
    A: Admit<Req>,
    A::Permit: Permit<S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, A::Waiting, A::Permit, Req>;

    /// Always ready: a call waits in its own future, on a handle of its own.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let waiting = self.admit.admit(&request);
        CallFuture::new(self.inner.clone(), waiting, request)
    }
}
