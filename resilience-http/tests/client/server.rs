//! A server that counts connections and requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// The counters of a server.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Counts>);

#[derive(Default)]
struct Counts {
    accepted: AtomicUsize,
    open: AtomicUsize,
    peak: AtomicUsize,
    requests: AtomicUsize,
    close: Notify,
}

impl Seen {
    /// Returns the number of accepted connections.
    pub(crate) fn accepted(&self) -> usize {
        self.0.accepted.load(Ordering::SeqCst)
    }

    /// Returns the largest number of connections that were open at once.
    pub(crate) fn peak(&self) -> usize {
        self.0.peak.load(Ordering::SeqCst)
    }

    /// Closes all open connections.
    pub(crate) fn close_all(&self) {
        self.0.close.notify_waiters();
    }

    /// Returns the number of requests, each attempt counted.
    pub(crate) fn requests(&self) -> usize {
        self.0.requests.load(Ordering::SeqCst)
    }
}

struct Open(Seen);

impl Open {
    fn count(seen: &Seen) -> Open {
        seen.0.accepted.fetch_add(1, Ordering::SeqCst);
        let open = seen.0.open.fetch_add(1, Ordering::SeqCst) + 1;
        seen.0.peak.fetch_max(open, Ordering::SeqCst);
        Open(seen.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The reply of a server to the head of its *n*-th request, from 0.
pub(crate) type Respond = fn(usize, &str) -> Reply;

/// The reaction of a server to a request.
pub(crate) enum Reply {
    /// Writes this text and reads on.
    Send(String),
    /// Writes this text and closes the connection.
    SendAndClose(String),
    /// Shuts down its sending side, and keeps the connection.
    HalfClose,
    /// Resets the connection.
    Reset,
    /// Never responds.
    Hang,
}

/// Returns a response with this status.
pub(crate) fn status(status: u16) -> Reply {
    Reply::Send(format!("HTTP/1.1 {status} Status\r\ncontent-length: 2\r\n\r\nok"))
}

/// Starts an HTTP/1 server that keeps connections open.
pub(crate) async fn serve(response: Respond) -> (SocketAddr, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Seen::default();
    let counted = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let open = Open::count(&counted);
            let seen = counted.clone();
            tokio::spawn(async move {
                let closed = seen.0.close.notified();
                tokio::select! {
                    _ended = connection(stream, &seen, response) => {}
                    () = closed => {}
                }
                drop(open);
            });
        }
    });
    (address, seen)
}

async fn connection(mut stream: TcpStream, seen: &Seen, response: Respond) -> std::io::Result<()> {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        while !text.contains("\r\n\r\n") {
            match stream.read(&mut buffer).await? {
                0 => return Ok(()),
                read => text.push_str(&String::from_utf8_lossy(&buffer[..read])),
            }
        }
        let number = seen.0.requests.fetch_add(1, Ordering::SeqCst);
        match response(number, &text) {
            Reply::Send(response) => stream.write_all(response.as_bytes()).await?,
            Reply::SendAndClose(response) => return stream.write_all(response.as_bytes()).await,
            Reply::HalfClose => {
                stream.shutdown().await?;
                std::future::pending().await
            }
            Reply::Reset => return stream.set_zero_linger(),
            Reply::Hang => std::future::pending().await,
        }
        text.clear();
    }
}
