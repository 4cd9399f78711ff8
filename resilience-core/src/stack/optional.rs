//! A layer that is there or not, which is known only at run time.

use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

/// A layer, or none. The type is the same, so that a file can decide.
///
/// What it makes is as large as the larger of both, and costs one branch a call.
#[derive(Debug, Clone)]
pub struct Optional<L>(Option<L>);

impl<L> Optional<L> {
    /// This layer, if there is one.
    pub const fn new(layer: Option<L>) -> Optional<L> {
        Optional(layer)
    }
}

impl<S, L: Layer<S>> Layer<S> for Optional<L> {
    type Service = Maybe<L::Service, S>;

    fn layer(&self, inner: S) -> Self::Service {
        match &self.0 {
            Some(layer) => Maybe::With(layer.layer(inner)),
            None => Maybe::Without(inner),
        }
    }
}

/// A service with a layer around it, or without.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_enums, reason = "with or without: there is no third")]
pub enum Maybe<A, B> {
    /// The layer is there.
    With(A),
    /// It is not.
    Without(B),
}

impl<A, B, Req> Service<Req> for Maybe<A, B>
where
    A: Service<Req>,
    B: Service<Req, Response = A::Response, Error = A::Error>,
{
    type Response = A::Response;
    type Error = A::Error;
    type Future = MaybeFuture<A::Future, B::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), A::Error>> {
        match self {
            Maybe::With(service) => service.poll_ready(cx),
            Maybe::Without(service) => service.poll_ready(cx),
        }
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let call = match self {
            Maybe::With(service) => Call::With { future: service.call(request) },
            Maybe::Without(service) => Call::Without { future: service.call(request) },
        };
        MaybeFuture { call }
    }
}

pin_project! {
    /// A call of a [`Maybe`].
    #[derive(Debug)]
    pub struct MaybeFuture<A, B> {
        #[pin]
        call: Call<A, B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = CallProj]
    enum Call<A, B> {
        With { #[pin] future: A },
        Without { #[pin] future: B },
    }
}

impl<A: Future, B: Future<Output = A::Output>> Future for MaybeFuture<A, B> {
    type Output = A::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<A::Output> {
        match self.project().call.project() {
            CallProj::With { future } => future.poll(cx),
            CallProj::Without { future } => future.poll(cx),
        }
    }
}
