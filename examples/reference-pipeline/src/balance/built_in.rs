//! A small HTTP balancer, for machines without HAProxy.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::CHECK_INTERVAL;
use crate::BoxError;
use crate::process::announcement;

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// Timeout of a readiness check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

struct Balancer {
    workers: Vec<Worker>,
    next: AtomicUsize,
    client: Client<HttpConnector, Incoming>,
}

struct Worker {
    authority: Authority,
    ready: AtomicBool,
}

pub(super) async fn run(workers: &[SocketAddr]) -> Result<(), BoxError> {
    let worker = |address: &SocketAddr| {
        let authority = address.to_string().parse()?;
        Ok(Worker { authority, ready: AtomicBool::new(false) })
    };
    let balancer = Arc::new(Balancer {
        workers: workers.iter().map(worker).collect::<Result<_, BoxError>>()?,
        next: AtomicUsize::new(0),
        // A retry here would hide requests that a worker drops.
        client: Client::builder(TokioExecutor::new()).retry_canceled_requests(false).build_http(),
    });
    for nth in 0..balancer.workers.len() {
        tokio::spawn(check(balancer.clone(), nth));
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", announcement(&[listener.local_addr()?]));
    loop {
        let (stream, _) = listener.accept().await?;
        let balancer = balancer.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let balancer = balancer.clone();
                async move { Ok::<_, hyper::Error>(balancer.respond(request).await) }
            });
            // Errors of a connection are expected: clients disconnect.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Checks a worker's readiness at every interval, until the balancer ends.
async fn check(balancer: Arc<Balancer>, nth: usize) {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let mut due = tokio::time::interval(CHECK_INTERVAL);
    loop {
        due.tick().await;
        let worker = &balancer.workers[nth];
        let Ok(uri) = worker.uri("/ready") else { return };
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = uri;
        let response = timeout(CHECK_TIMEOUT, client.request(request)).await;
        let ready = matches!(response, Ok(Ok(response)) if response.status() == StatusCode::OK);
        worker.ready.store(ready, Ordering::Relaxed);
    }
}

impl Worker {
    fn uri(&self, path: &str) -> Result<Uri, http::Error> {
        let uri = Uri::builder().scheme(Scheme::HTTP).authority(self.authority.clone());
        uri.path_and_query(path).build()
    }
}

impl Balancer {
    /// Returns the next ready worker in round-robin order.
    fn pick(&self) -> Option<&Worker> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let all = 0..self.workers.len();
        let in_turn = all.map(|nth| &self.workers[first.wrapping_add(nth) % self.workers.len()]);
        in_turn.into_iter().find(|worker| worker.ready.load(Ordering::Relaxed))
    }

    async fn respond(&self, mut request: Request<Incoming>) -> Response<Body> {
        let Some(worker) = self.pick() else { return rejection(StatusCode::SERVICE_UNAVAILABLE) };
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let Ok(uri) = worker.uri(path) else { return rejection(StatusCode::BAD_REQUEST) };
        *request.uri_mut() = uri;
        match self.client.request(request).await {
            Ok(response) => response.map(BodyExt::boxed_unsync),
            Err(_) => rejection(StatusCode::BAD_GATEWAY),
        }
    }
}

fn rejection(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balancer(ready: &[bool]) -> Balancer {
        let worker = |(port, ready): (usize, &bool)| Worker {
            authority: format!("127.0.0.1:{port}").parse().unwrap(),
            ready: AtomicBool::new(*ready),
        };
        Balancer {
            workers: ready.iter().enumerate().map(worker).collect(),
            next: AtomicUsize::new(0),
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    #[test]
    fn ready_workers_are_picked_in_turn() {
        let balancer = balancer(&[true, false, true]);
        let picked: Vec<_> =
            (0..6).map(|_| balancer.pick().unwrap().authority.port_u16()).collect();
        assert_eq!(picked, [Some(0), Some(2), Some(2), Some(0), Some(2), Some(2)]);
        assert!(self::balancer(&[false, false]).pick().is_none());
    }
}
