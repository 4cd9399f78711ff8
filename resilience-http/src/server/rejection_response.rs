//! A layer that turns rejections into responses.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use resilience_core::Rejection;
use tower_layer::Layer;
use tower_service::Service;

use super::rejection_format::{Protocol, RejectionFormat};
use super::response_body::ResponseBody;
use super::split::SplitRejection;

/// A layer that turns the rejections of inner layers into responses; [`RejectionFormat`] has the
/// table. Other errors are passed on.
///
/// Readiness is forwarded. After a rejection by the inner `poll_ready`, the service is ready and
/// the next call returns the rejection as its response. Calls share nothing, and dropping a call
/// drops the inner one.
///
/// ```
/// use http::{Request, Response};
/// use resilience_core::bulkhead::{Bulkhead, BulkheadLayer};
/// use resilience_core::Error;
/// use resilience_http::server::RejectionResponseLayer;
/// use std::convert::Infallible;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let full = Bulkhead::builder().max_concurrent(1).build()?;
/// let _permit = full.try_acquire(1)?;
/// let service = ServiceBuilder::new()
///     .layer(RejectionResponseLayer::default())
///     .layer(BulkheadLayer::new(full.clone()))
///     .map_err(Error::Service)
///     .service(service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) }));
/// let Ok(response) = service.oneshot(Request::new(())).await;
/// assert_eq!(response.status(), 503);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct RejectionResponseLayer {
    rejections: RejectionFormat,
}

impl RejectionResponseLayer {
    /// Creates a layer that writes rejections in this format.
    #[must_use]
    pub const fn new(rejections: RejectionFormat) -> RejectionResponseLayer {
        RejectionResponseLayer { rejections }
    }
}

impl<S> Layer<S> for RejectionResponseLayer {
    type Service = RejectionResponse<S>;

    fn layer(&self, inner: S) -> RejectionResponse<S> {
        RejectionResponse { inner, rejections: self.rejections, unready: None }
    }
}

/// A service that returns rejections as responses. Made by [`RejectionResponseLayer`].
#[derive(Debug)]
pub struct RejectionResponse<S> {
    inner: S,
    rejections: RejectionFormat,
    /// Rejection by `poll_ready`, which is the response to the next call.
    unready: Option<Rejection>,
}

impl<S> RejectionResponse<S> {
    /// Returns the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

/// Clones without the rejection: readiness belongs to the value that was polled.
impl<S: Clone> Clone for RejectionResponse<S> {
    fn clone(&self) -> RejectionResponse<S> {
        RejectionResponse { inner: self.inner.clone(), rejections: self.rejections, unready: None }
    }
}

impl<S, B, RB> Service<Request<B>> for RejectionResponse<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: SplitRejection,
{
    type Response = Response<ResponseBody<RB>>;
    type Error = <S::Error as SplitRejection>::Foreign;
    type Future = RejectionResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if self.unready.is_none()
            && let Err(error) = ready!(self.inner.poll_ready(cx))
        {
            self.unready = Some(error.split()?);
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let rejections = self.rejections;
        let protocol = Protocol::of(&request);
        let state = match self.unready.take() {
            Some(rejection) => State::Rejected { rejection },
            None => State::Called { future: self.inner.call(request) },
        };
        RejectionResponseFuture { state, rejections, protocol }
    }
}

pin_project! {
    /// A call whose rejection becomes a response. Dropping the future drops the inner call.
    #[derive(Debug)]
    pub struct RejectionResponseFuture<F> {
        #[pin]
        state: State<F>,
        rejections: RejectionFormat,
        protocol: Protocol,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProj]
    enum State<F> {
        Rejected { rejection: Rejection },
        Called { #[pin] future: F },
        /// The inner future is dropped.
        Done,
    }
}

impl<F, RB, E> Future for RejectionResponseFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
    E: SplitRejection,
{
    type Output = Result<Response<ResponseBody<RB>>, E::Foreign>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let result = match this.state.as_mut().project() {
            StateProj::Rejected { rejection } => {
                Ok(this.rejections.respond_to(*this.protocol, rejection))
            }
            StateProj::Called { future } => match ready!(future.poll(cx)) {
                Ok(response) => Ok(response.map(ResponseBody::handler)),
                Err(error) => error
                    .split()
                    .map(|rejection| this.rejections.respond_to(*this.protocol, &rejection)),
            },
            StateProj::Done => return Poll::Pending,
        };
        // Released here and not on drop: a caller may keep a completed future.
        this.state.set(State::Done);
        Poll::Ready(result)
    }
}
