//! An HTTP server with limits and a graceful shutdown.
//!
//! [`serve_with_shutdown`] follows a [`ShutdownToken`] through its phases:
//!
//! - **Running**: the server accepts HTTP/1 and HTTP/2 connections, which their first bytes
//!   distinguish, up to a limit. Connections above the limit wait, and the one that has been idle
//!   for the longest time is closed for them. The server closes a connection whose head takes too
//!   long, that is idle for too long, or whose client does not read its response; on HTTP/2 it
//!   resets the stream of such a client. A client that may still be sending when its connection is
//!   closed is read to the end, within [limits](ServerBuilder::linger_timeout), so that it can read
//!   its response. If an HTTP/1 client disconnects, its handler is dropped, unless
//!   [half-closed](ServerBuilder::half_close) clients are served. If the operating system has no
//!   file descriptor left, the server waits and accepts again.
//! - **Not ready**: the server goes on. `close` is added to the `connection` header of HTTP/1
//!   responses, so that clients send their next request on another connection before this one is
//!   closed. A 101, and a 2xx to CONNECT, keep their headers, because they end HTTP on the
//!   connection.
//! - **Draining**: the connections in the listener's queue are accepted, and then the listener is
//!   closed. Idle connections are closed, the others after the response in flight; on HTTP/2 the
//!   server sends GOAWAY and finishes its streams ([RFC 9113,
//!   6.8](https://www.rfc-editor.org/rfc/rfc9113#section-6.8)).
//! - **Forced**: the remaining connections are cut, and counted.
//!
//! The token counts connections as `http connections` and requests as `http requests`. A request
//! counts until the last byte of its response is passed to the operating system. In a handler the
//! token is [current](ShutdownToken::current): its retries stop when draining begins, and its calls
//! through a [`ShutdownLayer`](resilience_core::shutdown::ShutdownLayer) belong to the token. An
//! upgraded connection (a WebSocket), or HTTP/2 stream, keeps its permits and both counts until its
//! stream is dropped. The server closes it only when the shutdown is forced: let its handler watch
//! the token and end it before.
//!
//! ```
//! use std::convert::Infallible;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use resilience_core::shutdown::Shutdown;
//! use resilience_http::serve::{RequestBody, bind, serve_with_shutdown};
//! use tower::service_fn;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let shutdown = Shutdown::builder().grace(std::time::Duration::ZERO).build()?;
//! let token = shutdown.token();
//! let service = service_fn(|_request: Request<RequestBody>| async {
//!     Ok::<_, Infallible>(Response::new(Full::<bytes::Bytes>::from("here")))
//! });
//! let listener = bind("127.0.0.1:0").await?;
//! let server = tokio::spawn(serve_with_shutdown(listener, service, token.clone()));
//! token.begin("the example is over"); // or `Shutdown::on_signals`
//! let report = shutdown.run().await;
//! assert_eq!(report.exit_code(), 0);
//! assert_eq!(server.await?.cut, 0);
//! # Ok(())
//! # }
//! ```

mod accept;
mod activity;
mod bind;
mod connection;
mod connection_limit;
mod discard;
mod in_flight_body;
mod io;
mod limits;
mod linger;
mod listener;
mod min_rate;
mod outgoing;
mod peer;
mod piece;
mod reader;
mod request;
mod request_body;
mod server;
mod socket;
mod streams;
mod unread;
mod upgraded;

use http::{Request, Response};
use http_body::Body;
use resilience_core::shutdown::ShutdownToken;
use tower_service::Service;

pub use bind::{BindError, bind};
pub use in_flight_body::InFlightBody;
pub use listener::Listener;
pub use peer::Peer;
pub use piece::Piece;
pub use request_body::RequestBody;
pub use server::{Served, Server, ServerBuilder};
pub use socket::Socket;

/// Serves `service` on `listener` (TCP, Unix, or [another](Listener)) with the default limits of a
/// [`Server`], until `token` begins to drain and the requests in flight have ended or are cut.
///
/// `service` is any Tower service from `Request<RequestBody>` to a response, such as axum's
/// `Router`. Each connection is served by a clone. Dropping the future cuts all connections.
/// Requests have the client's address in their extensions, as [`Peer`]; for axum's `ConnectInfo`
/// see [`Server::serve_make_service`].
pub async fn serve_with_shutdown<L, S, B>(listener: L, service: S, token: ShutdownToken) -> Served
where
    L: Listener,
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    Server::default().serve(listener, service, &token).await
}
