//! Sources of connections.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll, ready};

use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream, unix};

use super::socket::Socket;

/// A source of connections: a TCP or Unix listener of tokio, or a type of your own.
///
/// ```
/// use std::io;
/// use std::net::{IpAddr, SocketAddr};
/// use std::task::{Context, Poll, ready};
/// use resilience_http::serve::{Listener, Socket};
/// use tokio::net::TcpListener;
///
/// /// Small responses wait for more bytes.
/// struct Delaying(TcpListener);
///
/// impl Listener for Delaying {
///     type Addr = SocketAddr;
///
///     fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Socket, SocketAddr)>> {
///         let (stream, peer) = ready!(self.0.poll_accept(cx))?;
///         stream.set_nodelay(false)?;
///         Poll::Ready(Ok((Socket::from(stream), peer)))
///     }
///
///     fn into_waiting(self) -> impl Iterator<Item = io::Result<(Socket, SocketAddr)>> + Send {
///         self.0.into_waiting()
///     }
///
///     fn ip(peer: &SocketAddr) -> Option<IpAddr> {
///         TcpListener::ip(peer)
///     }
/// }
/// ```
pub trait Listener: Send + 'static {
    /// Address of a client. Requests carry it in their extensions, as [`Peer`](super::Peer).
    type Addr: Clone + Send + Sync + 'static;

    /// Polls for the next connection. A handshake (TLS) belongs into the stream, where it keeps no
    /// other client waiting.
    ///
    /// # Errors
    /// The server passes over an error of one connection (aborted, refused, reset, interrupted).
    /// After any other it waits, for a second at most, and polls again.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Socket, Self::Addr)>>;

    /// Stops listening and returns, without waiting, the connections that were established and not
    /// yet accepted. They are read until it returns `None` or `WouldBlock`; after any other error
    /// that is not one connection's the server waits and reads on, for 1.3 s at most. Empty by
    /// default.
    fn into_waiting(self) -> impl Iterator<Item = io::Result<(Socket, Self::Addr)>> + Send
    where
        Self: Sized,
    {
        std::iter::empty()
    }

    /// Returns the IP address that
    /// [`max_connections_per_ip`](super::ServerBuilder::max_connections_per_ip) counts by. `None`,
    /// the default, is not limited.
    fn ip(peer: &Self::Addr) -> Option<IpAddr> {
        let _ = peer;
        None
    }
}

/// Small responses are sent at once (`TCP_NODELAY`).
impl Listener for TcpListener {
    type Addr = SocketAddr;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Socket, SocketAddr)>> {
        let (stream, peer) = ready!(TcpListener::poll_accept(self, cx))?;
        Poll::Ready(Ok((without_delay(stream), peer)))
    }

    fn into_waiting(self) -> impl Iterator<Item = io::Result<(Socket, SocketAddr)>> + Send {
        let listener = self.into_std();
        // Read from the operating system: tokio returns `Pending` until its driver has seen
        // readiness.
        std::iter::from_fn(move || {
            let (stream, peer) = match listener.as_ref().ok()?.accept() {
                Ok(accepted) => accepted,
                Err(error) => return Some(Err(error)),
            };
            let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
            Some(stream.map(|stream| (without_delay(stream), peer)))
        })
    }

    fn ip(peer: &SocketAddr) -> Option<IpAddr> {
        Some(peer.ip())
    }
}

fn without_delay(stream: TcpStream) -> Socket {
    // An error is ignored: without the option, small responses are only slower.
    let _result = stream.set_nodelay(true);
    stream.into()
}

/// Clients of a Unix listener have no IP address, and so no limit of their own.
#[cfg(unix)]
impl Listener for UnixListener {
    type Addr = std::sync::Arc<unix::SocketAddr>;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Socket, Self::Addr)>> {
        let (stream, peer) = ready!(UnixListener::poll_accept(self, cx))?;
        Poll::Ready(Ok((stream.into(), peer.into())))
    }

    fn into_waiting(self) -> impl Iterator<Item = io::Result<(Socket, Self::Addr)>> + Send {
        let listener = self.into_std();
        std::iter::from_fn(move || {
            let (stream, peer) = match listener.as_ref().ok()?.accept() {
                Ok(accepted) => accepted,
                Err(error) => return Some(Err(error)),
            };
            let stream = stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream));
            Some(stream.map(|stream| (stream.into(), unix::SocketAddr::from(peer).into())))
        })
    }
}
