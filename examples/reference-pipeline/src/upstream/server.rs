//! The accept loop of the upstream, and its connections.

use std::future::poll_fn;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::hang_up::HangUp;
use super::replies::Reply;
use crate::BoxError;

/// Accepts connections until `accept` fails. Calls `accepted` for each of them.
pub(super) async fn serve<A, F>(
    listener: TcpListener,
    accepted: impl Fn(),
    respond: A,
) -> Result<(), BoxError>
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Reply, BoxError>> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await?;
        accepted();
        tokio::spawn(connection(stream, respond.clone()));
    }
}

/// Serves a connection until either side ends it. Errors are not logged: broken connections are the
/// purpose of this server.
async fn connection<A, F>(stream: TcpStream, respond: A)
where
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Result<Reply, BoxError>>,
{
    let service = service_fn(|request| Box::pin(respond(request)));
    let mut http = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let ended = poll_fn(|cx| http.poll_without_shutdown(cx)).await;
    if let Err(error) = ended
        && HangUp::behind(&error) == Some(HangUp::Reset)
    {
        let stream = http.into_parts().io.into_inner();
        // SO_LINGER of 0 makes the close send a reset. If it cannot be set, the connection closes
        // without one.
        let _ = stream.set_zero_linger();
    }
}
