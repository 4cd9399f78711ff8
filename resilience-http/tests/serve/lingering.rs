//! Clients that are still sending when their response is written.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use resilience_core::shutdown::Shutdown;
use resilience_http::serve::{Server, ServerBuilder};
use tokio::net::TcpStream;

use crate::client::Client;
use crate::{LONG, MS, Rig, cut};

const LARGE: usize = 5_000_000;

/// Returns what a client reads that sends everything before it reads.
fn post(address: SocketAddr, length: usize) -> std::io::Result<String> {
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LONG))?;
    let head = format!("POST /reject HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(&vec![b'x'; length])?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    Ok(response)
}

fn patient() -> ServerBuilder {
    Server::builder().linger_timeout(LONG * 10)
}

async fn rig(server: ServerBuilder) -> Rig {
    let shutdown = Shutdown::builder().grace(Duration::ZERO).drain(LONG * 10);
    Rig::with(server.build().unwrap(), shutdown).await
}

/// A client with a rejected request that has begun to send.
async fn rejected(rig: &Rig) -> Client {
    let mut client = Client::connect(rig.address).await;
    client.send("POST /reject HTTP/1.1\r\nhost: test\r\ncontent-length: 1000000\r\n\r\nx").await;
    let response = client.receive("too much").await;
    assert!(response.starts_with("HTTP/1.1 413 "), "{response}");
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_sends_everything_first_reads_an_early_response() {
    let rig = rig(patient()).await;
    for attempt in 0..100 {
        let address = rig.address;
        let posted = tokio::task::spawn_blocking(move || post(address, LARGE)).await.unwrap();
        let response = posted.unwrap_or_else(|error| panic!("{attempt}: {error}"));
        assert!(
            response.starts_with("HTTP/1.1 413 ") && response.ends_with("too much"),
            "{response}"
        );
    }
    rig.closes_all().await;
}

/// hyper rejects such a head itself.
#[tokio::test]
async fn a_client_with_too_large_a_head_reads_the_431() {
    let rig = rig(patient()).await;
    let mut client = Client::connect(rig.address).await;
    client.send(&format!("GET / HTTP/1.1\r\nhost: test\r\nx: {}", "x".repeat(LARGE))).await;
    let response = client.rest().await.unwrap();
    assert!(response.starts_with("HTTP/1.1 431 "), "{response}");
    rig.closes_all().await;
}

#[tokio::test]
async fn a_client_that_never_ends_is_closed_at_the_timeout() {
    let rig = rig(Server::builder().linger_timeout(MS * 100)).await;
    let client = rejected(&rig).await;
    let trickle = async {
        while client.0.try_write(b"x").is_ok() {
            tokio::time::sleep(MS * 10).await;
        }
    };
    tokio::time::timeout(LONG, trickle).await.expect("it is read for ever");
    rig.closes_all().await;
}

#[tokio::test]
async fn a_client_that_sends_too_much_is_closed() {
    for most in [0, 100_000] {
        let rig = rig(patient().linger_bytes(most)).await;
        let address = rig.address;
        let sent = tokio::task::spawn_blocking(move || post(address, 20 * LARGE)).await.unwrap();
        assert!(sent.is_err(), "{sent:?}");
        rig.closes_all().await;
    }
}

#[tokio::test]
async fn a_shutdown_cuts_a_lingering_connection_at_its_deadline() {
    let shutdown = Shutdown::builder().grace(Duration::ZERO).drain(MS * 50);
    let rig = Rig::with(patient().build().unwrap(), shutdown).await;
    let _client = rejected(&rig).await;
    rig.token.begin("test");
    let (report, served) = rig.end().await;
    assert_eq!((cut(&report, "http connections"), cut(&report, "http requests")), (1, 0));
    assert_eq!((served.connections, served.cut), (1, 1), "{report}");
}

/// Clients that do not notice the close: a lingering connection would last until the timeout.
#[tokio::test]
async fn a_client_that_has_sent_everything_is_closed_at_once() {
    let rig = rig(patient()).await;
    let mut served = Client::connect(rig.address).await;
    served.send("GET /echo/in HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await;
    served.receive("in").await;
    rig.closes_all().await;
    let mut idle = Client::connect(rig.address).await;
    idle.send("POST /length HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\n\r\n123").await;
    idle.receive("\r\n\r\n3").await;
    let mut again = Client::connect(rig.address).await;
    again.send("POST /length HTTP/1.1\r\nhost: test\r\ncontent-length: 1\r\n\r\n1").await;
    again.receive("\r\n\r\n1").await;
    again.send("GET /echo/in HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await;
    again.receive("in").await;
    rig.token.begin("test");
    let (report, served) = rig.end().await;
    assert_eq!((report.cut(), served.connections), (0, 3), "{report}");
}

/// An unread stream ends by RST_STREAM, and its connection goes on.
#[tokio::test]
async fn on_http2_only_the_stream_ends() {
    let rig = rig(patient()).await;
    let io = TokioIo::new(TcpStream::connect(rig.address).await.unwrap());
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let connection = tokio::spawn(connection);
    for _ in 0..20 {
        let body = Full::new(Bytes::from(vec![b'x'; LARGE]));
        let request = Request::post("http://test/reject").body(body).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 413);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "too much");
    }
    assert!(!connection.is_finished());
    assert_eq!(rig.token.in_flight(), 2);
}
