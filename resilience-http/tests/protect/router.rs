//! Rejections in an axum router, without `AdmissionControlLayer`.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::error_handling::HandleErrorLayer;
use axum::extract::State;
use axum::routing::get;
use http::{HeaderMap, Request, Response, StatusCode};
use resilience_core::bulkhead::Bulkhead;
use resilience_core::stack::Stack;
use resilience_core::{Error, Rejection, RejectionKind};
use resilience_http::server::{RejectionFormat, ResponseBody};
use tower::{ServiceBuilder, ServiceExt};

use crate::LONG;

fn request(grpc: bool) -> Request<Body> {
    let kind = if grpc { "application/grpc" } else { "text/plain" };
    Request::get("/").header("content-type", kind).body(Body::empty()).unwrap()
}

/// The recipe in the book: layers of the core between axum's `HandleErrorLayer` and a router.
#[tokio::test]
async fn handle_error_layer_turns_rejections_into_responses() {
    async fn rejected(
        headers: HeaderMap,
        error: Error<Infallible>,
    ) -> Response<ResponseBody<Body>> {
        match error {
            Error::Rejected(rejection) => RejectionFormat::new().response(&rejection, &headers),
            Error::Service(never) => match never {},
        }
    }
    let bulkhead = Bulkhead::builder().name("api").max_concurrent(1).reject().build().unwrap();
    let stack = Stack::builder().bulkhead(bulkhead.clone()).build().unwrap();
    let layers = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(rejected))
        .layer(stack)
        .map_err(Error::Service);
    let router = Router::new().route("/", get(|| async { "here" })).layer(layers);
    let fetch = async |grpc| router.clone().oneshot(request(grpc)).await.unwrap();
    assert_eq!(fetch(false).await.status(), 200);
    let _taken = bulkhead.try_acquire(1).unwrap();
    let rejected = fetch(false).await;
    assert_eq!(rejected.status(), 503);
    assert_eq!(rejected.headers()["content-type"], "application/problem+json");
    assert_eq!(fetch(true).await.headers()["grpc-status"], "8");
}

/// A handler whose call upstream is rejected: the response has the time to wait, and no names.
#[tokio::test]
async fn a_handler_maps_the_rejection_of_its_own_call() {
    async fn upstream(error: Error<std::io::Error>) -> Result<String, Error<std::io::Error>> {
        Err(error)
    }
    async fn quotes(
        State(rejected): State<bool>,
        headers: HeaderMap,
    ) -> axum::response::Result<String> {
        let open =
            Rejection::new(RejectionKind::CircuitOpen, "quotes.circuit").with_retry_after(LONG);
        let error =
            if rejected { open.into() } else { Error::Service(std::io::Error::other("broken")) };
        upstream(error).await.map_err(|error| match error {
            Error::Rejected(rejection) => {
                RejectionFormat::new().anonymous().response::<Body>(&rejection, &headers).into()
            }
            Error::Service(_) => StatusCode::BAD_GATEWAY.into(),
        })
    }
    for (rejected, status) in [(true, 503), (false, 502)] {
        let router = Router::new().route("/", get(quotes)).with_state(rejected);
        let response = router.oneshot(request(false)).await.unwrap();
        assert_eq!(response.status(), status);
        let retry_after =
            response.headers().get("retry-after").map(|value| value.to_str().unwrap());
        assert_eq!(retry_after, rejected.then_some("30"));
        let body = axum::body::to_bytes(response.into_body(), 1 << 10).await.unwrap();
        assert!(!String::from_utf8_lossy(&body).contains("quotes"), "{body:?}");
    }
}
