//! *Before*: a worker of the motivating system.
//!
//! - It starts with any configuration, and fails later;
//! - its probes return 200 in every state;
//! - it handles no signal, and so ends in the middle of requests.

use std::convert::Infallible;
use std::process::ExitCode;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::predict::{player, predict};
use super::{Fault, LISTEN, SYSTEMS};
use crate::BoxError;
use crate::process::announcement;

pub(super) async fn run(fault: Option<Fault>) -> Result<ExitCode, BoxError> {
    let variable = |name, otherwise: &str| std::env::var(name).unwrap_or_else(|_| otherwise.into());
    let listener = TcpListener::bind(variable(LISTEN, "127.0.0.1:0")).await?;
    let systems = variable(SYSTEMS, "0").parse().unwrap_or_default();
    println!("{}", announcement(&[listener.local_addr()?]));
    loop {
        let (stream, _) = listener.accept().await?;
        let service = service_fn(move |request| respond(request, systems, fault));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn respond(
    request: Request<Incoming>,
    systems: u32,
    fault: Option<Fault>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let Some(player) = player(request.uri().path()) else {
        return Ok(Response::default());
    };
    let mut response = Response::default();
    match serde_json::to_vec(&predict(player, systems, fault).await) {
        Ok(text) => *response.body_mut() = text.into(),
        Err(_) => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    Ok(response)
}
