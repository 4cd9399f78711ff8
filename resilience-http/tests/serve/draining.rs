//! HTTP/1 connections when draining begins.

use std::io::Write;
use std::time::Duration;

use resilience_core::shutdown::{Phase, Shutdown};
use resilience_http::serve::Server;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::client::Client;
use crate::{LONG, MS, Rig, SECOND, cut};

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let rig = Rig::new().await;
    let mut client = Client::connect(rig.address).await;
    client.get("/echo/one").await;
    assert!(!client.receive("one").await.contains("connection: close"));
    client.get("/echo/two").await;
    client.receive("two").await;
    rig.token.begin("test");
    assert_eq!(client.rest().await.unwrap(), "");
    let (report, served) = rig.end().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!((served.connections, served.cut), (1, 0));
}

#[tokio::test]
async fn a_request_in_flight_gets_its_response_before_its_connection_closes() {
    let rig = Rig::new().await;
    let mut client = Client::connect(rig.address).await;
    client.get("/held").await;
    rig.held.entered().await;
    rig.token.begin("test");
    rig.token.draining().await;
    rig.held.may_respond.notify_one();
    let response = client.rest().await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    assert!(response.contains("connection: close") && response.ends_with("at last"), "{response}");
    let (report, served) = rig.end().await;
    assert!(report.is_clean(), "{report}");
    let requests = report.work.iter().find(|work| work.name.as_str() == "http requests").unwrap();
    assert_eq!((requests.in_flight, requests.finished, served.cut), (1, 1, 0));
}

/// During the grace, connections are accepted, and responses have `connection: close`.
#[tokio::test]
async fn the_grace_serves_on() {
    let shutdown = Shutdown::builder().grace(LONG).drain(LONG);
    let rig = Rig::with(Server::default(), shutdown).await;
    let mut early = Client::connect(rig.address).await;
    early.get("/echo/early").await;
    early.receive("early").await;
    rig.token.begin("test");
    assert_eq!(rig.token.phase(), Phase::NotReady);
    let mut late = Client::connect(rig.address).await;
    for client in [&mut early, &mut late] {
        client.get("/echo/grace").await;
    }
    for client in [early, late] {
        let response = client.rest().await.unwrap();
        assert!(
            response.contains("connection: close") && response.ends_with("grace"),
            "{response}"
        );
    }
    rig.token.begin("enough");
    let (report, served) = rig.end().await;
    assert_eq!((report.cut(), served.connections), (0, 2), "{report}");
}

#[tokio::test]
async fn a_connection_after_the_drain_is_refused() {
    let rig = Rig::new().await;
    rig.token.begin("test");
    let address = rig.address;
    rig.end().await;
    assert!(TcpStream::connect(address).await.is_err());
}

/// A client that connects before the listener is closed gets its response, because its connect has
/// succeeded.
#[tokio::test]
async fn a_connection_in_the_listeners_queue_is_served() {
    let rig = Rig::new().await;
    tokio::task::yield_now().await;
    // On one thread, the server does not run before draining begins.
    let clients = [1, 2, 3].map(|client| {
        let mut stream = std::net::TcpStream::connect(rig.address).unwrap();
        let request = format!("GET /echo/{client} HTTP/1.1\r\nhost: test\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream.set_nonblocking(true).unwrap();
        (client, stream)
    });
    rig.token.begin("test");
    assert!(rig.token.is_draining());
    for (client, stream) in clients {
        let response = Client(TcpStream::from_std(stream).unwrap()).rest().await.unwrap();
        assert!(
            response.ends_with(&client.to_string()) && response.contains("connection: close"),
            "{response}"
        );
    }
    let (report, served) = rig.end().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(served.connections, 3);
}

/// More connections than permits, which are served one after the other.
#[tokio::test]
async fn the_listeners_queue_of_a_full_server_is_served() {
    let server = Server::builder().max_connections(2).build().unwrap();
    let rig = Rig::with(server, Shutdown::builder().grace(Duration::ZERO).drain(LONG * 10)).await;
    let mut held = Client::connect(rig.address).await;
    held.get("/held").await;
    rig.held.entered().await;
    let mut clients = Vec::new();
    for client in 0..20 {
        let mut stream = std::net::TcpStream::connect(rig.address).unwrap();
        let request = format!("GET /echo/{client} HTTP/1.1\r\nhost: test\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream.set_nonblocking(true).unwrap();
        clients.push((client, Client(TcpStream::from_std(stream).unwrap())));
    }
    rig.token.begin("test");
    for (client, stream) in clients {
        let response = stream.rest().await.unwrap();
        assert!(response.ends_with(&client.to_string()), "{response}");
    }
    rig.held.may_respond.notify_one();
    assert!(held.rest().await.unwrap().ends_with("at last"));
    let (report, served) = rig.end().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!((served.connections, served.cut), (21, 0));
}

/// Connections without a permit at the deadline count as cut.
#[tokio::test]
async fn a_queued_connection_counts_as_cut_at_the_deadline() {
    let server = Server::builder().max_connections(1).build().unwrap();
    let shutdown = Shutdown::builder().grace(Duration::ZERO).drain(MS * 50);
    let rig = Rig::with(server, shutdown).await;
    let mut held = Client::connect(rig.address).await;
    held.get("/held").await;
    rig.held.entered().await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(Client::connect(rig.address).await);
    }
    rig.token.begin("test");
    let (_, served) = rig.end().await;
    assert_eq!((served.connections, served.cut), (4, 4));
}

#[tokio::test]
async fn a_half_closed_client_gets_its_response() {
    let server = Server::builder().half_close(true).build().unwrap();
    let rig = Rig::with(server, Shutdown::builder().grace(Duration::ZERO).drain(LONG)).await;
    let mut client = Client::connect(rig.address).await;
    client.get("/held").await;
    client.0.shutdown().await.unwrap();
    rig.held.entered().await;
    rig.token.begin("test");
    rig.token.draining().await;
    rig.held.may_respond.notify_one();
    assert!(client.rest().await.unwrap().ends_with("at last"));
    let (report, _) = rig.end().await;
    assert!(report.is_clean(), "{report}");
}

/// The first request of a new connection may be on its way when draining begins.
#[tokio::test]
async fn a_new_connection_has_time_for_its_first_request() {
    let rig = Rig::new().await;
    let mut client = Client::connect(rig.address).await;
    while rig.token.in_flight() < 2 {
        tokio::task::yield_now().await;
    }
    rig.token.begin("test");
    rig.token.draining().await;
    client.get("/echo/hello").await;
    let response = client.rest().await.unwrap();
    assert!(response.contains("connection: close") && response.ends_with("hello"), "{response}");
    let (report, _) = rig.end().await;
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn a_request_without_a_response_at_the_deadline_is_cut_and_counted() {
    let shutdown = Shutdown::builder().grace(Duration::ZERO).drain(MS * 50).unwind(SECOND);
    let rig = Rig::with(Server::default(), shutdown).await;
    let mut client = Client::connect(rig.address).await;
    client.get("/held").await;
    rig.held.entered().await;
    rig.token.begin("test");
    assert_eq!(client.rest().await.unwrap(), "");
    let (report, served) = rig.end().await;
    assert_eq!(cut(&report, "http requests"), 1);
    assert_eq!((served.cut, report.exit_code()), (1, 1), "{report}");
    assert_eq!(report.work.iter().map(|work| work.left).sum::<u64>(), 0, "{report}");
}

#[tokio::test]
async fn a_second_signal_cuts_at_once() {
    let rig = Rig::new().await;
    let mut client = Client::connect(rig.address).await;
    client.get("/held").await;
    rig.held.entered().await;
    rig.token.begin("first");
    rig.token.draining().await;
    rig.token.begin("second");
    assert_eq!(client.rest().await.unwrap(), "");
    let (report, served) = rig.end().await;
    assert_eq!((served.cut, report.forced), (1, true), "{report}");
}

/// Handlers, connections and the listener are dropped with the server.
#[tokio::test]
async fn dropping_the_server_cuts_everything() {
    let rig = Rig::new().await;
    let mut client = Client::connect(rig.address).await;
    client.get("/held").await;
    rig.held.entered().await;
    rig.server.abort();
    assert_eq!(client.rest().await.unwrap_or_default(), "");
    rig.token.begin("test");
    assert!(rig.shutdown.await.unwrap().took() < LONG);
}
