//! Limits of a server.

use std::error::Error;
use std::io;
use std::time::Duration;

use resilience_core::clock;
use resilience_core::shutdown::Shutdown;
use resilience_http::serve::{Server, bind};
use tokio::io::AsyncReadExt;

use crate::client::Client;
use crate::frames::Frames;
use crate::{LONG, MS, Rig, SECOND};

async fn rig(server: Server) -> Rig {
    Rig::with(server, Shutdown::builder().grace(Duration::ZERO).drain(LONG)).await
}

#[tokio::test]
async fn the_error_of_bind_has_the_address() {
    let taken = bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = bind(&address).await.unwrap_err();
    assert_eq!(error.address(), address);
    assert_eq!(error.reason().kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().starts_with(&format!("cannot listen on {address}: ")), "{error}");
    assert!(error.source().is_some());
}

async fn full(most: u32) -> Rig {
    rig(Server::builder().max_connections(most).build().unwrap()).await
}

#[tokio::test]
async fn connections_above_the_limit_wait() {
    let rig = full(2).await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(rig.address).await;
        client.get("/held").await;
        rig.held.entered().await;
        clients.push(client);
    }
    let mut third = Client::connect(rig.address).await;
    third.get("/echo/waited").await;
    let mut byte = [0; 1];
    let silence = tokio::time::timeout(MS * 50, third.0.read(&mut byte)).await;
    assert!(silence.is_err(), "responded above the limit: {silence:?}");
    clients.pop();
    assert!(third.receive("waited").await.starts_with("HTTP/1.1 200"));
    rig.token.begin("test");
    rig.held.may_respond.notify_waiters();
    let (report, served) = rig.end().await;
    assert_eq!((served.connections, report.cut()), (3, 0), "{report}");
}

/// The probes have their own listener and `Server`, with the same token.
#[tokio::test]
async fn probes_get_responses_while_a_server_is_full() {
    let rig = full(1).await;
    let mut busy = Client::connect(rig.address).await;
    busy.get("/held").await;
    rig.held.entered().await;
    let listener = bind("127.0.0.1:0").await.unwrap();
    let (address, token) = (listener.local_addr().unwrap(), rig.token.clone());
    let probes = axum::Router::new().route("/live", axum::routing::get(|| async { "alive" }));
    let probed =
        tokio::spawn(async move { Server::default().serve(listener, probes, &token).await });
    let mut waits = Client::connect(rig.address).await;
    waits.get("/echo/waited").await;
    for _ in 0..3 {
        let mut probe = Client::connect(address).await;
        probe.get("/live").await;
        assert!(probe.receive("alive").await.starts_with("HTTP/1.1 200"));
    }
    rig.token.begin("test");
    rig.held.may_respond.notify_one();
    assert!(busy.rest().await.unwrap().ends_with("at last"));
    assert!(waits.rest().await.unwrap().ends_with("waited"));
    assert_eq!(probed.await.unwrap().cut, 0);
    let (report, served) = rig.end().await;
    assert_eq!((report.cut(), served.cut), (0, 0), "{report}");
}

/// A response at the connection limit has `connection: close`.
#[tokio::test]
async fn a_full_server_closes_connections_after_their_response() {
    let rig = full(2).await;
    let mut alone = Client::connect(rig.address).await;
    alone.get("/echo/in").await;
    assert!(!alone.receive("in").await.contains("connection: close"));
    let mut other = Client::connect(rig.address).await;
    other.get("/held").await;
    rig.held.entered().await;
    alone.get("/echo/last").await;
    let response = alone.rest().await.unwrap();
    assert!(response.contains("connection: close") && response.ends_with("last"), "{response}");
}

/// After a second of idleness at least, and not with a byte of a head read.
#[tokio::test]
async fn the_connection_that_was_idle_for_longest_is_evicted() {
    let rig = full(3).await;
    let begun = clock::now();
    let mut idle = Client::connect(rig.address).await;
    idle.get("/echo/one").await;
    assert!(!idle.receive("one").await.contains("connection: close"));
    let mut requesting_client = Client::connect(rig.address).await;
    requesting_client.send("GET /echo/two HTTP/1.1\r\nhost: te").await;
    let mut busy = Client::connect(rig.address).await;
    busy.get("/held").await;
    rig.held.entered().await;
    let mut newcomer = Client::connect(rig.address).await;
    newcomer.get("/echo/new").await;
    assert!(newcomer.receive("new").await.starts_with("HTTP/1.1 200"));
    let waited = clock::now() - begun;
    assert!(waited >= SECOND && waited < LONG / 2, "{waited:?}");
    assert_eq!(idle.rest().await.unwrap(), "");
    requesting_client.send("st\r\n\r\n").await;
    assert!(requesting_client.receive("two").await.starts_with("HTTP/1.1 200"));
    rig.held.may_respond.notify_one();
    assert!(busy.receive("at last").await.starts_with("HTTP/1.1 200"));
}

/// Each new connection evicts one, and the others go on.
#[tokio::test]
async fn one_connection_is_evicted_for_each_new_one() {
    let rig = full(4).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(Client::connect(rig.address).await);
    }
    // Silent connections as well: no byte of a head was read.
    tokio::time::sleep(SECOND + MS * 300).await;
    let mut newcomer = Client::connect(rig.address).await;
    newcomer.get("/held").await;
    rig.held.entered().await;
    tokio::time::sleep(MS * 300).await;
    let mut closed = 0;
    for client in &clients {
        let read = client.0.try_read(&mut [0; 1]);
        closed += i32::from(read.is_ok_and(|many| many == 0));
    }
    assert_eq!(closed, 1);
}

/// Health probes with their own listener and the same token.
#[tokio::test]
async fn probes_can_have_their_own_listener() {
    let rig = full(1).await;
    let probes = bind("127.0.0.1:0").await.unwrap();
    let (address, token) = (probes.local_addr().unwrap(), rig.token.clone());
    let router = axum::Router::new().route("/healthz", axum::routing::get(async || "alive"));
    let probes = tokio::spawn(async move { Server::default().serve(probes, router, &token).await });
    let mut busy = Client::connect(rig.address).await;
    busy.get("/held").await;
    rig.held.entered().await;
    let mut probe = Client::connect(address).await;
    probe.get("/healthz").await;
    assert!(probe.receive("alive").await.starts_with("HTTP/1.1 200"));
    rig.token.begin("test");
    rig.held.may_respond.notify_one();
    assert!(rig.end().await.0.is_clean());
    assert_eq!(probes.await.unwrap().cut, 0);
}

/// Slow loris: a byte now and then.
#[tokio::test]
async fn a_head_that_never_ends_is_cut() {
    let server =
        Server::builder().header_timeout(MS * 100).idle_timeout(LONG * 10).build().unwrap();
    let rig = rig(server).await;
    for said in ["", "P", "PRI", "GET /echo/x HTTP/1.1\r\nhost: te"] {
        let mut client = Client::connect(rig.address).await;
        client.send(said).await;
        assert_eq!(client.rest().await.unwrap_or_default(), "", "{said:?}");
    }
    let mut again = Client::connect(rig.address).await;
    again.get("/echo/one").await;
    again.receive("one").await;
    // Long after the first head, whose time has ended.
    tokio::time::sleep(MS * 150).await;
    again.send("GET /echo/two HTTP/1.1\r\n").await;
    for _ in 0..3 {
        tokio::time::sleep(MS * 10).await;
        again.send("x-slow: 1\r\n").await;
    }
    assert_eq!(again.rest().await.unwrap_or_default(), "");
    rig.token.begin("test");
    let (report, _) = rig.end().await;
    assert!(report.is_clean(), "{report}");
}

/// An incomplete head does not count as a request.
#[tokio::test]
async fn a_head_that_never_ends_does_not_delay_the_drain() {
    let server = Server::builder().header_timeout(MS * 200).build().unwrap();
    let rig = rig(server).await;
    let mut client = Client::connect(rig.address).await;
    client.send("GET /echo/x HTTP/1.1\r\nhost: te").await;
    while rig.token.in_flight() < 2 {
        tokio::task::yield_now().await;
    }
    rig.token.begin("test");
    assert_eq!(client.rest().await.unwrap_or_default(), "");
    let (report, _) = rig.end().await;
    assert!(report.took() < LONG, "{report}");
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let server = Server::builder().idle_timeout(MS * 100).build().unwrap();
    let rig = rig(server).await;
    let mut idle = Client::connect(rig.address).await;
    idle.get("/echo/one").await;
    idle.receive("one").await;
    let mut busy = Client::connect(rig.address).await;
    busy.get("/held").await;
    rig.held.entered().await;
    assert_eq!(idle.rest().await.unwrap(), "");
    tokio::time::sleep(MS * 200).await;
    rig.held.may_respond.notify_one();
    assert!(busy.receive("at last").await.starts_with("HTTP/1.1 200"));
    rig.token.begin("test");
    let (report, _) = rig.end().await;
    assert!(report.is_clean(), "{report}");
}

/// The default of hyper is 400 kB.
#[tokio::test]
async fn a_head_above_the_limit_is_431() {
    let default = Server::builder();
    let small = Server::builder().max_head_bytes(8 << 10);
    let large = Server::builder().max_head_bytes(256 << 10);
    for (server, most) in [(default, 32 << 10), (small, 8 << 10), (large, 256 << 10)] {
        let rig = rig(server.build().unwrap()).await;
        for (bytes, fits) in [(most - 100, true), (most + 100, false), (2 * most, false)] {
            for line in [bytes, 1_000] {
                let mut client = Client::connect(rig.address).await;
                let mut head = "GET /echo/x HTTP/1.1\r\nhost: test\r\nconnection: close".to_owned();
                while head.len() + 4 < bytes {
                    let length = line.min(bytes - 4 - head.len()).saturating_sub(5);
                    head.push_str(&format!("\r\nx: {}", "x".repeat(length)));
                }
                client.send(&head).await;
                client.send("\r\n\r\n").await;
                let response = client.rest().await.unwrap();
                // hyper takes no more than a hundred fields.
                let fits = fits && bytes / line < 95;
                let expected = if fits { "HTTP/1.1 200 " } else { "HTTP/1.1 431 " };
                assert!(response.starts_with(expected), "{bytes} of {most}: {response}");
            }
        }
    }
}

/// An HTTP/2 client that does not acknowledge the PING after GOAWAY.
#[tokio::test]
async fn a_silent_idle_client_is_evicted() {
    let rig = full(1).await;
    let _silent = Frames::to(rig.address, &[]).await;
    let mut newcomer = Client::connect(rig.address).await;
    newcomer.get("/echo/served").await;
    assert!(newcomer.receive("served").await.starts_with("HTTP/1.1 200"));
}
