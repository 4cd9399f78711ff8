//! Admission control over real sockets, with hostile clients.

#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod ending;
mod fields;
mod keys;
mod reading;
mod router;
mod uploads;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use futures_util::stream;
use resilience_core::shutdown::{Shutdown, ShutdownToken};
use resilience_http::serve::{Server, bind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MS: Duration = Duration::from_millis(1);
/// Longest wait of a test, for a slow machine.
const LONG: Duration = Duration::from_secs(30);

/// Serves until the test ends.
async fn serve(server: Server, router: Router) -> (SocketAddr, ShutdownToken) {
    let shutdown = Shutdown::builder().grace(Duration::ZERO).drain(LONG).build().unwrap();
    let listener = bind("127.0.0.1:0").await.unwrap();
    let (address, token) = (listener.local_addr().unwrap(), shutdown.token());
    let stop = token.clone();
    tokio::spawn(async move { server.serve(listener, router, &stop).await });
    tokio::spawn(shutdown.run());
    (address, token)
}

/// Waits for a condition, and fails after a time limit.
async fn until(mut there: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !there().await {
            tokio::time::sleep(MS).await;
        }
    };
    tokio::time::timeout(LONG, wait).await.expect("it does not come");
}

/// An endless body that is always ready.
fn endless() -> Body {
    let chunk = Bytes::from(vec![b'x'; 16 << 10]);
    Body::from_stream(stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone())))
}

/// A client that returns the bytes on the wire.
struct Client(TcpStream);

impl Client {
    async fn connect(address: SocketAddr) -> Client {
        Client(TcpStream::connect(address).await.unwrap())
    }

    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Sends a request and reads the head of the response.
    async fn get(&mut self, path: &str, headers: &str) -> String {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: test\r\n{headers}\r\n")).await;
        self.head().await
    }

    async fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let byte = tokio::time::timeout(LONG, self.0.read_u8()).await.expect("nothing comes");
            head.push(char::from(byte.expect("it was closed")));
        }
        head
    }

    /// Reads until the other side closes.
    async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let read = self.0.read_to_end(&mut rest);
        // A reset counts as a close.
        let _closed = tokio::time::timeout(LONG, read).await.expect("it is not closed");
        String::from_utf8_lossy(&rest).into_owned()
    }
}

/// Returns the status of a request on a new connection.
async fn status(address: SocketAddr, path: &str, headers: &str) -> u16 {
    let head = Client::connect(address).await.get(path, headers).await;
    head[9..12].parse().unwrap()
}
