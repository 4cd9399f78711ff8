//! No lingering close for requests whose bodies were read to their end, or had arrived in full.

use std::time::Duration;

use resilience_core::shutdown::Shutdown;
use resilience_http::serve::Server;

use crate::client::Client;
use crate::{LONG, Rig};

/// A server that would linger for longer than a test runs.
async fn rig() -> Rig {
    let server = Server::builder().linger_timeout(LONG * 10).build().unwrap();
    Rig::with(server, Shutdown::builder().grace(Duration::ZERO).drain(LONG)).await
}

fn post(path: &str, rest: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: test\r\n{rest}")
}

const BODIES: [&str; 5] = [
    "content-length: 3\r\n\r\n123",
    "transfer-encoding: chunked\r\n\r\n3\r\n123\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n1\r\n1\r\n1\r\n2\r\n1\r\n3\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\ntrailer: x\r\n\r\n3\r\n123\r\n0\r\nx: 1\r\n\r\n",
    "content-length: 0\r\n\r\n",
];

/// Paths whose handlers read all of a body, one frame, and nothing.
const PATHS: [&str; 3] = ["/read", "/half", "/held"];

/// Begins to drain while the request of `client` is in flight, and releases its handler. The client
/// then neither closes nor sends.
async fn drained(rig: Rig, mut client: Client, connections: u64, what: &str) {
    rig.held.entered().await;
    rig.token.begin("test");
    rig.token.draining().await;
    rig.held.may_respond.notify_one();
    let response = client.receive("at last").await;
    assert!(response.contains("connection: close"), "{what:?} {response}");
    let (report, served) = rig.end().await;
    assert!(report.is_clean(), "{what:?} {report}");
    assert_eq!(report.exit_code(), 0, "{what:?}");
    assert_eq!((served.connections, served.cut), (connections, 0), "{what:?}");
    drop(client);
}

#[tokio::test]
async fn a_body_that_arrived_in_full_does_not_delay_the_drain() {
    for path in PATHS {
        for body in BODIES {
            let rig = rig().await;
            let mut client = Client::connect(rig.address).await;
            let request = post(path, body);
            client.send(&request).await;
            drained(rig, client, 1, &request).await;
        }
    }
}

#[tokio::test]
async fn a_100_continue_does_not_delay_the_drain() {
    for body in ["content-length: 3\r\n", "transfer-encoding: chunked\r\n"] {
        let rig = rig().await;
        let mut client = Client::connect(rig.address).await;
        client.send(&post("/read", &format!("expect: 100-continue\r\n{body}\r\n"))).await;
        assert_eq!(client.receive("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
        client.send(if body.contains("chunked") { "3\r\n123\r\n0\r\n\r\n" } else { "123" }).await;
        drained(rig, client, 1, body).await;
    }
}

/// Several requests with bodies on one connection, one by one or pipelined.
#[tokio::test]
async fn several_bodies_on_one_connection_do_not_delay_the_drain() {
    for path in PATHS {
        let rig = rig().await;
        let mut client = Client::connect(rig.address).await;
        for body in &BODIES[..4] {
            client.send(&post("/length", body)).await;
            client.receive("\r\n\r\n3").await;
        }
        let all = BODIES[..4].iter().map(|body| post("/length", body)).collect::<String>();
        client.send(&(all + &post(path, BODIES[1]))).await;
        for _ in 0..4 {
            client.receive("\r\n\r\n3").await;
        }
        drained(rig, client, 1, path).await;
    }
}

/// No drain, and a client that closes last.
#[tokio::test]
async fn a_connection_with_close_does_not_linger() {
    for path in PATHS {
        for body in BODIES {
            let rig = rig().await;
            let mut client = Client::connect(rig.address).await;
            client.send(&post(path, &format!("connection: close\r\n{body}"))).await;
            rig.held.entered().await;
            rig.held.may_respond.notify_one();
            client.receive("at last").await;
            rig.closes_all().await;
        }
    }
}

/// A body that its handler does not read is discarded while the handler runs.
#[tokio::test]
async fn a_connection_goes_on_after_an_unread_body() {
    let rig = rig().await;
    let mut client = Client::connect(rig.address).await;
    for path in PATHS {
        for body in BODIES {
            client.send(&post(path, body)).await;
            rig.held.entered().await;
            rig.held.may_respond.notify_one();
            assert!(!client.receive("at last").await.contains("connection: close"));
        }
    }
    rig.token.begin("test");
    assert_eq!(client.rest().await.unwrap(), "");
    let (report, served) = rig.end().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(served.connections, 1);
}

/// The server lingers for incomplete bodies, for every kind of handler.
#[tokio::test]
async fn the_server_lingers_for_a_client_that_is_still_sending() {
    let unfinished = [
        "content-length: 4\r\n\r\n123",
        "transfer-encoding: chunked\r\n\r\n3\r\n123\r\n",
        "transfer-encoding: chunked\r\n\r\n3\r\n123\r\n0\r\nx: 1\r\n",
        "expect: 100-continue\r\ncontent-length: 4\r\n\r\n",
    ];
    for body in unfinished {
        let rig = rig().await;
        let mut client = Client::connect(rig.address).await;
        client.send(&post("/held", body)).await;
        rig.held.entered().await;
        rig.token.begin("test");
        rig.token.draining().await;
        rig.held.may_respond.notify_one();
        client.receive("at last").await;
        // The server has closed its half only: more bytes cause no reset.
        let mut nothing = [0; 1];
        let read = tokio::io::AsyncReadExt::read(&mut client.0, &mut nothing);
        assert_eq!(tokio::time::timeout(LONG, read).await.expect(body).unwrap(), 0);
        for _ in 0..3 {
            client.send("4").await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(rig.token.in_flight() > 0 && !rig.server.is_finished(), "{body:?}");
        drop(client);
        let (report, served) = rig.end().await;
        assert_eq!((report.cut(), served.cut), (0, 0), "{body:?} {report}");
    }
}
