//! The HTTP server that the subjects call.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpSocket;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tower::BoxError;

/// A server on its own thread, stopped when this value is dropped.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

const BODY: Bytes = Bytes::from_static(b"{\"points\":27}");

/// Pending connections of the listener: all connections of a lap may arrive at once.
const BACKLOG: u32 = 1_024;

impl Server {
    pub(super) fn start() -> Result<Server, BoxError> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(async {
            let socket = TcpSocket::new_v4()?;
            socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
            socket.listen(BACKLOG)
        })?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Messages are small. Nagle's algorithm would delay them, and that delay would be
                // measured.
                let _ = stream.set_nodelay(true);
                let answer =
                    service_fn(async |_| Ok::<_, Infallible>(Response::new(Full::new(BODY))));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
        };
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve => (),
                    // The `Server` was dropped.
                    _ = stopped => (),
                }
            });
        });
        Ok(Server { address, _stop: stop })
    }
}
