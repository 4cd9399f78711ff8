//! What an operation costs in transactions that write.

use std::path::Path;
use std::time::Duration;

use resilience_core::flow::Fence;
use resilience_core::flow::idempotency::{Completion, IdempotencyStore, KeyRequest};
use resilience_core::flow::lease::{Acquisition, LeaseRequest, LeaseStore};
use resilience_core::flow::ledger::{LedgerStore, NewRun, Note, RunState};
use resilience_stores::fingerprint;
use resilience_stores::sqlite::SqliteStore;

use crate::folder;

/// Returns the commits in the journal: frames whose header has the size of the database.
fn commits(path: &Path) -> usize {
    let journal = std::fs::read(format!("{}-wal", path.display())).unwrap();
    if journal.len() < 32 {
        return 0;
    }
    let number = |at: usize| u32::from_be_bytes(journal[at..at + 4].try_into().unwrap());
    let frame = usize::try_from(number(8)).unwrap() + 24;
    let frames = (journal.len() - 32) / frame;
    (0..frames).filter(|at| number(32 + at * frame + 4) != 0).count()
}

#[tokio::test]
async fn a_run_takes_two_transactions_and_everything_else_one() {
    let (_folder, path) = folder();
    let store = SqliteStore::open(&path).await.unwrap();
    let term = Duration::from_secs(60);
    let mut last = commits(&path);
    let mut cost = || {
        let now = commits(&path);
        let cost = now - last;
        last = now;
        cost
    };
    store.begin(NewRun::new("run", "job")).await.unwrap();
    let notes = vec![Note::attempt("a", "b"); 20];
    store.finish("run".to_owned(), None, notes, RunState::Cancelled).await.unwrap();
    assert_eq!(cost(), 2, "start and end of a run");
    let request = LeaseRequest::new("lease", "first", term);
    let Acquisition::Acquired(token) = store.try_acquire(request.clone()).await.unwrap() else {
        panic!("it is free")
    };
    assert_eq!(cost(), 1, "a lease that is taken");
    assert!(store.renew(Fence::new("lease", token), term).await.unwrap());
    assert_eq!(cost(), 1, "a renewal");
    store.try_acquire(request).await.unwrap();
    assert_eq!(cost(), 0, "a lease that is held");
    let request = KeyRequest::new("key", fingerprint(b""));
    let once = store.once(request.clone(), |_| {
        Ok::<_, resilience_core::flow::StoreError>(Completion::of(1, ""))
    });
    once.await.unwrap().unwrap();
    assert_eq!(cost(), 1, "an effect and its key");
    store.claim(request).await.unwrap().unwrap_err();
    assert_eq!(cost(), 0, "a key that is done");
}
