//! What is no longer kept is removed in bounded steps, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use resilience_core::Timestamp;
use resilience_core::flow::StoreErrorKind;
use resilience_core::flow::idempotency::{
    Completion, Fingerprint, IdempotencyStore, KeyRequest, RowHash,
};
use resilience_core::flow::lease::{Acquisition, LeaseRequest, LeaseStore};
use resilience_core::flow::ledger::{Began, LedgerStore, NewRun, Note, RunLedger, RunState};
use resilience_core::flow::outbox::{ClaimRequest, NewMessage, OutboxStore};
use resilience_core::observe::Gauges;
use resilience_stores::sqlite::SqliteStore;

use crate::folder;

const DAY: i64 = 24 * 60 * 60 * 1_000;

#[tokio::test]
async fn every_table_is_emptied_in_bounded_steps() {
    let (_folder, path) = folder();
    let now = Arc::new(AtomicI64::new(0));
    let clock = now.clone();
    let store = SqliteStore::builder(path)
        .clock(move || Timestamp::from_millis(clock.load(Ordering::SeqCst)));
    let store = store.open().await.unwrap();
    let hash = Fingerprint::new([1; 32]);
    let mut last = None;
    for n in 0..5 {
        let request = LeaseRequest::new(format!("lease-{n}"), "first", Duration::from_secs(60));
        last = Some(store.try_acquire(request).await.unwrap());
        let id = format!("run-{n}");
        store.begin(NewRun::new(&id, "job")).await.unwrap();
        store.note(id.clone(), None, vec![Note::attempt("a", "b"); 3]).await.unwrap();
        if n > 0 {
            store.finish(id, None, Vec::new(), RunState::Cancelled).await.unwrap();
        }
        let claim = store.claim(KeyRequest::new(format!("key-{n}"), hash)).await.unwrap().unwrap();
        store.complete(claim, Completion::of(1, "")).await.unwrap();
        let row = RowHash { key: format!("row-{n}"), hash };
        store.record("set".to_owned(), vec![row], Duration::from_secs(60)).await.unwrap();
    }
    let poison = NewMessage::new("topic", "poison");
    store.append_messages(vec![poison.clone(), poison.clone(), poison]).await.unwrap();
    let claimed = store.claim_messages(ClaimRequest::new("topic")).await.unwrap();
    for message in &claimed.deliveries[..2] {
        assert!(store.dead_letter(message.receipt, "poison".to_owned()).await.unwrap());
    }
    let rows = |sizes: Vec<resilience_stores::TableSize>| sizes.into_iter().map(|it| it.rows);
    let sizes: Vec<_> = rows(store.sizes().await.unwrap()).collect();
    assert_eq!(sizes, [5, 5, 24, 5, 5, 3]);
    let mut gauges = Vec::new();
    store.gauges(&mut |name, value| gauges.push((name, value)));
    assert_eq!(gauges[3], ("resilience.store.timeline", 24.0));
    assert_eq!(gauges.len(), 7);
    assert_eq!(store.remove_expired(100).await.unwrap().total(), 0, "nothing is old");

    now.store(91 * DAY, Ordering::SeqCst);
    let first = store.remove_expired(2).await.unwrap();
    assert_eq!((first.leases, first.keys, first.rows, first.entries, first.runs), (2, 2, 2, 2, 0));
    let mut steps = 1;
    while store.remove_expired(2).await.unwrap().total() > 0 {
        steps += 1;
    }
    assert!((12..=20).contains(&steps), "{steps}");
    let left: Vec<_> = rows(store.sizes().await.unwrap()).collect();
    assert_eq!(left, [0, 0, 0, 0, 0, 1], "a message that is not settled stays");

    // The tokens of removed leases are not given again.
    let request = LeaseRequest::new("lease-4", "second", Duration::from_secs(60));
    let Acquisition::Acquired(next) = store.try_acquire(request).await.unwrap() else {
        panic!("it was removed")
    };
    let Some(Acquisition::Acquired(last)) = last else { panic!("it was free") };
    assert!(next > last);
}

#[tokio::test]
async fn what_is_kept_stays() {
    let (_folder, path) = folder();
    let store = SqliteStore::open(path).await.unwrap();
    let request = LeaseRequest::new("lease", "first", Duration::from_secs(60));
    store.try_acquire(request).await.unwrap();
    store.begin(NewRun::new("run", "job")).await.unwrap();
    let hash = Fingerprint::new([1; 32]);
    store.claim(KeyRequest::new("key", hash)).await.unwrap().unwrap();
    assert_eq!(store.remove_expired(u32::MAX).await.unwrap().total(), 0);
    assert!(store.run("run".to_owned()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_note_for_a_run_that_was_removed_is_an_error() {
    let (_folder, path) = folder();
    let now = Arc::new(AtomicI64::new(0));
    let clock = now.clone();
    let store = SqliteStore::builder(path)
        .clock(move || Timestamp::from_millis(clock.load(Ordering::SeqCst)));
    let store = store.open().await.unwrap();
    let ledger = RunLedger::new(Arc::new(store.clone()));
    let Began::Run(mut run) = ledger.begin(NewRun::new("run", "job")).await.unwrap() else {
        panic!("it is new")
    };
    run.note_now(Note::attempt("load", "503")).await.unwrap();
    now.store(91 * DAY, Ordering::SeqCst);
    while store.remove_expired(100).await.unwrap().total() > 0 {}
    let error = run.note_now(Note::attempt("load", "503")).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::InvalidInput);
    assert!(error.to_string().contains("the run `run` is not in the store"), "{error}");
}

#[tokio::test]
async fn a_store_that_was_opened_by_its_url_is_maintained() {
    let (_folder, path) = folder();
    let url = format!("sqlite:{}", path.display());
    crate::upkeep::maintenance_by_url(&url, "resilience.store.keys", 1.0).await;
}
