//! Servers with TLS, and servers with a faulty handshake.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// The behaviour of a server on a connection.
#[derive(Clone)]
pub(crate) enum Peer {
    /// Responds 200 to every request.
    Serves(Arc<ServerConfig>),
    /// Responds 200 to four requests of HTTP/1, and closes.
    ServesFour(Arc<ServerConfig>),
    /// Reads the client's first message and sends this text, which is not TLS.
    Sends(&'static str),
    /// Reads the client's first message and closes.
    Closes,
    /// Reads a part of the client's first message and resets the connection.
    Resets,
    /// Reads, and never responds.
    Stalls,
}

impl Peer {
    pub(crate) fn serves(config: ServerConfig) -> Peer {
        Peer::Serves(Arc::new(config))
    }
}

/// The counters of a server.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Counts>);

#[derive(Default)]
struct Counts {
    accepted: AtomicUsize,
    open: AtomicUsize,
    limit: AtomicUsize,
    above: AtomicUsize,
    requests: AtomicUsize,
}

impl Seen {
    /// Returns the number of accepted connections.
    pub(crate) fn accepted(&self) -> usize {
        self.0.accepted.load(Ordering::SeqCst)
    }

    /// Returns the number of connections that were accepted above the limit.
    pub(crate) fn above(&self) -> usize {
        self.0.above.load(Ordering::SeqCst)
    }

    /// Sets the limit for [`above`](Seen::above).
    pub(crate) fn set_limit(&self, limit: usize) {
        self.0.limit.store(limit, Ordering::SeqCst);
    }

    /// Returns the number of open connections.
    pub(crate) fn open(&self) -> usize {
        self.0.open.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> usize {
        self.0.requests.load(Ordering::SeqCst)
    }

    fn count(&self) -> Open {
        self.0.accepted.fetch_add(1, Ordering::SeqCst);
        let open = self.0.open.fetch_add(1, Ordering::SeqCst);
        let above = usize::from(open >= self.0.limit.load(Ordering::SeqCst));
        self.0.above.fetch_add(above, Ordering::SeqCst);
        Open(self.clone())
    }
}

/// Counts an open connection. Dropped before the socket, so the count falls before the client sees
/// the end.
struct Open(Seen);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Starts a server whose *n*-th connection, from 0, has the behaviour `peer(n)`.
pub(crate) async fn serve(peer: impl Fn(usize) -> Peer + Send + 'static) -> (SocketAddr, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Seen::default();
    let counted = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let peer = peer(counted.accepted());
            tokio::spawn(connection(stream, peer, counted.count()));
        }
    });
    (address, seen)
}

async fn connection(mut stream: TcpStream, peer: Peer, open: Open) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; 4096];
    match peer {
        Peer::Serves(config) => return response(stream, config, open, usize::MAX).await,
        Peer::ServesFour(config) => return response(stream, config, open, 4).await,
        Peer::Sends(text) => {
            let _hello = stream.read(&mut buffer).await?;
            stream.write_all(text.as_bytes()).await?;
        }
        Peer::Closes => {
            let _hello = stream.read(&mut buffer).await?;
        }
        Peer::Resets => {
            let _part = stream.read(&mut buffer[..5]).await?;
            stream.set_zero_linger()?;
        }
        Peer::Stalls => while stream.read(&mut buffer).await? > 0 {},
    }
    drop(open);
    Ok(())
}

async fn response(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    open: Open,
    requests: usize,
) -> std::io::Result<()> {
    let stream = TlsAcceptor::from(config).accept(stream).await?;
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let seen = open.0.clone();
    let left = AtomicUsize::new(requests);
    let open = Mutex::new(Some(open));
    let service = service_fn(|_| {
        seen.0.requests.fetch_add(1, Ordering::SeqCst);
        let mut response = http::Response::new(Full::<Bytes>::from("ok"));
        if left.fetch_sub(1, Ordering::SeqCst) == 1 {
            response.headers_mut().insert("connection", "close".parse().unwrap());
            open.lock().take();
        }
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let stream = TokioIo::new(stream);
    let served = if http2 {
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        server.serve_connection(stream, service).await
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await
    };
    served.map_err(std::io::Error::other)
}
