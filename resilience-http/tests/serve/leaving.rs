//! HTTP/1 clients that disconnect before their response.

use std::time::Duration;

use resilience_core::shutdown::Shutdown;
use resilience_http::serve::{Server, ServerBuilder};
use tokio::io::AsyncWriteExt;

use crate::client::Client;
use crate::{LONG, Rig};

/// Bytes that are sent before the client disconnects, with a request in flight in each case.
const SENT: [&str; 7] = [
    "GET /held HTTP/1.1\r\nhost: test\r\n\r\n",
    "GET /echo/first HTTP/1.1\r\nhost: test\r\n\r\nGET /held HTTP/1.1\r\nhost: test\r\n\r\n",
    // The beginning of another request, and bytes that are none.
    "GET /held HTTP/1.1\r\nhost: test\r\n\r\nGET /echo/next HT",
    "GET /held HTTP/1.1\r\nhost: test\r\n\r\n\r\n",
    "POST /held HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\n\r\n123",
    // Bodies that their handlers drop, and hold unread.
    "POST /held HTTP/1.1\r\nhost: test\r\ncontent-length: 1000000\r\n\r\n123",
    "POST /kept HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n3\r\n123\r\n3\r\n123\r\n",
];

#[derive(Debug, Clone, Copy)]
enum Leaves {
    /// Closes its sending side and waits for the response.
    HalfCloses,
    Closes,
    Resets,
}

async fn rig(server: ServerBuilder) -> Rig {
    let shutdown = Shutdown::builder().grace(Duration::ZERO).drain(LONG);
    Rig::with(server.build().unwrap(), shutdown).await
}

async fn leave(mut client: Client, how: Leaves) -> Option<Client> {
    match how {
        Leaves::HalfCloses => {
            client.0.shutdown().await.unwrap();
            return Some(client);
        }
        Leaves::Closes => {}
        Leaves::Resets => client.0.set_zero_linger().unwrap(),
    }
    None
}

/// The handler is dropped, and its permits are released.
#[tokio::test]
async fn the_request_of_a_client_that_disconnects_is_dropped() {
    for how in [Leaves::HalfCloses, Leaves::Closes, Leaves::Resets] {
        for sent in SENT {
            let rig = rig(Server::builder().max_connections(2)).await;
            let mut client = Client::connect(rig.address).await;
            client.send(sent).await;
            rig.held.entered().await;
            let kept = leave(client, how).await;
            rig.closes_all().await;
            drop(kept);
        }
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_ends_its_handler() {
    for how in [Leaves::HalfCloses, Leaves::Closes, Leaves::Resets] {
        let rig = rig(Server::builder()).await;
        let mut client = Client::connect(rig.address).await;
        client.send("POST /length HTTP/1.1\r\nhost: test\r\ncontent-length: 9\r\n\r\n123").await;
        while rig.token.in_flight() < 3 {
            tokio::task::yield_now().await;
        }
        let kept = leave(client, how).await;
        rig.closes_all().await;
        drop(kept);
    }
}

/// With `half_close`, a client that has sent everything gets its response, and a reset still ends
/// the request.
#[tokio::test]
async fn half_closed_clients_can_be_served() {
    for sent in [SENT[0], SENT[4]] {
        let rig = rig(Server::builder().half_close(true)).await;
        let mut client = Client::connect(rig.address).await;
        client.send(sent).await;
        client.0.shutdown().await.unwrap();
        rig.held.entered().await;
        // Longer than the server takes to notice a disconnect.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        rig.held.may_respond.notify_one();
        assert!(client.rest().await.unwrap().ends_with("at last"));
        rig.closes_all().await;
    }
    for sent in SENT {
        let rig = rig(Server::builder().half_close(true)).await;
        let mut client = Client::connect(rig.address).await;
        client.send(sent).await;
        rig.held.entered().await;
        leave(client, Leaves::Resets).await;
        rig.closes_all().await;
    }
}
