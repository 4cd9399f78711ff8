//! Upgrades during a shutdown.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use resilience_core::shutdown::{Shutdown, ShutdownReport, ShutdownToken};
use resilience_http::serve::{RequestBody, Served, Server, bind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tower::service_fn;

use crate::LONG;
use crate::client::Client;

struct Upgrading {
    address: SocketAddr,
    token: ShutdownToken,
    /// Signals of handlers that have begun, and permits of those that may respond.
    entered: Arc<Semaphore>,
    may_respond: Arc<Semaphore>,
    server: JoinHandle<Served>,
    shutdown: JoinHandle<ShutdownReport>,
}

/// A server that responds with the status and connection options in the query. After a 101 or a 2xx
/// to CONNECT it echoes.
async fn upgrading(grace: Duration) -> Upgrading {
    let shutdown = Shutdown::builder().grace(grace).drain(LONG).build().unwrap();
    let token = shutdown.token();
    let (entered, may_respond) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let gates = (entered.clone(), may_respond.clone());
    let service = service_fn(move |mut request: Request<RequestBody>| {
        let (entered, may_respond) = gates.clone();
        async move {
            entered.add_permits(1);
            may_respond.acquire().await.unwrap().forget();
            let response =
                request.headers().get("x-response").unwrap().to_str().unwrap().to_owned();
            // Space at the ends is not part of the value.
            let (status, options) = response.split_once(' ').unwrap_or((&response, ""));
            let status: StatusCode = status.parse().unwrap();
            let mut response = Response::new(Empty::<bytes::Bytes>::new());
            *response.status_mut() = status;
            for option in options.split('|').filter(|option| !option.is_empty()) {
                response.headers_mut().append("connection", option.parse().unwrap());
            }
            if status == 101 || request.method() == Method::CONNECT && status.is_success() {
                let upgraded = hyper::upgrade::on(&mut request);
                tokio::spawn(async move {
                    let mut stream = TokioIo::new(upgraded.await.unwrap());
                    let mut word = [0; 4];
                    if stream.read_exact(&mut word).await.is_ok() {
                        stream.write_all(&word).await.unwrap();
                    }
                });
            }
            Ok::<_, Infallible>(response)
        }
    });
    let listener = bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), token.clone());
    let server =
        tokio::spawn(async move { Server::default().serve(listener, service, &stop).await });
    let shutdown = tokio::spawn(shutdown.run());
    Upgrading { address, token, entered, may_respond, server, shutdown }
}

const UPGRADE: &str = "GET / HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: echo\r\n";
const CONNECT: &str = "CONNECT test:80 HTTP/1.1\r\nhost: test:80\r\n";
const PLAIN: &str = "GET / HTTP/1.1\r\nhost: test\r\n";

/// The `connection` of each response, in the order of request, response, expected.
const TABLE: [(&str, &str, Option<&str>); 10] = [
    (UPGRADE, "101 upgrade", Some("upgrade")),
    (UPGRADE, "101 Upgrade|x-hop", Some("Upgrade, x-hop")),
    (CONNECT, "200 ", None),
    (CONNECT, "204 ", None),
    (CONNECT, "502 ", Some("close")),
    (UPGRADE, "200 ", Some("close")),
    (UPGRADE, "426 upgrade", Some("upgrade, close")),
    (PLAIN, "200 keep-alive", Some("close")),
    (PLAIN, "404 x-hop, close", Some("x-hop, close")),
    (PLAIN, "426 upgrade", Some("upgrade, close")),
];

fn connection(head: &str) -> Option<&str> {
    head.lines().find_map(|line| line.strip_prefix("connection: "))
}

impl Upgrading {
    /// Sends a request, calls `then` once its handler has begun, and returns the response.
    async fn request_around(
        &self,
        request: &str,
        response: &str,
        then: impl FnOnce(),
    ) -> (Client, String) {
        let mut client = Client::connect(self.address).await;
        client.send(&format!("{request}x-response: {response}\r\n\r\n")).await;
        let entered = tokio::time::timeout(LONG, self.entered.acquire()).await;
        entered.expect("no handler begins").unwrap().forget();
        then();
        // Lets the server run.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        self.may_respond.add_permits(1);
        let head = client.receive("\r\n\r\n").await;
        (client, head)
    }
}

async fn echoes(mut client: Client) {
    client.send("ping").await;
    assert_eq!(client.receive("ping").await, "ping");
}

fn leaves_http(request: &str, response: &str) -> bool {
    response.starts_with("101") || request == CONNECT && response.starts_with('2')
}

#[tokio::test]
async fn an_upgrade_during_the_grace_keeps_its_headers() {
    for (request, response, expected) in TABLE {
        let server = upgrading(LONG).await;
        server.token.begin("test");
        assert!(!server.token.is_ready() && !server.token.is_draining());
        let (client, head) = server.request_around(request, response, || ()).await;
        assert_eq!(connection(&head), expected, "{request:?} {head:?}");
        if leaves_http(request, response) {
            echoes(client).await;
        } else {
            assert_eq!(client.rest().await.unwrap(), "", "{request:?} {head:?}");
        }
        server.token.begin("enough");
        let both = async { (server.shutdown.await.unwrap(), server.server.await.unwrap()) };
        let (report, served) = tokio::time::timeout(LONG, both).await.expect("it does not end");
        assert_eq!((report.cut(), served.cut), (0, 0), "{report}");
    }
}

/// A request that was in flight when draining began.
#[tokio::test]
async fn an_upgrade_in_flight_when_draining_begins_keeps_its_headers() {
    for (request, response, expected) in TABLE {
        let server = upgrading(Duration::ZERO).await;
        let begin = || {
            server.token.begin("test");
            assert!(server.token.is_draining());
        };
        let (client, head) = server.request_around(request, response, begin).await;
        assert_eq!(connection(&head), expected, "{request:?} {head:?}");
        if leaves_http(request, response) {
            echoes(client).await;
        } else {
            assert_eq!(client.rest().await.unwrap(), "", "{request:?} {head:?}");
        }
    }
}

#[tokio::test]
async fn without_a_shutdown_headers_are_unchanged() {
    for (request, response, _) in TABLE {
        let server = upgrading(Duration::ZERO).await;
        let (_client, head) = server.request_around(request, response, || ()).await;
        let (_, options) = response.split_once(' ').unwrap();
        let options = options.replace('|', ", ");
        let expected = Some(options.as_str()).filter(|options| !options.is_empty());
        assert_eq!(connection(&head), expected, "{request:?} {head:?}");
    }
}

/// A WebSocket over HTTP/2 (RFC 8441) lasts beyond `idle_timeout`, after which its connection
/// closes.
#[tokio::test]
async fn an_http2_stream_can_be_upgraded() {
    const IDLE: Duration = Duration::from_millis(100);
    let shutdown = Shutdown::builder().grace(Duration::ZERO).drain(LONG).build().unwrap();
    let token = shutdown.token();
    tokio::spawn(shutdown.run());
    let service = service_fn(|mut request: Request<RequestBody>| async move {
        let protocol = request.extensions().get::<hyper::ext::Protocol>();
        assert_eq!(protocol.map(|protocol| protocol.as_str()), Some("websocket"));
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut stream = TokioIo::new(upgraded.await.unwrap());
            let mut word = [0; 4];
            while stream.read_exact(&mut word).await.is_ok() {
                stream.write_all(&word).await.unwrap();
            }
        });
        Ok::<_, Infallible>(Response::new(Empty::<bytes::Bytes>::new()))
    });
    let listener = bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), token.clone());
    let server = Server::builder().idle_timeout(IDLE).build().unwrap();
    let server = tokio::spawn(async move { server.serve(listener, service, &stop).await });
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let executor = hyper_util::rt::TokioExecutor::new();
    let handshake = hyper::client::conn::http2::handshake(executor, TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.unwrap();
    let connection = tokio::spawn(connection);
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
    for _ in 0..2 {
        let mut word = [0; 4];
        stream.write_all(b"ping").await.unwrap();
        stream.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"ping");
        tokio::time::sleep(IDLE * 5).await;
    }
    assert!(!connection.is_finished());
    drop(stream);
    tokio::time::timeout(LONG, connection).await.expect("it stays").unwrap().unwrap();
    token.begin("test");
    assert_eq!(server.await.unwrap().cut, 0);
}
