//! The memory of a server with default settings whose clients do not read, in its own process.
//!
//! `cargo test -p resilience-http --all-features --test memory -- --nocapture` prints the figures.

#![cfg(all(feature = "server", target_os = "linux"))]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use resilience_core::RejectionKind;
use resilience_core::observe::{self, Event};
use resilience_core::shutdown::{Shutdown, ShutdownToken};
use resilience_http::serve::{Server, bind};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Returns the resident memory of this process, in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1_024
}

/// Returns the greatest resident memory of the next two seconds, and for as long as it still grows
/// after them.
async fn peak() -> u64 {
    let mut peak = resident();
    let mut still = 0;
    while still < 40 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = resident();
        still = if now > peak { 0 } else { still + 1 };
        peak = peak.max(now);
    }
    peak
}

async fn serve() -> (SocketAddr, ShutdownToken) {
    let token = Shutdown::builder().build().unwrap().token();
    let listener = bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/", get(|| async { "x".repeat(2 << 20) }))
        .route("/8", get(|| async { "x".repeat(8 << 20) }));
    let stop = token.clone();
    tokio::spawn(async move { Server::default().serve(listener, router, &stop).await });
    (address, token)
}

/// Starts an HTTP/2 client that sends 100 requests and reads nothing.
async fn http2(address: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(address).await.unwrap();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for stream in (1..200_u32).step_by(2) {
        // GET, http, /, and an authority.
        bytes.extend(b"\0\0\x06\x01\x05");
        bytes.extend(stream.to_be_bytes());
        bytes.extend(b"\x82\x86\x84\x41\x01a");
    }
    client.write_all(&bytes).await.unwrap();
    client
}

/// Starts an HTTP/1 client that sends a request and reads nothing.
async fn http1(address: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET /8 HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    client
}

/// Without a bound: 1,000 MiB on 5 connections of HTTP/2, 800 MiB on 100 of HTTP/1.
#[tokio::test]
async fn unread_responses_are_bounded() {
    let ended = Arc::new(AtomicU64::new(0));
    let count = ended.clone();
    let listener = move |event: &Event<'_>| {
        if let Event::Rejected(rejection) = event {
            assert_eq!((rejection.layer(), rejection.kind()), ("serve", RejectionKind::Shed));
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    observe::set_default(listener).unwrap();
    let (address, _token) = serve().await;
    let before = resident();
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(http2(address).await);
    }
    let multiplexed = peak().await - before;
    drop(std::mem::take(&mut clients));
    for _ in 0..100 {
        clients.push(http1(address).await);
    }
    let one_each = peak().await - before;
    // 73 of the 100 are above the bound.
    assert!(ended.load(Ordering::Relaxed) >= 60);
    eprintln!("5 connections of HTTP/2: + {multiplexed} MiB; 100 of HTTP/1: + {one_each} MiB");
    // The server's default, and the same again for handlers and the allocator.
    let bound = 2 * 256;
    assert!(multiplexed < bound && one_each < bound, "{multiplexed} and {one_each} MiB");
}
