//! A client that returns the bytes on the wire.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::LONG;

pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Client {
        Client(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    pub(crate) async fn get(&mut self, path: &str) {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n")).await;
    }

    /// Reads a response up to `ending`.
    pub(crate) async fn receive(&mut self, ending: &str) -> String {
        let mut received = String::new();
        while !received.ends_with(ending) {
            let mut byte = [0; 1];
            match tokio::time::timeout(LONG, self.0.read(&mut byte)).await.expect("nothing comes") {
                Ok(1) => received.push(char::from(byte[0])),
                other => panic!("{other:?} after {received:?}"),
            }
        }
        received
    }

    /// Reads until the other side closes.
    pub(crate) async fn rest(mut self) -> std::io::Result<String> {
        let mut rest = String::new();
        let read = self.0.read_to_string(&mut rest);
        tokio::time::timeout(LONG, read).await.expect("it is not closed")?;
        Ok(rest)
    }
}
