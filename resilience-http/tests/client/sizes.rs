//! The sizes of the client's futures and bodies.

use bytes::Bytes;
use http_body_util::Full;
use resilience_http::client::{ClientBody, ResilientClient, ResilientService};
use tower::Service;

type Request = http::Request<Full<Bytes>>;
type Response = http::Response<Full<Bytes>>;

#[derive(Clone)]
struct Inner;

impl Service<Request> for Inner {
    type Response = Response;
    type Error = std::io::Error;
    type Future = std::future::Ready<Result<Response, std::io::Error>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), std::io::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        std::future::ready(Ok(Response::new(Full::default())))
    }
}

/// Ceilings in bytes. Lower them when a change allows it. The boxed part of the future has its own
/// ceiling in `service.rs`.
#[test]
fn futures_are_small() {
    let sizes = [
        ("client", size_of::<<ResilientService<Inner> as Service<Request>>::Future>(), 16),
        ("over reqwest", size_of::<<ResilientClient as Service<reqwest::Request>>::Future>(), 16),
        ("body", size_of::<ClientBody<Full<Bytes>>>(), 144),
    ];
    for (name, size, ceiling) in sizes {
        println!("{name}: {size}");
        assert!(size <= ceiling, "{name}: {size} bytes, more than {ceiling}");
    }
}
