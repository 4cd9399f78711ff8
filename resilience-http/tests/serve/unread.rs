//! Unread bytes of responses, and their limits.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::get;
use resilience_core::observe::{Gauges, names};
use resilience_core::shutdown::{Shutdown, ShutdownToken};
use resilience_http::serve::{Listener, Served, Server, ServerBuilder, Socket, bind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::frames::{DATA, Frames, HEADERS, RST_STREAM};
use crate::{LONG, MS, SECOND};

const MIB: usize = 1 << 20;
/// The initial window of streams is 0.
const SHUT: &[u8] = &[0, 4, 0, 0, 0, 0];

/// A server whose responses have `length` bytes, and the number of its responses.
pub(crate) struct Bytewise {
    pub(crate) address: SocketAddr,
    pub(crate) server: Server,
    made: Arc<AtomicUsize>,
    token: ShutdownToken,
    served: JoinHandle<Served>,
}

impl Bytewise {
    pub(crate) async fn new(builder: ServerBuilder, length: usize) -> Bytewise {
        let listener = bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Bytewise::over(listener, address, builder, length)
    }

    fn over(
        listener: impl Listener,
        address: SocketAddr,
        builder: ServerBuilder,
        length: usize,
    ) -> Bytewise {
        let server = builder.build().unwrap();
        let made = Arc::new(AtomicUsize::new(0));
        let count = made.clone();
        let router = Router::new().route(
            "/",
            get(async move || {
                count.fetch_add(1, Ordering::Relaxed);
                Bytes::from(vec![b'x'; length])
            }),
        );
        let shutdown = Shutdown::builder().grace(Duration::ZERO).drain(SECOND);
        let shutdown = shutdown.build().unwrap();
        let token = shutdown.token();
        let (stop, serving) = (token.clone(), server.clone());
        let served = tokio::spawn(async move { serving.serve(listener, router, &stop).await });
        tokio::spawn(shutdown.run());
        Bytewise { address, server, made, token, served }
    }

    /// Waits until the gauge has this value.
    pub(crate) async fn reaches(&self, is_there: impl Fn(u64) -> bool) {
        let wait = async {
            while !is_there(self.server.unread_bytes()) {
                tokio::time::sleep(MS).await;
            }
        };
        let waited = tokio::time::timeout(LONG, wait).await;
        assert!(waited.is_ok(), "it is at {}", self.server.unread_bytes());
    }

    async fn end(self) -> Served {
        self.token.begin("test");
        tokio::time::timeout(LONG, self.served).await.expect("it does not end").unwrap()
    }
}

/// Sends a request with `connection: close`, and returns how many bytes come until the close.
async fn read_all(address: SocketAddr) -> usize {
    let mut client = Client::connect(address).await;
    client.send("GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await;
    let mut all = Vec::new();
    tokio::time::timeout(LONG, client.0.read_to_end(&mut all)).await.unwrap().unwrap();
    all.len()
}

async fn requesting_client(address: SocketAddr, times: usize) -> TcpStream {
    let mut client = Client::connect(address).await;
    for _ in 0..times {
        client.get("/").await;
    }
    client.0
}

#[tokio::test]
async fn the_gauge_counts_unread_bytes() {
    let rig = Bytewise::new(Server::builder(), 64 * MIB).await;
    let slow = requesting_client(rig.address, 1).await;
    rig.reaches(|bytes| bytes == 64 << 20).await;
    let mut seen = Vec::new();
    rig.server.gauges(&mut |name, value| seen.push((name, value)));
    assert_eq!(seen, [(names::SERVER_UNREAD, f64::from(64 << 20))]);
    drop(slow);
    rig.reaches(|bytes| bytes == 0).await;
    assert!(read_all(rig.address).await > 64 * MIB);
    rig.reaches(|bytes| bytes == 0).await;
    assert_eq!(rig.end().await.unread, 0);
}

/// A response within one HTTP/1 buffer is on the wire; only HTTP/2 shows that it is unread.
#[tokio::test]
async fn small_responses_count_as_well() {
    let rig = Bytewise::new(Server::builder(), 16 << 10).await;
    let mut client = Frames::to(rig.address, SHUT).await;
    for stream in (1..400).step_by(2) {
        client.request(stream).await;
    }
    rig.reaches(|bytes| bytes == 200 * (16 << 10)).await;
    // 5 s with less than 240 bytes a second.
    let mut reset = Vec::new();
    while reset.len() < 200 {
        reset.push(client.next(RST_STREAM).await.0);
    }
    rig.reaches(|bytes| bytes == 0).await;
    assert!(read_all(rig.address).await > 16 << 10);
}

/// A request begins only when the response to the one before is written.
#[tokio::test]
async fn pipelined_requests_begin_one_after_the_other() {
    let rig = Bytewise::new(Server::builder(), 8 * MIB).await;
    let mut client = requesting_client(rig.address, 30).await;
    rig.reaches(|bytes| bytes > 0).await;
    tokio::time::sleep(MS * 100).await;
    assert!(rig.server.unread_bytes() <= 16 << 20, "{}", rig.server.unread_bytes());
    assert!(rig.made.load(Ordering::Relaxed) < 10);
    let mut left = 30 * 8 * MIB;
    let mut buffer = vec![0; MIB];
    while left > 0 {
        let read = tokio::time::timeout(LONG, client.read(&mut buffer)).await.unwrap().unwrap();
        assert_ne!(read, 0, "it was closed, {left} bytes early");
        left = left.saturating_sub(read);
        assert!(rig.server.unread_bytes() <= 16 << 20);
    }
    rig.reaches(|bytes| bytes == 0).await;
    assert_eq!(rig.made.load(Ordering::Relaxed), 30);
}

#[tokio::test]
async fn a_connection_above_its_limit_gets_no_more() {
    let builder = Server::builder().max_unread_bytes_per_connection(1 << 20);
    let rig = Bytewise::new(builder, MIB).await;
    let mut client = Frames::to(rig.address, SHUT).await;
    client.request(1).await;
    rig.reaches(|bytes| bytes == 1 << 20).await;
    for stream in [3, 5] {
        client.request(stream).await;
        assert_eq!(client.next(RST_STREAM).await.0, stream);
    }
    assert_eq!(rig.server.unread_bytes(), 1 << 20);
    // Other connections get theirs, and this one gets more once it has read what it had.
    assert!(read_all(rig.address).await > MIB);
    for stream in [0, 1] {
        client.widen(stream, 2 << 20).await;
    }
    rig.reaches(|bytes| bytes == 0).await;
    client.request(7).await;
    while client.next(HEADERS).await.0 != 7 {}
    client.widen(7, 1).await;
    while client.next(DATA).await.0 != 7 {}
    drop(client);
    rig.reaches(|bytes| bytes == 0).await;
    assert_eq!(rig.end().await.unread, 2);
}

#[tokio::test]
async fn the_slowest_reader_is_cut_for_the_others() {
    let builder = Server::builder().max_unread_bytes(40 << 20);
    let rig = Bytewise::new(builder, 16 * MIB).await;
    let mut slow = Vec::new();
    for _ in 0..10 {
        slow.push(requesting_client(rig.address, 1).await);
    }
    rig.reaches(|bytes| (1..=40 << 20).contains(&bytes)).await;
    // Another client, which reads.
    for _ in 0..3 {
        assert!(read_all(rig.address).await > 16 * MIB);
    }
    assert!(rig.server.unread_bytes() <= 40 << 20);
    drop(slow);
    rig.reaches(|bytes| bytes == 0).await;
    let served = rig.end().await;
    assert!(served.unread >= 8 && served.cut == 0, "{served:?}");
}

#[tokio::test]
async fn a_response_above_the_limit_of_the_server_is_not_sent() {
    let rig = Bytewise::new(Server::builder().max_unread_bytes(1 << 20), 64 * MIB).await;
    let mut client = requesting_client(rig.address, 1).await;
    let mut all = Vec::new();
    let _reset = tokio::time::timeout(LONG, client.read_to_end(&mut all)).await.unwrap();
    assert!(all.len() < 64 * MIB);
    rig.reaches(|bytes| bytes == 0).await;
    assert_eq!(rig.end().await.unread, 1);
}

/// A stream without vectored writes.
struct Plain(TcpStream);

impl AsyncRead for Plain {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Plain {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

struct Boxed(TcpListener);

impl Listener for Boxed {
    type Addr = SocketAddr;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Socket, SocketAddr)>> {
        let (stream, peer) = ready!(TcpListener::poll_accept(&self.0, cx))?;
        Poll::Ready(Ok((Socket::new(Plain(stream)), peer)))
    }
}

/// hyper would copy the response for a stream without vectored writes, and the copy would not
/// count.
#[tokio::test]
async fn a_response_on_a_boxed_stream_counts_until_it_is_written() {
    let listener = bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let builder = Server::builder().write_timeout(SECOND);
    let rig = Bytewise::over(Boxed(listener), address, builder, 64 * MIB);
    let _slow = requesting_client(address, 1).await;
    rig.reaches(|bytes| bytes == 64 << 20).await;
    rig.reaches(|bytes| bytes == 0).await;
    assert!(read_all(address).await > 64 * MIB);
}
