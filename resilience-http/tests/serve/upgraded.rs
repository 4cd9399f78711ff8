//! Upgraded connections and streams: the permits that they hold, and their end.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::routing::any;
use http::{Method, Response, StatusCode};
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use resilience_core::shutdown::{Shutdown, ShutdownReport, ShutdownToken};
use resilience_http::serve::{Served, Server, ServerBuilder, bind};
use resilience_http::server::AdmissionControlLayer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::{LONG, MS, cut};

const UPGRADE: &str =
    "GET /echo HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
const CONNECT: &str = "CONNECT test:80 HTTP/1.1\r\nhost: test:80\r\n\r\n";

/// A server whose upgraded streams echo four bytes at a time, until `quit`. After `fill` they write
/// without an end.
struct Rig {
    address: SocketAddr,
    token: ShutdownToken,
    server: JoinHandle<Served>,
    shutdown: JoinHandle<ShutdownReport>,
}

async fn talk(mut stream: TokioIo<hyper::upgrade::Upgraded>) -> std::io::Result<()> {
    let mut word = [0; 4];
    loop {
        stream.read_exact(&mut word).await?;
        match &word {
            b"quit" => return Ok(()),
            b"fill" => loop {
                stream.write_all(&[b'x'; 1 << 16]).await?;
            },
            _ => stream.write_all(&word).await?,
        }
    }
}

async fn upgrade(mut request: Request) -> Response<axum::body::Body> {
    let is_connect = request.method() == Method::CONNECT;
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move { talk(TokioIo::new(upgraded.await.unwrap())).await });
    let status = if is_connect { StatusCode::OK } else { StatusCode::SWITCHING_PROTOCOLS };
    let mut response = Response::builder().status(status);
    if !is_connect {
        response = response.header("connection", "upgrade").header("upgrade", "echo");
    }
    response.body(axum::body::Body::empty()).unwrap()
}

impl Rig {
    async fn new(server: ServerBuilder, concurrency: u32, drain: Duration) -> Rig {
        let shutdown = Shutdown::builder().grace(Duration::ZERO).drain(drain).build().unwrap();
        let admission = AdmissionControlLayer::builder().concurrency(concurrency).build().unwrap();
        let router = Router::new()
            .route("/plain", any(|| async { "plain" }))
            .fallback(upgrade)
            .layer(admission);
        let listener = bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (token, server) = (shutdown.token(), server.build().unwrap());
        let stop = token.clone();
        let server = tokio::spawn(async move { server.serve(listener, router, &stop).await });
        Rig { address, token, server, shutdown: tokio::spawn(shutdown.run()) }
    }

    async fn upgraded(&self, request: &str) -> Client {
        let mut client = Client::connect(self.address).await;
        client.send(request).await;
        let head = client.receive("\r\n\r\n").await;
        let switched = head.starts_with("HTTP/1.1 101") || head.starts_with("HTTP/1.1 200");
        assert!(switched, "{request:?} {head:?}");
        echo(&mut client).await;
        client
    }

    /// Returns the status of a request on a new connection.
    async fn plain(&self) -> u16 {
        let mut client = Client::connect(self.address).await;
        client.send("GET /plain HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await;
        client.rest().await.unwrap()[9..12].parse().unwrap()
    }

    /// Waits until a request is served.
    async fn serves(&self) {
        let serves = async { while self.plain().await != 200 {} };
        tokio::time::timeout(LONG, serves).await.expect("no place is free");
    }

    async fn end(self) -> (ShutdownReport, Served) {
        let both = async { (self.shutdown.await.unwrap(), self.server.await.unwrap()) };
        tokio::time::timeout(LONG, both).await.expect("it does not end")
    }
}

async fn echo(client: &mut Client) {
    client.send("ping").await;
    assert_eq!(client.receive("ping").await, "ping");
}

/// Waits until the other side has closed or reset the connection.
async fn closed(client: Client) {
    let _bytes = client.rest().await;
}

#[tokio::test]
async fn an_upgraded_connection_holds_its_connection_permit() {
    for request in [UPGRADE, CONNECT] {
        let rig = Rig::new(Server::builder().max_connections(3), 100, LONG).await;
        let mut streams = Vec::new();
        for _ in 0..3 {
            streams.push(rig.upgraded(request).await);
        }
        for words in ["", "quit"] {
            let mut fourth = Client::connect(rig.address).await;
            fourth.send(request).await;
            let mut byte = [0; 1];
            let silence = tokio::time::timeout(MS * 50, fourth.0.read(&mut byte)).await;
            assert!(silence.is_err(), "above the limit: {silence:?}");
            // Closed by the client, and by the server.
            let mut first = streams.remove(0);
            first.send(words).await;
            if words == "quit" {
                closed(first).await;
            } else {
                drop(first);
            }
            assert!(fourth.receive("\r\n\r\n").await.starts_with("HTTP/1.1 "));
            echo(&mut fourth).await;
            streams.push(fourth);
        }
    }
}

#[tokio::test]
async fn an_upgraded_connection_holds_its_address_permit() {
    let rig = Rig::new(Server::builder().max_connections_per_ip(1), 100, LONG).await;
    let mut stream = rig.upgraded(UPGRADE).await;
    closed(Client::connect(rig.address).await).await;
    echo(&mut stream).await;
    stream.send("quit").await;
    closed(stream).await;
    rig.token.begin("test");
    let (report, served) = rig.end().await;
    assert_eq!((report.cut(), served.connections, served.rejected), (0, 1, 1), "{report}");
}

#[tokio::test]
async fn an_upgraded_connection_holds_its_request_permit() {
    for request in [UPGRADE, CONNECT] {
        let rig = Rig::new(Server::builder(), 1, LONG).await;
        for words in ["", "quit"] {
            let mut stream = rig.upgraded(request).await;
            assert_eq!(rig.plain().await, 503);
            stream.send(words).await;
            if words == "quit" {
                closed(stream).await;
            } else {
                drop(stream);
            }
            rig.serves().await;
        }
    }
}

/// Responses that could have upgraded the connection and did not.
#[tokio::test]
async fn a_response_without_an_upgrade_releases_its_permit() {
    let rig = Rig::new(Server::builder(), 1, LONG).await;
    let mut client = Client::connect(rig.address).await;
    for _ in 0..3 {
        client.send(&UPGRADE.replace("/echo", "/plain")).await;
        assert!(client.receive("\r\n\r\nplain").await.starts_with("HTTP/1.1 200"));
        assert_eq!(rig.plain().await, 200);
    }
    rig.token.begin("test");
    let (report, served) = rig.end().await;
    assert_eq!((report.cut(), served.cut), (0, 0), "{report}");
}

/// One stream waits for bytes of its client, the other for its client to read.
#[tokio::test]
async fn a_forced_shutdown_closes_and_counts_upgraded_connections() {
    for request in [UPGRADE, CONNECT] {
        let rig = Rig::new(Server::builder(), 100, MS * 50).await;
        let reads = rig.upgraded(request).await;
        let mut writes = rig.upgraded(request).await;
        writes.send("fill").await;
        writes.receive("x").await;
        rig.token.begin("test");
        let (report, served) = rig.end().await;
        let counts = (cut(&report, "http connections"), cut(&report, "http requests"));
        assert_eq!((counts, served.cut), ((2, 2), 2), "{report}");
        assert_ne!(report.exit_code(), 0);
        closed(reads).await;
        closed(writes).await;
    }
}

#[tokio::test]
async fn an_upgraded_connection_that_ends_in_time_is_not_cut() {
    let rig = Rig::new(Server::builder(), 100, LONG).await;
    let mut stream = rig.upgraded(UPGRADE).await;
    rig.token.begin("test");
    rig.token.draining().await;
    echo(&mut stream).await;
    assert!(!rig.server.is_finished());
    stream.send("quit").await;
    closed(stream).await;
    let (report, served) = rig.end().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.exit_code(), served.cut), (0, 0));
}

#[tokio::test]
async fn a_server_that_is_dropped_closes_upgraded_connections() {
    let rig = Rig::new(Server::builder(), 100, LONG).await;
    let stream = rig.upgraded(UPGRADE).await;
    rig.server.abort();
    closed(stream).await;
}

type Stream = TokioIo<hyper::upgrade::Upgraded>;

/// Returns a WebSocket stream over HTTP/2 (RFC 8441), and a handle to the connection.
async fn stream_of_http2(
    address: SocketAddr,
) -> (Stream, hyper::client::conn::http2::SendRequest<Empty<bytes::Bytes>>) {
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await;
    let (mut sender, connection) = handshake.unwrap();
    tokio::spawn(connection);
    let mut request = Request::connect("http://test/").body(Empty::<bytes::Bytes>::new()).unwrap();
    request.extensions_mut().insert(hyper::ext::Protocol::from_static("websocket"));
    // The settings of the server have to arrive first.
    let response = loop {
        match sender.send_request(request.clone()).await {
            Ok(response) => break response,
            Err(error) if error.is_user() => tokio::task::yield_now().await,
            Err(error) => panic!("{error:?}"),
        }
    };
    assert_eq!(response.status(), 200);
    let mut stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    let mut word = [0; 4];
    stream.write_all(b"ping").await.unwrap();
    stream.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"ping");
    (stream, sender)
}

#[tokio::test]
async fn an_upgraded_http2_stream_holds_its_request_permit() {
    let rig = Rig::new(Server::builder(), 1, LONG).await;
    for words in ["", "quit"] {
        let (mut stream, sender) = stream_of_http2(rig.address).await;
        assert_eq!(rig.plain().await, 503);
        stream.write_all(words.as_bytes()).await.unwrap();
        if words == "quit" {
            let mut rest = Vec::new();
            let _end = tokio::time::timeout(LONG, stream.read_to_end(&mut rest)).await.unwrap();
        } else {
            drop(stream);
        }
        // On the same connection, which goes on.
        rig.serves().await;
        drop(sender);
    }
    rig.token.begin("test");
    let (report, _) = rig.end().await;
    assert_eq!(report.cut(), 0, "{report}");
}

#[tokio::test]
async fn a_forced_shutdown_closes_and_counts_upgraded_http2_streams() {
    let rig = Rig::new(Server::builder(), 100, MS * 50).await;
    let (mut stream, _sender) = stream_of_http2(rig.address).await;
    rig.token.begin("test");
    let mut rest = Vec::new();
    let _end = tokio::time::timeout(LONG, stream.read_to_end(&mut rest)).await.unwrap();
    let (report, served) = rig.end().await;
    let counts = (cut(&report, "http connections"), cut(&report, "http requests"));
    assert_eq!((counts, served.cut), ((1, 1), 1), "{report}");
}
