//! How the connection of HTTP/2 that has been idle for too long is closed.

use std::time::Duration;

use resilience_core::shutdown::Shutdown;
use resilience_http::serve::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{LONG, MS, Rig};

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

/// A client that shows frames.
struct Frames(TcpStream);

impl Frames {
    async fn connect(rig: &Rig) -> Frames {
        let mut frames = Frames(TcpStream::connect(rig.address).await.unwrap());
        frames.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        frames.send(SETTINGS, 0, 0, &[]).await;
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
    async fn request(&mut self, stream: u32) {
        self.send(HEADERS, 0x5, stream, b"\x82\x86\x84\x41\x01a").await;
    }

    /// Waits for a frame of this kind. Returns its stream and payload.
    async fn next(&mut self, kind: u8) -> (u32, Vec<u8>) {
        let next = async {
            loop {
                let mut head = [0; 9];
                self.0.read_exact(&mut head).await.unwrap();
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                let mut payload = vec![0; usize::try_from(length).unwrap()];
                self.0.read_exact(&mut payload).await.unwrap();
                if head[3] == kind && (kind != PING || head[4] == 0) {
                    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
                    return (stream, payload);
                }
            }
        };
        tokio::time::timeout(LONG, next).await.expect("it does not come")
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

/// A request that meets the GOAWAY on its way is answered.
#[tokio::test]
async fn a_request_that_was_on_its_way_is_answered() {
    let rig = rig().await;
    let mut client = Frames::connect(&rig).await;
    client.request(1).await;
    assert_eq!(client.next(HEADERS).await.0, 1);
    assert_eq!(client.last_stream().await, (1 << 31) - 1);
    let (_, ping) = client.next(PING).await;
    // Longer than the connection may be idle.
    tokio::time::sleep(MS * 150).await;
    client.request(3).await;
    assert_eq!(client.next(HEADERS).await.0, 3);
    client.send(PING, 1, 0, &ping).await;
    assert_eq!(client.last_stream().await, 3);
    let mut rest = Vec::new();
    let _closed = tokio::time::timeout(LONG, client.0.read_to_end(&mut rest)).await.unwrap();
    rig.closes_all().await;
}

/// One that does not answer the PING is closed all the same.
#[tokio::test]
async fn a_client_that_does_not_answer_is_closed() {
    let rig = rig().await;
    let mut client = Frames::connect(&rig).await;
    assert_eq!(client.last_stream().await, (1 << 31) - 1);
    rig.closes_all().await;
}
