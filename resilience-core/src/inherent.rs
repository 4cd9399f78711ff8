//! The methods of `Service` as inherent methods of this crate's services.
//!
//! rustc reports a trait method with an unmet bound as "not found", without the reason. An inherent
//! method is found, and the error names the missing bound: the error type cannot carry a rejection,
//! or the request cannot be cloned. An inherent method also needs no import.
//!
//! The futures are structs, and the future of the call is a type parameter of the structs and the
//! methods. rustc checks `Send` for the values that an `async` block holds across an `await` with
//! all lifetimes erased, and a boxed error of any lifetime cannot carry a rejection. So no such
//! value may need that bound, as `<Self as Service<Req>>::Future` does (`tests/layers/spawned.rs`).

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

macro_rules! inherent_service_methods {
    ($service:ident<$($parameter:ident),+> $(where $bounded:ident: $bound:path)?) => {
        impl<$($parameter),+> $service<$($parameter),+>
        $(where
            $bounded: $bound,)?
        {
            $crate::inherent::call!();

            /// Waits until a call can be made. As `tower::ServiceExt::ready`.
            ///
            /// # Errors
            /// If the service below can take no more calls.
            pub fn ready<Req, E>(&mut self) -> impl Future<Output = Result<&mut Self, E>>
            where
                Self: tower_service::Service<Req, Error = E>,
            {
                $crate::inherent::Ready::new(self)
            }

            /// Waits until a call can be made, and makes it. As `tower::ServiceExt::oneshot`.
            ///
            /// # Errors
            /// The service's, or the rejection of a layer.
            pub fn oneshot<Req, T, E, F>(
                self,
                request: Req,
            ) -> impl Future<Output = Result<T, E>> + use<Req, T, E, F, $($parameter),+>
            where
                Self: tower_service::Service<Req, Response = T, Error = E, Future = F>,
                F: Future<Output = Result<T, E>>,
            {
                $crate::inherent::Oneshot::new(self, request)
            }
        }
    };
    // `oneshot` calls at once: the future of the call does nothing before its first poll.
    (always ready: $service:ident<$below:ident $(, $parameter:ident)*>) => {
        impl<$below $(, $parameter)*> $service<$below $(, $parameter)*> {
            $crate::inherent::call!();

            /// Returns the service, which is always ready: a call waits in its own future. As
            /// `tower::ServiceExt::ready`.
            ///
            /// # Errors
            /// None.
            // Bounded by the service below only, so that the error for `call` names any other
            // missing bound.
            pub fn ready<Req>(
                &mut self,
            ) -> std::future::Ready<Result<&mut Self, <$below as tower_service::Service<Req>>::Error>>
            where
                $below: tower_service::Service<Req>,
            {
                std::future::ready(Ok(self))
            }

            /// Makes a call, and consumes the service. As `tower::ServiceExt::oneshot`.
            ///
            /// # Errors
            /// The service's, or the rejection of a layer.
            pub fn oneshot<Req, F>(mut self, request: Req) -> F
            where
                Self: tower_service::Service<Req, Future = F>,
            {
                tower_service::Service::call(&mut self, request)
            }
        }
    };
}
pub(crate) use inherent_service_methods;

macro_rules! call {
    () => {
        /// Makes a call, once [`ready`](Self::ready). As `tower::Service::call`.
        ///
        /// # Errors
        /// The service's, or the rejection of a layer.
        pub fn call<Req, F>(&mut self, request: Req) -> F
        where
            Self: tower_service::Service<Req, Future = F>,
        {
            tower_service::Service::call(self, request)
        }
    };
}
pub(crate) use call;

/// Waits until a service is ready.
pub(crate) struct Ready<'a, S, Req>(Option<&'a mut S>, PhantomData<fn(Req)>);

impl<'a, S, Req> Ready<'a, S, Req> {
    pub(crate) const fn new(service: &'a mut S) -> Ready<'a, S, Req> {
        Ready(Some(service), PhantomData)
    }
}

impl<'a, S: Service<Req>, Req> Future for Ready<'a, S, Req> {
    type Output = Result<&'a mut S, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Polled after completion, which a future's contract leaves open: stays pending.
        let Some(service) = &mut self.0 else { return Poll::Pending };
        ready!(service.poll_ready(cx))?;
        self.0.take().map_or(Poll::Pending, |service| Poll::Ready(Ok(service)))
    }
}

pin_project! {
    /// Waits until a service is ready, and calls it.
    #[project = OneshotProj]
    pub(crate) enum Oneshot<S, Req, F> {
        Readying { service: S, request: Option<Req> },
        Calling { #[pin] future: F },
        Done,
    }
}

impl<S, Req, F> Oneshot<S, Req, F> {
    pub(crate) const fn new(service: S, request: Req) -> Oneshot<S, Req, F> {
        Oneshot::Readying { service, request: Some(request) }
    }
}

impl<S, Req, F> Future for Oneshot<S, Req, F>
where
    S: Service<Req, Future = F>,
    F: Future<Output = Result<S::Response, S::Error>>,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        loop {
            let result = match self.as_mut().project() {
                OneshotProj::Readying { service, request } => {
                    match (ready!(service.poll_ready(cx)), request.take()) {
                        (Ok(()), Some(request)) => {
                            let future = service.call(request);
                            self.set(Oneshot::Calling { future });
                            continue;
                        }
                        (Err(error), _) => Err(error),
                        (Ok(()), None) => return Poll::Pending,
                    }
                }
                OneshotProj::Calling { future } => ready!(future.poll(cx)),
                // Polled after completion, which a future's contract leaves open: stays pending.
                OneshotProj::Done => return Poll::Pending,
            };
            self.set(Oneshot::Done);
            return Poll::Ready(result);
        }
    }
}
