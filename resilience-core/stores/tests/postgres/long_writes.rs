//! A write that takes longer than a term of its lease, and the contenders meanwhile.

use std::time::Duration;

use resilience_core::flow::lease::{Acquisition, LeaseRequest, LeaseStore};
use resilience_core::flow::{Fence, FencingToken};
use resilience_stores::postgres::{PostgresStore, PostgresTransaction};

use crate::database;

const TERM: Duration = Duration::from_secs(60);

async fn acquire(store: &PostgresStore) -> FencingToken {
    match store.try_acquire(LeaseRequest::new("load", "one", TERM)).await.unwrap() {
        Acquisition::Acquired(token) => token,
        held => panic!("{held:?}"),
    }
}

#[tokio::test]
async fn a_renewal_does_not_wait_for_the_holders_own_transaction() {
    let Some(url) = database("long_write").await else { return };
    let store = PostgresStore::open(&url).await.unwrap();
    let fence = Fence::new("load", acquire(&store).await);
    let mut client = store.client().await.unwrap();
    let tx = client.transaction().await.unwrap();
    assert!(PostgresTransaction::new(&tx).admits(&fence).await.unwrap());
    assert!(store.renew(fence.clone(), TERM).await.unwrap());
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_successor_waits_for_a_write_that_was_admitted() {
    let Some(url) = database("admitted_write").await else { return };
    let store = PostgresStore::open(&url).await.unwrap();
    let fence = Fence::new("load", acquire(&store).await);
    let mut client = store.client().await.unwrap();
    let tx = client.transaction().await.unwrap();
    assert!(PostgresTransaction::new(&tx).admits(&fence).await.unwrap());
    assert!(store.release(fence).await.unwrap());
    let successor = store.clone();
    let waiting = tokio::spawn(async move { acquire(&successor).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished(), "the lease was taken beside an admitted write");
    tx.commit().await.unwrap();
    assert!(waiting.await.unwrap() > FencingToken::new(1));
}
