//! Clients that read slowly, by their rate.

use std::time::Duration;

use resilience_core::clock;
use resilience_http::serve::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::client::Client;
use crate::unread::Bytewise;
use crate::{LONG, MS, SECOND};

/// More than the buffers of the operating system.
const LARGE: usize = 64 << 20;

/// Sends a request on a socket with a small buffer, which shows progress in small steps.
async fn narrow(rig: &Bytewise) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    let mut client = socket.connect(rig.address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    client
}

/// Reads `bytes` every `every` until the server ends the response, for `most` at most, and returns
/// how long that took.
async fn read_at(
    rig: &Bytewise,
    client: &mut TcpStream,
    bytes: usize,
    every: Duration,
    most: Duration,
) -> Duration {
    rig.reaches(|unread| unread > 0).await;
    let begun = clock::now();
    let mut buffer = vec![0; bytes];
    while rig.server.unread_bytes() > 0 && clock::now() - begun < most {
        tokio::time::sleep(every).await;
        let read = tokio::time::timeout(LONG, client.read(&mut buffer)).await.unwrap();
        assert!(read.is_ok() || rig.server.unread_bytes() == 0);
    }
    clock::now() - begun
}

/// The operating system reports a third of its buffer as free only after 4 s.
#[tokio::test]
async fn a_slow_reader_that_makes_progress_is_not_cut() {
    let rig = Bytewise::new(Server::builder().write_timeout(SECOND), LARGE).await;
    let mut client = Client::connect(rig.address).await;
    client.get("/").await;
    let took = read_at(&rig, &mut client.0, 20_000, MS * 50, SECOND * 8).await;
    assert!(took >= SECOND * 8, "cut after {took:?}");
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut() {
    let rig = Bytewise::new(Server::builder().write_timeout(SECOND), LARGE).await;
    let mut client = Client::connect(rig.address).await;
    client.get("/").await;
    rig.reaches(|unread| unread > 0).await;
    let begun = clock::now();
    rig.reaches(|unread| unread == 0).await;
    assert!(clock::now() - begun >= MS * 900);
}

/// Each step is within `write_timeout`, and together the steps are too slow.
#[tokio::test]
async fn a_client_below_the_lowest_rate_is_cut_on_http1() {
    let slow = || Server::builder().write_timeout(SECOND * 3);
    for (at_least, is_cut) in [(200_000, true), (2_000, false), (0, false)] {
        let rig = Bytewise::new(slow().at_least(at_least), LARGE).await;
        let mut client = narrow(&rig).await;
        let took = read_at(&rig, &mut client, 2_000, MS * 50, SECOND * 11).await;
        assert_eq!(took < SECOND * 11, is_cut, "{at_least}: {took:?}");
        assert!(took >= SECOND * 4, "{at_least}: {took:?}");
    }
}

/// A byte a second.
#[tokio::test]
async fn a_dripping_client_with_a_small_buffer_is_cut() {
    let rig = Bytewise::new(Server::builder().write_timeout(SECOND * 6), LARGE).await;
    let mut client = narrow(&rig).await;
    let took = read_at(&rig, &mut client, 1, SECOND, SECOND * 20).await;
    assert!(took >= SECOND * 5 && took < SECOND * 20, "{took:?}");
}

/// A response within the operating system's buffers is written at once, and no limit applies.
#[tokio::test]
async fn a_small_response_is_written_at_once() {
    let rig = Bytewise::new(Server::builder().write_timeout(MS * 100), 8 << 10).await;
    let mut client = Client::connect(rig.address).await;
    client.get("/").await;
    tokio::time::sleep(MS * 300).await;
    rig.reaches(|unread| unread == 0).await;
    client.receive(&"x".repeat(8 << 10)).await;
    client.get("/").await;
    client.receive(&"x".repeat(8 << 10)).await;
}
