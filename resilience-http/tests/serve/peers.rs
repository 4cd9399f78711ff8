//! Addresses of clients, and sources of connections.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Extension, Request};
use axum::routing::get;
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use resilience_core::keyed::KeyedLimits;
use resilience_core::rate::Quota;
use resilience_core::shutdown::{Shutdown, ShutdownToken};
use resilience_http::serve::{Listener, Peer, RequestBody, Served, Server, Socket, bind};
use resilience_http::server::AdmissionControlLayer;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tower::service_fn;

use crate::LONG;
use crate::client::Client;

/// Returns the token of a shutdown that drains without a grace.
fn token() -> ShutdownToken {
    let shutdown = Shutdown::builder().grace(Duration::ZERO).drain(LONG).build().unwrap();
    let token = shutdown.token();
    tokio::spawn(shutdown.run());
    token
}

async fn served(server: JoinHandle<Served>) -> Served {
    tokio::time::timeout(LONG, server).await.expect("it does not end").unwrap()
}

async fn fetch(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin)) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut response = String::new();
    let read = stream.read_to_string(&mut response);
    tokio::time::timeout(LONG, read).await.expect("it is not closed").unwrap();
    response
}

/// Connects from this loopback address.
async fn from(local: [u8; 4], address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::from(local), 0).into()).unwrap();
    socket.connect(address).await.unwrap()
}

#[tokio::test]
async fn requests_carry_the_address_of_their_client() {
    let show = |Extension(Peer(peer)): Extension<Peer>| async move { peer.to_string() };
    let router = Router::new().route("/", get(show));
    let listener = bind("127.0.0.1:0").await.unwrap();
    let (address, token) = (listener.local_addr().unwrap(), token());
    let stop = token.clone();
    let server =
        tokio::spawn(async move { Server::default().serve(listener, router, &stop).await });
    for local in [[127, 0, 0, 1], [127, 0, 0, 2]] {
        let mut stream = from(local, address).await;
        let peer = stream.local_addr().unwrap().to_string();
        let response = fetch(&mut stream).await;
        assert!(response.ends_with(&peer), "{peer} {response}");
    }
    let stream = from([127, 0, 0, 3], address).await;
    let peer = stream.local_addr().unwrap().to_string();
    let io = TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..2 {
        let request = http::Request::get(format!("http://{address}/"));
        let request = request.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), peer);
    }
    drop(sender);
    token.begin("test");
    assert_eq!(served(server).await.connections, 3);
}

/// Connect info with more than the address.
#[derive(Clone)]
struct Known(SocketAddr);

impl Connected<SocketAddr> for Known {
    fn connect_info(peer: SocketAddr) -> Known {
        Known(peer)
    }
}

#[tokio::test]
async fn axum_extracts_connect_info() {
    async fn show(
        ConnectInfo(peer): ConnectInfo<SocketAddr>,
        Extension(Peer(same)): Extension<Peer>,
    ) -> String {
        assert_eq!(peer, same);
        peer.to_string()
    }
    let known = |ConnectInfo(Known(peer)): ConnectInfo<Known>| async move { peer.to_string() };
    let router = Router::new().route("/", get(show));
    let address = async |make: bool| {
        let listener = bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), token());
        let (router, known) = (router.clone(), Router::new().route("/", get(known)));
        tokio::spawn(async move {
            let server = Server::default();
            if make {
                let make = router.into_make_service_with_connect_info::<SocketAddr>();
                server.serve_make_service(listener, make, &stop).await
            } else {
                let make = known.into_make_service_with_connect_info::<Known>();
                server.serve_make_service(listener, make, &stop).await
            }
        });
        address
    };
    for address in [address(true).await, address(false).await] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let peer = stream.local_addr().unwrap().to_string();
        assert!(fetch(&mut stream).await.ends_with(&peer));
    }
}

#[tokio::test]
async fn a_failed_make_service_closes_its_connection_only() {
    let router = Router::new().route("/", get(|| async { "here" }));
    let make = service_fn(move |peer: SocketAddr| {
        let made =
            if peer.ip() == Ipv4Addr::new(127, 0, 0, 2) { Err("no") } else { Ok(router.clone()) };
        async move { made }
    });
    let listener = bind("127.0.0.1:0").await.unwrap();
    let (address, token) = (listener.local_addr().unwrap(), token());
    let stop = token.clone();
    let server =
        tokio::spawn(
            async move { Server::default().serve_make_service(listener, make, &stop).await },
        );
    let mut rejected = from([127, 0, 0, 2], address).await;
    assert_eq!(rejected.read(&mut [0]).await.unwrap_or_default(), 0);
    assert!(fetch(&mut from([127, 0, 0, 1], address).await).await.ends_with("here"));
    token.begin("test");
    assert_eq!((served(server).await.connections, token.in_flight()), (2, 0));
}

/// A rate limit with the client's address as its key.
#[tokio::test]
async fn each_client_has_its_own_rate() {
    let client = |request: &Request| {
        let peer = request.extensions().get::<Peer>();
        peer.map_or(IpAddr::from(Ipv4Addr::UNSPECIFIED), |Peer(peer)| peer.ip())
    };
    let admission = AdmissionControlLayer::builder()
        .rate_per_key(Quota::per(1, LONG * 100), KeyedLimits::default(), client)
        .build()
        .unwrap();
    let router = Router::new().route("/", get(|| async { "here" })).layer(admission);
    let listener = bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), token());
    tokio::spawn(async move { Server::default().serve(listener, router, &stop).await });
    for (local, status) in [(1, "200"), (1, "429"), (2, "200"), (1, "429"), (2, "429")] {
        let response = fetch(&mut from([127, 0, 0, local], address).await).await;
        assert_eq!(&response[9..12], status, "127.0.0.{local}");
    }
}

#[tokio::test]
async fn one_address_does_not_take_all_connections() {
    let server = Server::builder().max_connections_per_ip(2).build().unwrap();
    let router = Router::new().route("/", get(|| async { "here" }));
    let listener = bind("127.0.0.1:0").await.unwrap();
    let (address, token) = (listener.local_addr().unwrap(), token());
    let stop = token.clone();
    let server = tokio::spawn(async move { server.serve(listener, router, &stop).await });
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut client = Client(from([127, 0, 0, 1], address).await);
        client.get("/").await;
        client.receive("here").await;
        kept.push(client);
    }
    let mut rejected = from([127, 0, 0, 1], address).await;
    assert_eq!(rejected.read(&mut [0]).await.unwrap_or_default(), 0);
    assert!(fetch(&mut from([127, 0, 0, 2], address).await).await.ends_with("here"));
    kept.pop();
    let again = async {
        loop {
            let mut client = from([127, 0, 0, 1], address).await;
            let sent = client.write_all(b"GET / HTTP/1.0\r\n\r\n").await;
            let mut response = String::new();
            if sent.is_ok()
                && client.read_to_string(&mut response).await.is_ok()
                && !response.is_empty()
            {
                return response;
            }
        }
    };
    let response = tokio::time::timeout(LONG, again).await.expect("the place does not come back");
    assert!(response.ends_with("here"), "{response}");
    token.begin("test");
    let served = served(server).await;
    assert!(served.rejected >= 1 && served.connections == 4, "{served:?}");
}

/// Connections in the listener's queue when draining begins.
#[tokio::test]
async fn one_address_does_not_take_the_queue() {
    let server = Server::builder().max_connections_per_ip(2).build().unwrap();
    let router = Router::new().route("/", get(|| async { "here" }));
    let listener = bind("127.0.0.1:0").await.unwrap();
    let (address, token) = (listener.local_addr().unwrap(), token());
    let stop = token.clone();
    let server = tokio::spawn(async move { server.serve(listener, router, &stop).await });
    tokio::task::yield_now().await;
    // On one thread, the server does not run before draining begins.
    let waiting = [1, 2, 3, 4].map(|_| {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        io::Write::write_all(&mut stream, b"GET / HTTP/1.0\r\n\r\n").unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    });
    token.begin("test");
    assert!(token.is_draining());
    let mut responded = 0;
    for stream in waiting {
        let mut response = String::new();
        let read = TcpStream::from_std(stream).unwrap().read_to_string(&mut response).await;
        responded += usize::from(read.is_ok() && response.ends_with("here"));
    }
    let served = served(server).await;
    assert_eq!((responded, served.connections, served.rejected), (2, 2, 2), "{served:?}");
}

/// A file that is removed with the test.
struct File(std::path::PathBuf);

impl Drop for File {
    fn drop(&mut self) {
        let _removed = std::fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn a_unix_socket_is_served_and_drained() {
    let name = format!("resilience-http-{}.sock", std::process::id());
    let file = File(std::env::temp_dir().join(name));
    let listener = UnixListener::bind(&file.0).unwrap();
    let token = token();
    let show = |request: Request| async move {
        let peer = request.extensions().get::<Peer<<UnixListener as Listener>::Addr>>();
        format!("unnamed: {}", peer.is_some_and(|Peer(peer)| peer.is_unnamed()))
    };
    let router = Router::new().route("/", get(show));
    let stop = token.clone();
    let server =
        tokio::spawn(async move { Server::default().serve(listener, router, &stop).await });
    let mut stream = UnixStream::connect(&file.0).await.unwrap();
    assert!(fetch(&mut stream).await.ends_with("unnamed: true"));
    // On one thread, the connection is not accepted before draining begins.
    let mut waits = std::os::unix::net::UnixStream::connect(&file.0).unwrap();
    io::Write::write_all(&mut waits, b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    waits.set_nonblocking(true).unwrap();
    token.begin("test");
    assert!(token.is_draining());
    let mut response = String::new();
    UnixStream::from_std(waits).unwrap().read_to_string(&mut response).await.unwrap();
    assert!(
        response.ends_with("unnamed: true") && response.contains("connection: close"),
        "{response}"
    );
    assert_eq!(served(server).await.connections, 2);
}

/// In-memory connections.
struct Inside(mpsc::Receiver<DuplexStream>);

impl Listener for Inside {
    type Addr = &'static str;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Socket, &'static str)>> {
        match ready!(self.0.poll_recv(cx)) {
            Some(stream) => Poll::Ready(Ok((Socket::new(stream), "inside"))),
            None => Poll::Pending,
        }
    }
}

#[tokio::test]
async fn any_stream_is_served() {
    let (connect, listener) = mpsc::channel(1);
    let token = token();
    let stop = token.clone();
    let service = service_fn(|request: http::Request<RequestBody>| async move {
        let peer = request.extensions().get::<Peer<&'static str>>().map(|Peer(peer)| *peer);
        Ok::<_, Infallible>(http::Response::new(peer.unwrap_or_default().to_owned()))
    });
    let server =
        tokio::spawn(
            async move { Server::default().serve(Inside(listener), service, &stop).await },
        );
    let (mut ours, theirs) = tokio::io::duplex(1 << 10);
    connect.send(theirs).await.unwrap();
    assert!(fetch(&mut ours).await.ends_with("inside"));
    token.begin("test");
    assert_eq!(served(server).await.connections, 1);
}
