//! What an operation costs in round trips and transactions, counted by a proxy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use resilience_core::flow::Fence;
use resilience_core::flow::lease::{Acquisition, LeaseRequest, LeaseStore};
use resilience_core::flow::ledger::{LedgerStore, NewRun, RunState};
use resilience_stores::postgres::PostgresStore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::database;

/// What went through.
#[derive(Default)]
struct Seen {
    /// The times that the client spoke after the server.
    round_trips: AtomicUsize,
    commits: AtomicUsize,
    client_speaks: AtomicBool,
}

impl Seen {
    fn client_spoke(&self, bytes: &[u8]) {
        if !self.client_speaks.swap(true, Ordering::SeqCst) {
            self.round_trips.fetch_add(1, Ordering::SeqCst);
        }
        let commits = bytes.windows(6).filter(|word| word == b"COMMIT").count();
        self.commits.fetch_add(commits, Ordering::SeqCst);
    }

    fn server_spoke(&self) {
        self.client_speaks.store(false, Ordering::SeqCst);
    }

    /// Returns round trips and commits since the last call.
    fn take(&self) -> (usize, usize) {
        (self.round_trips.swap(0, Ordering::SeqCst), self.commits.swap(0, Ordering::SeqCst))
    }
}

/// Starts a proxy in front of the port, and returns its own.
async fn proxy(port: u16, seen: Arc<Seen>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let own = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let (up, down) = (seen.clone(), seen.clone());
            tokio::spawn(async move {
                let mut bytes = [0; 4_096];
                while let Ok(read @ 1..) = from_client.read(&mut bytes).await {
                    up.client_spoke(&bytes[..read]);
                    to_server.write_all(&bytes[..read]).await.unwrap();
                }
            });
            tokio::spawn(async move {
                let mut bytes = [0; 4_096];
                while let Ok(read @ 1..) = from_server.read(&mut bytes).await {
                    down.server_spoke();
                    if to_client.write_all(&bytes[..read]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    own
}

#[tokio::test]
async fn a_renewal_takes_one_round_trip_and_a_run_two_transactions() {
    let Some(url) = database("cost").await else { return };
    let (seen, config) =
        (Arc::new(Seen::default()), url.parse::<tokio_postgres::Config>().unwrap());
    let own = proxy(config.get_ports()[0], seen.clone()).await;
    let through = format!("postgres://postgres@127.0.0.1:{own}/cost");
    let store = PostgresStore::builder(&through).unwrap().max_connections(1).open().await.unwrap();
    let term = Duration::from_secs(60);
    let request = LeaseRequest::new("lease", "first", term);
    let Acquisition::Acquired(token) = store.try_acquire(request).await.unwrap() else {
        panic!("it is free")
    };
    let fence = Fence::new("lease", token);
    // The first one prepares the statement.
    assert!(store.renew(fence.clone(), term).await.unwrap());
    seen.take();
    assert!(store.renew(fence, term).await.unwrap());
    assert_eq!(seen.take(), (1, 0), "a renewal");
    store.begin(NewRun::new("run", "job")).await.unwrap();
    store.finish("run".to_owned(), None, Vec::new(), RunState::Cancelled).await.unwrap();
    assert_eq!(seen.take().1, 2, "start and end of a run");
}
