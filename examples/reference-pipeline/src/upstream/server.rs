//! Connections.

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

/// Accepts until accepting fails; `accepted` hears of each connection.
pub(super) async fn serve<A, F>(
    listener: TcpListener,
    accepted: impl Fn(),
    answer: A,
) -> Result<(), BoxError>
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Reply, BoxError>> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await?;
        accepted();
        tokio::spawn(connection(stream, answer.clone()));
    }
}

/// Serves a connection until either side has enough of it. That is not worth a line in a log: being
/// hung up on is what this server is for.
async fn connection<A, F>(stream: TcpStream, answer: A)
where
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Result<Reply, BoxError>>,
{
    let service = service_fn(|request| Box::pin(answer(request)));
    let mut http = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let ended = poll_fn(|cx| http.poll_without_shutdown(cx)).await;
    if let Err(error) = ended
        && HangUp::behind(&error) == Some(HangUp::Reset)
    {
        let stream = http.into_parts().io.into_inner();
        // Closing without lingering is what puts a reset on the wire. If it cannot be set, the
        // connection still closes, only more politely.
        let _ = stream.set_zero_linger();
    }
}
