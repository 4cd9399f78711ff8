//! Clients of HTTP/1 that leave before they are answered.

use std::time::Duration;

use resilience_core::shutdown::Shutdown;
use resilience_http::serve::{Server, ServerBuilder};
use tokio::io::AsyncWriteExt;

use crate::client::Client;
use crate::{LONG, Rig};

/// What is sent before the client leaves, each with its handler under way.
const SENT: [&str; 7] = [
    "GET /held HTTP/1.1\r\nhost: test\r\n\r\n",
    "GET /echo/first HTTP/1.1\r\nhost: test\r\n\r\nGET /held HTTP/1.1\r\nhost: test\r\n\r\n",
    // The beginning of another one, and of nothing.
    "GET /held HTTP/1.1\r\nhost: test\r\n\r\nGET /echo/next HT",
    "GET /held HTTP/1.1\r\nhost: test\r\n\r\n\r\n",
    "POST /held HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\n\r\n123",
    // Bodies that their handlers drop, and keep unread.
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

/// Its handler is dropped, and its place and connection are free.
#[tokio::test]
async fn nothing_is_kept_for_a_client_that_has_left() {
    for how in [Leaves::HalfCloses, Leaves::Closes, Leaves::Resets] {
        for sent in SENT {
            let rig = rig(Server::builder().max_connections(2)).await;
            let mut client = Client::connect(rig.address).await;
            client.say(sent).await;
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
        client.say("POST /length HTTP/1.1\r\nhost: test\r\ncontent-length: 9\r\n\r\n123").await;
        while rig.token.in_flight() < 3 {
            tokio::task::yield_now().await;
        }
        let kept = leave(client, how).await;
        rig.closes_all().await;
        drop(kept);
    }
}

/// As an option: whoever has sent everything is answered, and a reset is the end all the same.
#[tokio::test]
async fn half_closed_clients_can_be_served() {
    for sent in [SENT[0], SENT[4]] {
        let rig = rig(Server::builder().half_close(true)).await;
        let mut client = Client::connect(rig.address).await;
        client.say(sent).await;
        client.0.shutdown().await.unwrap();
        rig.held.entered().await;
        // Longer than it takes to notice who has left.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        rig.held.may_answer.notify_one();
        assert!(client.rest().await.unwrap().ends_with("at last"));
        rig.closes_all().await;
    }
    for sent in SENT {
        let rig = rig(Server::builder().half_close(true)).await;
        let mut client = Client::connect(rig.address).await;
        client.say(sent).await;
        rig.held.entered().await;
        leave(client, Leaves::Resets).await;
        rig.closes_all().await;
    }
}
