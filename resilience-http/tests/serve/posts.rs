//! Bodies of requests that were read to their end, or had arrived in full: nothing is waited for when their
//! connection is closed.

use std::time::Duration;

use resilience_core::shutdown::Shutdown;
use resilience_http::serve::Server;

use crate::client::Client;
use crate::{LONG, Rig};

/// A server that would wait for longer than a test does.
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

/// The handlers read all, one frame, and nothing.
const PATHS: [&str; 3] = ["/read", "/half", "/held"];

/// Begins draining while the request of `client` is in flight, and lets its handler response. The client then neither closes
/// nor sends.
async fn drained(rig: Rig, mut client: Client, connections: u64, what: &str) {
    rig.held.entered().await;
    rig.token.begin("test");
    rig.token.draining().await;
    rig.held.may_answer.notify_one();
    let response = client.hear("at last").await;
    assert!(response.contains("connection: close"), "{what:?} {response}");
    let (report, served) = rig.end().await;
    assert!(report.is_clean(), "{what:?} {report}");
    assert_eq!(report.exit_code(), 0, "{what:?}");
    assert_eq!((served.connections, served.cut), (connections, 0), "{what:?}");
    drop(client);
}

#[tokio::test]
async fn nothing_is_cut_at_drain() {
    for path in PATHS {
        for body in BODIES {
            let rig = rig().await;
            let mut client = Client::connect(rig.address).await;
            let request = post(path, body);
            client.say(&request).await;
            drained(rig, client, 1, &request).await;
        }
    }
}

#[tokio::test]
async fn nor_after_a_100() {
    for body in ["content-length: 3\r\n", "transfer-encoding: chunked\r\n"] {
        let rig = rig().await;
        let mut client = Client::connect(rig.address).await;
        client.say(&post("/read", &format!("expect: 100-continue\r\n{body}\r\n"))).await;
        assert_eq!(client.hear("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
        client.say(if body.contains("chunked") { "3\r\n123\r\n0\r\n\r\n" } else { "123" }).await;
        drained(rig, client, 1, body).await;
    }
}

/// Also after requests with bodies on the same connection, which come one by one or all at once.
#[tokio::test]
async fn nor_of_a_connection_with_several() {
    for path in PATHS {
        let rig = rig().await;
        let mut client = Client::connect(rig.address).await;
        for body in &BODIES[..4] {
            client.say(&post("/length", body)).await;
            client.hear("\r\n\r\n3").await;
        }
        let all = BODIES[..4].iter().map(|body| post("/length", body)).collect::<String>();
        client.say(&(all + &post(path, BODIES[1]))).await;
        for _ in 0..4 {
            client.hear("\r\n\r\n3").await;
        }
        drained(rig, client, 1, path).await;
    }
}

/// The same without a drain, of a client that closes last.
#[tokio::test]
async fn nor_is_one_kept_that_is_to_be_closed() {
    for path in PATHS {
        for body in BODIES {
            let rig = rig().await;
            let mut client = Client::connect(rig.address).await;
            client.say(&post(path, &format!("connection: close\r\n{body}"))).await;
            rig.held.entered().await;
            rig.held.may_answer.notify_one();
            client.hear("at last").await;
            rig.closes_all().await;
        }
    }
}

/// A body that nobody reads is discarded while its handler runs, and the connection serves on.
#[tokio::test]
async fn a_body_that_is_not_read_ends_no_connection() {
    let rig = rig().await;
    let mut client = Client::connect(rig.address).await;
    for path in PATHS {
        for body in BODIES {
            client.say(&post(path, body)).await;
            rig.held.entered().await;
            rig.held.may_answer.notify_one();
            assert!(!client.hear("at last").await.contains("connection: close"));
        }
    }
    rig.token.begin("test");
    assert_eq!(client.rest().await.unwrap(), "");
    let (report, served) = rig.end().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(served.connections, 1);
}

/// The others are waited for, whatever their handler does.
#[tokio::test]
async fn a_client_that_is_still_sending_is_waited_for() {
    let unfinished = [
        "content-length: 4\r\n\r\n123",
        "transfer-encoding: chunked\r\n\r\n3\r\n123\r\n",
        "transfer-encoding: chunked\r\n\r\n3\r\n123\r\n0\r\nx: 1\r\n",
        "expect: 100-continue\r\ncontent-length: 4\r\n\r\n",
    ];
    for body in unfinished {
        let rig = rig().await;
        let mut client = Client::connect(rig.address).await;
        client.say(&post("/held", body)).await;
        rig.held.entered().await;
        rig.token.begin("test");
        rig.token.draining().await;
        rig.held.may_answer.notify_one();
        client.hear("at last").await;
        // The other side has closed its half; what is sent now meets no reset.
        let mut nothing = [0; 1];
        let read = tokio::io::AsyncReadExt::read(&mut client.0, &mut nothing);
        assert_eq!(tokio::time::timeout(LONG, read).await.expect(body).unwrap(), 0);
        for _ in 0..3 {
            client.say("4").await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(rig.token.in_flight() > 0 && !rig.server.is_finished(), "{body:?}");
        drop(client);
        let (report, served) = rig.end().await;
        assert_eq!((report.cut(), served.cut), (0, 0), "{body:?} {report}");
    }
}
