//! For gates of one's own: a layer that may wait before it calls.
//!
//! Gates differ in what they wait for. They do not differ in what is easy to get wrong: whose handle is
//! readied when, what is held meanwhile, and what is given back if the call is dropped. That is here, once,
//! and [`Admit`] is what differs. The family's own gates are parts of a `Stack`.
//!
//! - The layer is always ready: a handle that was readied and never called reserves nothing.
//! - Admission is asked for at the future's first poll, on behalf of a live request (R5).
//! - No handle of the service below exists in a readied state while the call waits for admission
//!   (R4); it is readied after.
//! - The permit is told when the service below takes the request ([`Permit::sent`]) and how that ended
//!   ([`Permit::settle`]). Dropped before either, it takes back what was never used.
//! - The permit is gone when the future is ready, not when it is dropped (R14).
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

/// Decides whether, and when, a call may go on. Clones share what is decided about.
pub trait Admit<Req>: Clone {
    /// The wait. Nothing is asked for, and nothing taken, before its first poll; dropped, it leaves
    /// every queue.
    type Waiting: Future<Output = Result<Self::Permit, Rejection>>;
    /// What the call holds from its admission to its end.
    type Permit;

    /// A call wants to make this request.
    fn admit(&self, request: &Req) -> Self::Waiting;
}

/// What a call that ends in a `Result<T, E>` holds from its admission to its end.
///
/// Dropped without [`settle`](Permit::settle), the call was abandoned; without
/// [`sent`](Permit::sent), it was never made.
pub trait Permit<T, E> {
    /// The service below takes the request now.
    fn sent(&mut self);

    /// The call ended so. An error that carries a [`Rejection`] may never have left the house.
    fn settle(self, result: Result<&T, &E>);
}

/// A service whose calls are [admitted](Admit).
#[derive(Debug, Clone)]
pub struct Admission<S, A> {
    inner: S,
    admit: A,
}

impl<S, A> Admission<S, A> {
    /// Calls of `inner`, as far as `admit` admits them.
    pub const fn new(inner: S, admit: A) -> Admission<S, A> {
        Admission { inner, admit }
    }

    /// The service below.
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
