//! Dropping an operation after k polls, for every k, leaves nothing behind.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use resilience_core::flow::idempotency::{Completion, Fingerprint, Idempotency, KeyRequest, Once};
use resilience_core::flow::lease::LeaseKeeper;
use resilience_core::flow::ledger::{Began, LedgerStore, NewRun, RunLedger, RunState};
use resilience_core::testing::MemoryStore;
use tokio::time::sleep;

/// Polls `future` up to `polls` times, with time for others in between, and drops it. Returns
/// `true` if it ended.
pub(crate) async fn drop_after<F: Future>(polls: usize, future: F) -> bool {
    let mut future = pin!(future);
    for _ in 0..polls {
        let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if polled.is_ready() {
            return true;
        }
        sleep(Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test(start_paused = true)]
async fn a_lease() {
    let mut polls = 0;
    loop {
        let store = MemoryStore::new();
        let keeper = LeaseKeeper::builder(Arc::new(store.clone())).build().unwrap();
        let ended = drop_after(polls, async {
            let lease = keeper.acquire("daily").await.unwrap();
            let fence = lease.fence().clone();
            let work = async {
                for section in 0..5 {
                    assert!(store.write(&fence, section.to_string()));
                    tokio::task::yield_now().await;
                }
            };
            lease.run(work).await.unwrap();
        });
        let ended = ended.await;
        // What was granted is given back without waiting for the end of the term.
        sleep(Duration::from_secs(1)).await;
        assert_eq!(keeper.in_use(), 0, "after {polls} polls");
        drop(
            keeper
                .try_acquire("daily")
                .await
                .unwrap_or_else(|e| panic!("after {polls} polls: {e}")),
        );
        if ended {
            break;
        }
        polls += 1;
        assert!(polls < 1_000);
    }
    assert!(polls > 5, "the call was dropped at several points: {polls}");
}

#[tokio::test(start_paused = true)]
async fn a_release_of_all_leases() {
    let mut polls = 0;
    loop {
        let store = MemoryStore::new();
        let keeper = LeaseKeeper::builder(Arc::new(store.clone())).build().unwrap();
        let mut works = tokio::task::JoinSet::new();
        for name in ["a", "b", "c"] {
            let lease = keeper.acquire(name).await.unwrap();
            works.spawn(lease.run(std::future::pending::<()>()));
        }
        sleep(Duration::from_millis(1)).await;
        let ended = drop_after(polls, async { keeper.release_all().await.unwrap() }).await;
        if polls > 0 {
            while let Some(lost) = works.join_next().await {
                assert!(lost.unwrap().is_err(), "the work ended after {polls} polls");
            }
            assert_eq!(keeper.in_use(), 0);
        }
        works.shutdown().await;
        // What was not given back ends with its term.
        sleep(if ended { Duration::ZERO } else { Duration::from_secs(60) }).await;
        let other = LeaseKeeper::builder(Arc::new(store)).build().unwrap();
        for name in ["a", "b", "c"] {
            let lease = other.try_acquire(name).await;
            drop(lease.unwrap_or_else(|error| panic!("after {polls} polls: {error}")));
        }
        if ended {
            break;
        }
        polls += 1;
        assert!(polls < 1_000);
    }
    assert!(polls > 1, "{polls}");
}

#[tokio::test(start_paused = true)]
async fn a_run() {
    let mut polls = 0;
    loop {
        let store = MemoryStore::new();
        let ledger = RunLedger::new(Arc::new(store.clone()));
        let ended = drop_after(polls, async {
            let Began::Run(run) = ledger.begin(NewRun::new("run", "job")).await.unwrap() else {
                panic!("it was begun before")
            };
            tokio::task::yield_now().await;
            run.finish(RunState::Done { rows: 1, expected: None, quality: 100 }).await.unwrap();
        });
        let ended = ended.await;
        sleep(Duration::from_secs(1)).await;
        let run = store.run("run".to_owned()).await.unwrap();
        if let Some(run) = &run
            && run.end.is_none()
        {
            // Only the answer to the beginning was lost: it shows among the unfinished.
            assert!(polls <= 3, "a run without an end after {polls} polls");
        }
        if ended {
            let Some((RunState::Done { .. }, _)) = run.unwrap().end else { panic!("another end") };
            break;
        }
        polls += 1;
        assert!(polls < 1_000);
    }
    assert!(polls > 3, "{polls}");
}

#[tokio::test(start_paused = true)]
async fn a_key() {
    let request =
        || KeyRequest::new("key", Fingerprint::new([1; 32])).claim_for(Duration::from_secs(60));
    let mut polls = 0;
    loop {
        let store = MemoryStore::new();
        let keys = Idempotency::new(Arc::new(store.clone()));
        let work = async |_claim| {
            tokio::task::yield_now().await;
            Ok::<_, ()>(Completion::of(1, ""))
        };
        let ended = drop_after(polls, keys.once(request(), work)).await;
        // A claim whose owner is gone ends by itself.
        sleep(Duration::from_secs(60)).await;
        let again = keys.once(request(), work).await.unwrap();
        assert!(
            matches!(again, Once::Completed(_) | Once::Taken(_)),
            "after {polls} polls: {again:?}"
        );
        let third = keys.once(request(), work).await.unwrap();
        assert!(matches!(third, Once::Taken(_)), "after {polls} polls: {third:?}");
        if ended {
            break;
        }
        polls += 1;
        assert!(polls < 1_000);
    }
    assert!(polls > 3, "{polls}");
}
