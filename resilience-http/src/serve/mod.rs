//! Serving HTTP until the process is told to stop, and then answering what was asked.
//!
//! [`serve_with_shutdown`] follows a [`ShutdownToken`] through its phases:
//!
//! - **Running**: connections are taken, HTTP/1 and HTTP/2 (told apart by their first bytes), at most so many
//!   at once; those above wait, and the one that was idle for longest is closed for them. A head that takes too long ends its connection, and so do idleness and a client that does
//!   not read its response; on HTTP/2, such a client's stream. One that may still be sending when its connection is
//!   closed is heard to the end, within [limits](ServerBuilder::linger_timeout), so that it gets to read its response.
//!   A client of HTTP/1 that leaves takes its handler with it, unless [half-closed](ServerBuilder::half_close) clients are served.
//!   When the operating system has no file descriptor left it waits and tries again.
//! - **Not ready**: all goes on. `close` is added to the `connection` header of responses on HTTP/1, so that clients
//!   with a connection make their next request elsewhere before it is closed. A 101, and a 2xx to CONNECT, keep
//!   their headers: such a connection is HTTP no longer.
//! - **Draining**: what has connected by now is taken, and then the listener is closed. Idle connections are
//!   closed, the others after the response that they wait for; HTTP/2 says GOAWAY and finishes its
//!   streams ([RFC 9113, 6.8](https://www.rfc-editor.org/rfc/rfc9113#section-6.8)).
//! - **Forced**: what is left is cut, and counted.
//!
//! Connections and requests are counted by the token as `http connections` and `http requests`, a request until
//! the last byte of its response is handed over. Inside of a handler the token is
//! [current](ShutdownToken::current): its retries stop when draining begins, and the calls that it makes
//! through a [`ShutdownLayer`](resilience_core::shutdown::ShutdownLayer) belong to it. An upgraded
//! connection (a WebSocket), or stream of HTTP/2, keeps its places and both counts until its stream is dropped. It is
//! closed only when the shutdown is forced: let its handler watch the token and end it before.
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
mod discard;
mod in_flight_body;
mod io;
mod limits;
mod linger;
mod listener;
mod outgoing;
mod pace;
mod peer;
mod piece;
mod reader;
mod request;
mod request_body;
mod room;
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

/// Serves `service` on `listener` (TCP, Unix, or [another](Listener)) until `token` says stop, and what is under way then is answered or cut: with the
/// limits that a [`Server`] begins with.
///
/// `service` is any Tower service from `Request<RequestBody>` to a response, such as axum's `Router`. A clone of it
/// serves each connection. Dropping the future cuts everything. Requests have the client's address in their
/// extensions, as [`Peer`]; [`Server::serve_make_service`] serves axum's `ConnectInfo`.
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
