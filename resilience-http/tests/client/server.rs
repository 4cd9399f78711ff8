//! A server that counts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What a server has seen.
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
    /// Connections that were accepted, ever.
    pub(crate) fn accepted(&self) -> usize {
        self.0.accepted.load(Ordering::SeqCst)
    }

    /// The most that were open at once.
    pub(crate) fn peak(&self) -> usize {
        self.0.peak.load(Ordering::SeqCst)
    }

    /// Closes the connections that are open.
    pub(crate) fn close_all(&self) {
        self.0.close.notify_waiters();
    }

    /// Requests, attempts of one call included.
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

/// What a server does when it has read the head of its *n*-th request, from 0.
pub(crate) type Answer = fn(usize, &str) -> Reply;

/// What it does.
pub(crate) enum Reply {
    /// Writes this and reads on.
    Says(String),
    /// Writes this and closes.
    SaysAndCloses(String),
    /// Ends its side, and keeps the other.
    HalfCloses,
    /// Breaks off.
    Resets,
    /// Says nothing ever.
    Hangs,
}

/// A response of this status.
pub(crate) fn status(status: u16) -> Reply {
    Reply::Says(format!("HTTP/1.1 {status} Status\r\ncontent-length: 2\r\n\r\nok"))
}

/// A server of HTTP/1 that keeps connections open.
pub(crate) async fn serve(response: Answer) -> (SocketAddr, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, seen) = (listener.local_addr().unwrap(), Seen::default());
    let counted = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (open, seen) = (Open::count(&counted), counted.clone());
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

async fn connection(mut stream: TcpStream, seen: &Seen, response: Answer) -> std::io::Result<()> {
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    loop {
        while !text.contains("\r\n\r\n") {
            match stream.read(&mut buffer).await? {
                0 => return Ok(()),
                read => text.push_str(&String::from_utf8_lossy(&buffer[..read])),
            }
        }
        let number = seen.0.requests.fetch_add(1, Ordering::SeqCst);
        match response(number, &text) {
            Reply::Says(response) => stream.write_all(response.as_bytes()).await?,
            Reply::SaysAndCloses(response) => return stream.write_all(response.as_bytes()).await,
            Reply::HalfCloses => {
                stream.shutdown().await?;
                std::future::pending().await
            }
            Reply::Resets => return stream.set_zero_linger(),
            Reply::Hangs => std::future::pending().await,
        }
        text.clear();
    }
}
