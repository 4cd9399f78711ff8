//! HTTP/2, frame by frame: the close of an idle connection, and the reset of a slow reader.

use std::net::SocketAddr;
use std::time::Duration;

use resilience_core::clock;
use resilience_core::shutdown::Shutdown;
use resilience_http::serve::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{LONG, MS, Rig};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

/// A client that shows frames.
pub(crate) struct Frames(pub(crate) TcpStream, Vec<u8>);

impl Frames {
    async fn connect(rig: &Rig) -> Frames {
        Frames::with(rig, &[]).await
    }

    async fn with(rig: &Rig, settings: &[u8]) -> Frames {
        Frames::to(rig.address, settings).await
    }

    pub(crate) async fn to(address: SocketAddr, settings: &[u8]) -> Frames {
        let mut frames = Frames(TcpStream::connect(address).await.unwrap(), Vec::new());
        frames.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        frames.send(SETTINGS, 0, 0, settings).await;
        frames
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.0.write_all(&frame).await.unwrap();
    }

    /// Sends a whole request: GET, http, /, and an authority.
    pub(crate) async fn request(&mut self, stream: u32) {
        self.send(HEADERS, 0x5, stream, b"\x82\x86\x84\x41\x01a").await;
    }

    /// Sends a whole request for `/large`.
    async fn request_large(&mut self, stream: u32) {
        self.send(HEADERS, 0x5, stream, b"\x82\x86\x04\x06/large\x41\x01a").await;
    }

    /// Sends the head of a POST to a path of five bytes.
    async fn post(&mut self, stream: u32, path: &str) {
        let head = [b"\x83\x86\x04\x05", path.as_bytes(), b"\x41\x01a"].concat();
        self.send(HEADERS, 0x4, stream, &head).await;
    }

    /// Waits for a frame of this kind, and returns its stream and payload. Cancellation loses no
    /// byte.
    pub(crate) async fn next(&mut self, kind: u8) -> (u32, Vec<u8>) {
        let next = async {
            loop {
                let Some((head, payload)) = self.frame() else {
                    assert_ne!(self.0.read_buf(&mut self.1).await.unwrap(), 0, "it is closed");
                    continue;
                };
                if head[3] == kind && (kind != PING || head[4] == 0) {
                    return (u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload);
                }
            }
        };
        tokio::time::timeout(LONG, next).await.expect("it does not come")
    }

    /// Removes a complete frame from the buffer.
    fn frame(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        let head = self.1.first_chunk::<9>()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let length = usize::try_from(length).unwrap();
        let frame = self.1.get(..9 + length)?.to_vec();
        self.1.drain(..9 + length);
        Some((frame[..9].to_vec(), frame[9..].to_vec()))
    }

    pub(crate) async fn widen(&mut self, stream: u32, bytes: u32) {
        self.send(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes()).await;
    }

    async fn last_stream(&mut self) -> u32 {
        let (_, payload) = self.next(GOAWAY).await;
        u32::from_be_bytes([payload[0], payload[1], payload[2], payload[3]])
    }
}

async fn rig() -> Rig {
    let server = Server::builder().idle_timeout(MS * 50).build().unwrap();
    Rig::with(server, Shutdown::builder().grace(Duration::ZERO).drain(LONG)).await
}

/// A request that crosses the GOAWAY.
#[tokio::test]
async fn a_request_that_crosses_the_goaway_gets_its_response() {
    let rig = rig().await;
    let mut client = Frames::connect(&rig).await;
    client.request(1).await;
    assert_eq!(client.next(HEADERS).await.0, 1);
    assert_eq!(client.last_stream().await, (1 << 31) - 1);
    let (_, ping) = client.next(PING).await;
    // Longer than `idle_timeout`.
    tokio::time::sleep(MS * 150).await;
    client.request(3).await;
    assert_eq!(client.next(HEADERS).await.0, 3);
    client.send(PING, 1, 0, &ping).await;
    assert_eq!(client.last_stream().await, 3);
    let mut rest = Vec::new();
    let _closed = tokio::time::timeout(LONG, client.0.read_to_end(&mut rest)).await.unwrap();
    rig.closes_all().await;
}

/// A client that does not acknowledge the PING.
#[tokio::test]
async fn an_idle_client_without_a_ping_acknowledgement_is_closed() {
    let rig = rig().await;
    let mut client = Frames::connect(&rig).await;
    assert_eq!(client.last_stream().await, (1 << 31) - 1);
    rig.closes_all().await;
}

/// By default, a byte now and then is too slow, and 600 bytes a second are not.
#[tokio::test]
async fn the_stream_of_a_slow_reader_is_reset_and_the_others_go_on() {
    let rig = Rig::with(Server::default(), Shutdown::builder().drain(LONG)).await;
    // The windows of streams are 0 at first.
    let mut client = Frames::with(&rig, &[0, 4, 0, 0, 0, 0]).await;
    let begun = clock::now();
    for stream in [1, 3] {
        client.request_large(stream).await;
    }
    let mut reset = None;
    while (clock::now() - begun) < Duration::from_secs(20) && reset.is_none() {
        client.widen(1, 1).await;
        client.widen(3, 300).await;
        reset = tokio::time::timeout(MS * 500, client.next(RST_STREAM)).await.ok();
    }
    assert_eq!(reset.map(|(stream, _)| stream), Some(1));
    assert!((clock::now() - begun) >= Duration::from_secs(5), "{:?}", (clock::now() - begun));
    for _ in 0..12 {
        client.widen(3, 300).await;
        assert!(tokio::time::timeout(MS * 500, client.next(RST_STREAM)).await.is_err());
    }
}

/// A body that was read to its end, or has arrived in full, does not delay the drain. An incomplete
/// one does, because a reset would discard the response.
#[tokio::test]
async fn only_an_incomplete_body_delays_the_drain() {
    for (path, is_whole) in [("/read", true), ("/half", true), ("/held", true), ("/held", false)] {
        let server = Server::builder().linger_timeout(LONG * 10).build().unwrap();
        let shutdown = Shutdown::builder().grace(Duration::ZERO).drain(LONG);
        let rig = Rig::with(server, shutdown).await;
        let mut client = Frames::connect(&rig).await;
        client.post(1, path).await;
        client.send(DATA, 0, 1, b"1").await;
        client.send(DATA, u8::from(is_whole), 1, b"23").await;
        rig.held.entered().await;
        rig.token.begin("test");
        let (_, ping) = client.next(PING).await;
        client.send(PING, 1, 0, &ping).await;
        rig.held.may_respond.notify_one();
        assert_eq!(client.next(HEADERS).await.0, 1);
        let mut rest = Vec::new();
        let _closed = tokio::time::timeout(LONG, client.0.read_to_end(&mut rest)).await.unwrap();
        if !is_whole {
            assert!(rig.token.in_flight() > 0 && !rig.server.is_finished());
            drop(client);
        }
        let (report, served) = rig.end().await;
        assert_eq!((report.cut(), served.cut), (0, 0), "{path} {is_whole} {report}");
    }
}

/// The client acknowledges no PING, and has no request that could be lost.
#[tokio::test]
async fn a_silent_idle_client_does_not_delay_the_drain() {
    let rig = Rig::new().await;
    let mut silent = Frames::connect(&rig).await;
    silent.request(1).await;
    silent.next(HEADERS).await;
    rig.token.begin("test");
    let (report, served) = rig.end().await;
    assert_eq!((report.exit_code(), served.cut), (0, 0), "{report}");
}
