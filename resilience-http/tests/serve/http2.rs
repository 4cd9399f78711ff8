//! HTTP/2 connections when draining begins.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use resilience_core::shutdown::Shutdown;
use resilience_http::serve::Server;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::{LONG, MS, Rig, cut};

type Sender = SendRequest<Empty<Bytes>>;

async fn connect(rig: &Rig) -> (Sender, JoinHandle<hyper::Result<()>>) {
    let io = TokioIo::new(TcpStream::connect(rig.address).await.unwrap());
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    (sender, tokio::spawn(connection))
}

fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("http://test{path}")).body(Empty::new()).unwrap()
}

async fn text(sender: &mut Sender, path: &str) -> hyper::Result<Bytes> {
    let response = sender.send_request(get(path)).await?;
    Ok(response.into_body().collect().await?.to_bytes())
}

#[tokio::test]
async fn streams_in_flight_finish_after_goaway() {
    let rig = Rig::new().await;
    let (mut sender, connection) = connect(&rig).await;
    assert_eq!(text(&mut sender, "/echo/one").await.unwrap(), "one");
    let mut held = sender.clone();
    let held = tokio::spawn(async move { text(&mut held, "/held").await });
    rig.held.entered().await;
    rig.token.begin("test");
    rig.token.draining().await;
    // GOAWAY has arrived once no new stream can be opened while one is in flight.
    let rejected = async { while text(&mut sender, "/echo/more").await.is_ok() {} };
    tokio::time::timeout(LONG, rejected).await.expect("no GOAWAY");
    assert!(!held.is_finished());
    rig.held.may_respond.notify_one();
    assert_eq!(held.await.unwrap().unwrap(), "at last");
    connection.await.unwrap().unwrap();
    let (report, served) = rig.end().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!((served.connections, served.cut), (1, 0));
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let rig = Rig::new().await;
    let (mut sender, connection) = connect(&rig).await;
    assert_eq!(text(&mut sender, "/echo/one").await.unwrap(), "one");
    rig.token.begin("test");
    connection.await.unwrap().unwrap();
    let (report, _) = rig.end().await;
    assert!(report.is_clean(), "{report}");
}

/// Handlers run in their own tasks, which are cut too.
#[tokio::test]
async fn streams_are_cut_at_the_deadline() {
    let shutdown = Shutdown::builder().grace(Duration::ZERO).drain(MS * 50);
    let rig = Rig::with(Server::default(), shutdown).await;
    let (sender, _connection) = connect(&rig).await;
    let held: Vec<_> = (0..3)
        .map(|_| {
            let mut sender = sender.clone();
            tokio::spawn(async move { text(&mut sender, "/held").await })
        })
        .collect();
    for _ in 0..3 {
        rig.held.entered().await;
    }
    rig.token.begin("test");
    for held in held {
        assert!(held.await.unwrap().is_err());
    }
    let (report, _) = rig.end().await;
    assert_eq!(cut(&report, "http requests"), 3, "{report}");
    assert_eq!(report.work.iter().map(|work| work.left).sum::<u64>(), 0, "{report}");
}
