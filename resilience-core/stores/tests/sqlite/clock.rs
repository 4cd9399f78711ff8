//! The clock of the store's machine is stepped by an hour while holders and contenders are at work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use resilience_core::flow::idempotency::{
    Completion, Fingerprint, IdempotencyStore, KeyRequest, Taken,
};
use resilience_core::flow::lease::LeaseKeeper;
use resilience_core::{Timestamp, clock};
use resilience_stores::sqlite::SqliteStore;

use crate::{folder, log, with_log, write};

const HOUR: i64 = 60 * 60 * 1_000;
const TERM: Duration = Duration::from_millis(400);

async fn stepped(path: &std::path::Path, step: &Arc<AtomicI64>) -> SqliteStore {
    let step = step.clone();
    let shown =
        move || Timestamp::from_millis(Timestamp::now().as_millis() + step.load(Ordering::SeqCst));
    SqliteStore::builder(path).clock(shown).open().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_of_two_holders_are_never_both_accepted() {
    let (_folder, path) = folder();
    let step = Arc::new(AtomicI64::new(0));
    let store = stepped(&path, &step).await;
    with_log(&store).await;
    let done = Arc::new(AtomicBool::new(false));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (store, done) = (stepped(&path, &step).await, done.clone());
        workers.spawn(async move {
            let keeper = LeaseKeeper::builder(Arc::new(store.clone())).term(TERM).build().unwrap();
            while !done.load(Ordering::SeqCst) {
                let Ok(lease) = keeper.acquire("daily").await else { continue };
                let fence = lease.fence().clone();
                let work = async {
                    for _ in 0..20 {
                        if !write(&store, &fence, "work").await.unwrap() {
                            return;
                        }
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                };
                // A lease that is lost is what this is about.
                let _ = lease.run(work).await;
            }
        });
    }
    for to in [HOUR, 0, -HOUR, HOUR, 0, -HOUR, 0] {
        tokio::time::sleep(Duration::from_millis(700)).await;
        step.store(to, Ordering::SeqCst);
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    done.store(true, Ordering::SeqCst);
    while let Some(worker) = workers.join_next().await {
        worker.unwrap();
    }
    let log = log(&store).await;
    assert!(
        log.windows(2).all(|pair| pair[0].0 <= pair[1].0),
        "a former holder's write was accepted"
    );
    let holders = log.chunk_by(|one, next| one.0 == next.0).count();
    assert!(holders > 5 && log.len() > 50, "{holders} holders, {} writes", log.len());
}

#[tokio::test]
async fn a_step_back_keeps_a_dead_holders_lease_for_two_terms_at_most() {
    let (_folder, path) = folder();
    let step = Arc::new(AtomicI64::new(0));
    let store = stepped(&path, &step).await;
    with_log(&store).await;
    let keeper = || LeaseKeeper::builder(Arc::new(store.clone())).term(TERM).build().unwrap();
    let dead = keeper().acquire("daily").await.unwrap();
    let fence = dead.fence().clone();
    std::mem::forget(dead);
    step.store(-HOUR, Ordering::SeqCst);
    let began = clock::now();
    let successor = keeper().acquire("daily").await.unwrap();
    let waited = clock::now() - began;
    assert!(waited >= TERM * 2, "{waited:?}");
    // Two terms, and the time to the next request; generous, since the machine is shared.
    assert!(waited < TERM * 2 + Duration::from_secs(5), "{waited:?}");
    assert!(!write(&store, &fence, "late").await.unwrap());
    assert!(write(&store, successor.fence(), "own").await.unwrap());
}

#[tokio::test]
async fn a_key_is_kept_for_its_time_less_an_hour() {
    let (_folder, path) = folder();
    let step = Arc::new(AtomicI64::new(0));
    let store = stepped(&path, &step).await;
    let ttl = Duration::from_secs(3 * 3_600);
    let request = || KeyRequest::new("key", Fingerprint::new([1; 32])).ttl(ttl);
    let claim = store.claim(request()).await.unwrap().unwrap();
    assert!(store.complete(claim, Completion::of(1, "")).await.unwrap());
    for passed in [-HOUR, HOUR, 3 * HOUR - 60_000] {
        step.store(passed, Ordering::SeqCst);
        store.remove_expired(100).await.unwrap();
        let taken = store.claim(request()).await.unwrap();
        assert!(matches!(taken, Err(Taken::Done { .. })), "{passed}: {taken:?}");
    }
    step.store(3 * HOUR + 1, Ordering::SeqCst);
    assert_eq!(store.remove_expired(100).await.unwrap().keys, 1);
}
