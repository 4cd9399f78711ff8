//! Leases: renewal, loss, takeover, release.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use resilience_core::flow::lease::{LeaseKeeper, LeaseStore};
use resilience_core::flow::{Fence, FencingToken, StoreErrorKind};
use resilience_core::shutdown::Shutdown;
use resilience_core::testing::MemoryStore;
use resilience_core::timeout::within;
use resilience_core::{CarriesRejection, Deadline, Error, RejectionKind, clock};
use tokio::time::sleep;

const TERM: Duration = Duration::from_secs(60);

fn keeper(store: &MemoryStore, holder: &'static str) -> LeaseKeeper {
    let wait = Duration::from_secs(3_600);
    let store = Arc::new(store.clone());
    LeaseKeeper::builder(store).holder(holder).term(TERM).wait_at_most(wait).build().unwrap()
}

/// Lets tasks of the runtime that are ready run.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn work_that_takes_long_keeps_its_lease_and_gives_it_back() {
    let store = MemoryStore::new();
    let (first, second) = (keeper(&store, "first"), keeper(&store, "second"));
    let lease = first.acquire("daily").await.unwrap();
    let fence = lease.fence().clone();
    let work = lease.run(async {
        for hour in 0..3 {
            sleep(Duration::from_secs(3_600)).await;
            assert!(store.write(&fence, format!("hour {hour}")));
            let held = second.try_acquire("daily").await.unwrap_err();
            let rejection = held.rejection().unwrap();
            assert_eq!(rejection.kind(), RejectionKind::NotReady);
            assert!(rejection.retry_after().unwrap() <= TERM);
        }
        "done"
    });
    assert_eq!(work.await, Ok("done"));
    assert_eq!((store.writes().len(), first.in_use()), (3, 0));
    let successor = second.try_acquire("daily").await.unwrap();
    assert!(successor.token() > fence.token);
    assert!(!store.write(&fence, "late"));
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_cannot_reach_the_store_ends_its_work_before_its_lease_ends() {
    let store = MemoryStore::new();
    let lease = keeper(&store, "first").acquire("daily").await.unwrap();
    let fence = lease.fence().clone();
    let began = clock::now();
    store.set_unreachable(true);
    let lost = lease.run(std::future::pending::<()>()).await.unwrap_err();
    assert_eq!((lost.kind(), lost.key()), (RejectionKind::LeaseLost, Some("daily")));
    assert!(lost.may_have_run());
    let held = clock::now() - began;
    assert!(held >= TERM * 8 / 10 && held < TERM, "{held:?}");
    // The lease itself still runs: its end comes after that of the work.
    store.set_unreachable(false);
    assert!(store.admits(fence).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_gone_for_less_than_the_lease_costs_nothing() {
    let store = MemoryStore::new();
    let lease = keeper(&store, "first").acquire("daily").await.unwrap();
    let fence = lease.fence().clone();
    let work = async {
        for _ in 0..20 {
            store.set_unreachable(true);
            sleep(Duration::from_secs(30)).await;
            store.set_unreachable(false);
            sleep(Duration::from_secs(30)).await;
        }
        store.write(&fence, "done")
    };
    assert_eq!(lease.run(work).await, Ok(true));
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_forward_ends_a_lease_early_and_its_holder_learns_it_at_the_next_renewal() {
    let store = MemoryStore::new();
    let (first, second) = (keeper(&store, "first"), keeper(&store, "second"));
    let lease = first.acquire("daily").await.unwrap();
    let stale = lease.fence().clone();
    store.step_clock(3_600_000);
    let successor = second.acquire("daily").await.unwrap();
    assert!(store.write(successor.fence(), "successor"));
    assert!(!store.write(&stale, "late"));
    let began = clock::now();
    let lost = lease.run(std::future::pending::<()>()).await.unwrap_err();
    assert_eq!(lost.kind(), RejectionKind::LeaseLost);
    assert!(clock::now() - began <= TERM / 3 + Duration::from_secs(1));
    assert!(store.write(successor.fence(), "still the holder"), "the loser released nothing");
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_keeps_a_dead_holders_lease_for_two_terms_at_most() {
    let store = MemoryStore::new();
    let dead = keeper(&store, "dead").acquire("daily").await.unwrap();
    let stale = dead.fence().clone();
    store.step_clock(-3_600_000);
    let began = clock::now();
    let successor = keeper(&store, "second").acquire("daily").await.unwrap();
    let waited = clock::now() - began;
    assert!(waited >= TERM * 2 && waited < TERM * 2 + TERM / 2, "{waited:?}");
    assert!(successor.token() > stale.token);
    assert!(!store.write(&stale, "late"));
    drop(dead);
    settle().await;
    assert!(store.write(successor.fence(), "still the holder"));
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_takes_nothing_from_a_living_holder() {
    let store = MemoryStore::new();
    let lease = keeper(&store, "first").acquire("daily").await.unwrap();
    let fence = lease.fence().clone();
    store.step_clock(-3_600_000);
    let second = keeper(&store, "second");
    let contend = tokio::spawn(async move { second.acquire("daily").await.map(|it| it.token()) });
    let work = async {
        sleep(TERM * 20).await;
        assert!(!contend.is_finished());
        store.write(&fence, "mine")
    };
    assert_eq!(lease.run(work).await, Ok(true));
    assert!(contend.await.unwrap().unwrap() > fence.token);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_contenders_go_one_after_the_other() {
    let store = MemoryStore::new();
    let inside = Arc::new(AtomicU32::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (keeper, store, inside) = (keeper(&store, "one"), store.clone(), inside.clone());
        tasks.spawn(async move {
            let lease = keeper.acquire("daily").await.unwrap();
            let fence = lease.fence().clone();
            let section = lease.run(async move {
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                assert!(store.write(&fence, "enter"));
                sleep(Duration::from_millis(500)).await;
                assert!(store.write(&fence, "leave"));
                assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
            });
            section.await.unwrap();
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let writes = store.writes();
    assert_eq!(writes.len(), 200);
    assert!(writes.chunks(2).all(|pair| pair[0].0 == pair[1].0), "enter and leave are paired");
    assert!(writes.windows(2).all(|pair| pair[0].0.token <= pair[1].0.token), "tokens grow");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_gives_back_what_is_held_and_ends_the_work() {
    let store = MemoryStore::new();
    let keeper = keeper(&store, "first");
    let lease = keeper.acquire("daily").await.unwrap();
    let fence = lease.fence().clone();
    let work = tokio::spawn(lease.run(std::future::pending::<()>()));
    settle().await;
    let mut shutdown = Shutdown::builder().grace(Duration::ZERO).build().unwrap();
    let hook = keeper.clone();
    shutdown.hook("leases", move || async move { hook.release_all().await });
    shutdown.token().begin("deploy");
    let began = clock::now();
    assert_eq!(shutdown.run().await.exit_code(), 0);
    assert_eq!(work.await.unwrap().unwrap_err().kind(), RejectionKind::LeaseLost);
    assert!(clock::now() - began < Duration::from_secs(1), "the work is woken");
    assert!(!store.write(&fence, "late"));
    let refused = keeper.try_acquire("daily").await.unwrap_err();
    assert_eq!(refused.rejection().unwrap().kind(), RejectionKind::ShuttingDown);
    assert!(
        LeaseKeeper::builder(Arc::new(store)).build().unwrap().try_acquire("daily").await.is_ok()
    );
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_dropped_or_whose_work_panics_is_given_back() {
    let store = MemoryStore::new();
    let keeper = keeper(&store, "first");
    drop(keeper.acquire("daily").await.unwrap());
    settle().await;
    let lease = keeper.try_acquire("daily").await.unwrap();
    let work = tokio::spawn(lease.run(async { panic!("of the work") }));
    assert!(work.await.unwrap_err().is_panic());
    settle().await;
    let lease = keeper.try_acquire("daily").await.unwrap();
    assert_eq!(keeper.in_use(), 1);
    lease.give_back().await;
    assert_eq!(keeper.in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_its_deadline_and_names_its_limit() {
    let store = MemoryStore::new();
    let lease = keeper(&store, "first").acquire("daily").await.unwrap();
    let holder = tokio::spawn(lease.run(std::future::pending::<()>()));
    let second = keeper(&store, "second");
    let began = clock::now();
    let deadline = Deadline::after(began, Duration::from_secs(100));
    let refused = within(deadline, second.acquire("daily")).await.unwrap().unwrap_err();
    assert_eq!(refused.rejection().unwrap().kind(), RejectionKind::NotReady);
    assert!(clock::now() - began <= Duration::from_secs(100));
    let refused = second.acquire("daily").await.unwrap_err();
    assert_eq!(refused.rejection().unwrap().key(), Some("daily"));
    assert!(clock::now() - began <= Duration::from_secs(3_700));
    holder.abort();
}

#[tokio::test(start_paused = true)]
async fn a_contender_waits_for_a_store_that_comes_back() {
    let store = MemoryStore::new();
    store.set_unreachable(true);
    let keeper = keeper(&store, "first");
    let error = keeper.try_acquire("daily").await.unwrap_err();
    assert!(matches!(error, Error::Service(error) if error.kind() == StoreErrorKind::Unavailable));
    let back = store.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(30)).await;
        back.set_unreachable(false);
    });
    let began = clock::now();
    drop(keeper.acquire("daily").await.unwrap());
    let waited = clock::now() - began;
    assert!(waited >= Duration::from_secs(30) && waited < Duration::from_secs(37), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn leases_are_bounded_and_names_are_checked() {
    let store = Arc::new(MemoryStore::new());
    let keeper = LeaseKeeper::builder(store.clone()).max_leases(2).build().unwrap();
    let _held = [keeper.acquire("a").await.unwrap(), keeper.acquire("b").await.unwrap()];
    let refused = keeper.acquire("c").await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "lease: bulkhead full (2 permits, limit 2)",
        "the bound is named"
    );
    for name in [String::new(), "n".repeat(513), "a\0b".to_owned()] {
        let error = keeper.try_acquire(name).await.unwrap_err();
        assert!(
            matches!(error, Error::Service(error) if error.kind() == StoreErrorKind::InvalidInput)
        );
    }
    for term in [Duration::ZERO, Duration::from_millis(99), Duration::MAX] {
        let error = LeaseKeeper::builder(store.clone()).term(term).build().unwrap_err();
        assert_eq!(error.field(), "term");
    }
    let error = LeaseKeeper::builder(store.clone()).max_leases(0).build().unwrap_err();
    assert_eq!(error.field(), "max_leases");
    let error = LeaseKeeper::builder(store).holder("").build().unwrap_err();
    assert_eq!(error.field(), "holder");
}

#[tokio::test(start_paused = true)]
async fn a_fence_of_nothing_is_not_admitted() {
    let store = MemoryStore::new();
    assert!(!store.write(&Fence::new("none", FencingToken::new(u64::MAX)), "write"));
    assert!(store.writes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_renewal_without_a_response_is_sent_again_while_the_lease_lasts() {
    let store = MemoryStore::new();
    let lease = keeper(&store, "first").acquire("daily").await.unwrap();
    let fence = lease.fence().clone();
    let work = async {
        for _ in 0..20 {
            // The renewal that is sent meanwhile is never answered.
            sleep(TERM / 3 - Duration::from_secs(1)).await;
            store.set_silent(true);
            sleep(TERM / 5).await;
            store.set_silent(false);
            sleep(TERM / 3).await;
        }
        store.write(&fence, "done")
    };
    assert_eq!(lease.run(work).await, Ok(true));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_silent_costs_the_lease_no_later_than_one_that_is_away() {
    let store = MemoryStore::new();
    let lease = keeper(&store, "first").acquire("daily").await.unwrap();
    let began = clock::now();
    store.set_silent(true);
    let lost = lease.run(std::future::pending::<()>()).await.unwrap_err();
    assert_eq!(lost.kind(), RejectionKind::LeaseLost);
    let held = clock::now() - began;
    assert!(held >= TERM * 8 / 10 && held < TERM, "{held:?}");
}

#[tokio::test(start_paused = true)]
async fn short_attempts_take_over_a_lease_that_stands_still_as_a_long_wait_does() {
    for through_acquire in [false, true] {
        let store = MemoryStore::new();
        let dead = keeper(&store, "dead").acquire("daily").await.unwrap();
        let stale = dead.fence().clone();
        store.step_clock(-3_600_000);
        let (second, began) = (keeper(&store, "second"), clock::now());
        let successor = loop {
            let short = Deadline::after(clock::now(), Duration::from_secs(5));
            let attempt = if through_acquire {
                within(short, second.acquire("daily")).await.unwrap()
            } else {
                second.try_acquire("daily").await
            };
            if let Ok(lease) = attempt {
                break lease;
            }
            sleep(Duration::from_secs(20)).await;
            assert!(clock::now() - began < TERM * 3, "a dead holder keeps its lease");
        };
        assert!(clock::now() - began >= TERM * 2);
        assert!(successor.token() > stale.token);
        assert!(!store.write(&stale, "late"));
    }
}

/// Writes when it is dropped, as work does that cleans up after itself.
struct LastWrite(MemoryStore, Fence);

impl Drop for LastWrite {
    fn drop(&mut self) {
        assert!(self.0.write(&self.1, "last"), "given back while the work was there");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_gives_a_lease_back_after_its_work_has_ended() {
    let store = MemoryStore::new();
    let keeper = keeper(&store, "first");
    let mut works = tokio::task::JoinSet::new();
    for name in ["a", "b", "c"] {
        let lease = keeper.acquire(name).await.unwrap();
        let last = LastWrite(store.clone(), lease.fence().clone());
        works.spawn(lease.run(async move {
            std::future::pending::<()>().await;
            drop(last);
        }));
    }
    settle().await;
    keeper.release_all().await.unwrap();
    assert_eq!(store.writes().len(), 3);
    for (fence, _) in store.writes() {
        assert!(!store.admits(fence).await.unwrap(), "given back");
    }
    while let Some(lost) = works.join_next().await {
        assert_eq!(lost.unwrap().unwrap_err().kind(), RejectionKind::LeaseLost);
    }
    assert_eq!(keeper.in_use(), 0);
}

#[test]
fn a_shutdown_waits_for_work_that_is_in_a_poll() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let store = MemoryStore::new();
    let (inside, entered) = std::sync::mpsc::channel();
    let (leave, left) = std::sync::mpsc::channel::<()>();
    let keeper = keeper(&store, "first");
    let lease = runtime.block_on(keeper.acquire("daily")).unwrap();
    let fence = lease.fence().clone();
    let last = (store.clone(), fence.clone());
    let work = runtime.spawn(lease.run(async move {
        inside.send(()).unwrap();
        left.recv().unwrap();
        assert!(last.0.write(&last.1, "in the poll"));
        std::future::pending::<()>().await;
    }));
    entered.recv().unwrap();
    let releasing = runtime.spawn(async move { keeper.release_all().await });
    // Far more than a release takes, for a release that does not wait.
    runtime.block_on(async { sleep(Duration::from_millis(50)).await });
    assert!(!releasing.is_finished());
    leave.send(()).unwrap();
    runtime.block_on(releasing).unwrap().unwrap();
    assert!(runtime.block_on(work).unwrap().is_err());
    assert_eq!(store.writes().len(), 1);
    assert!(!store.write(&fence, "late"));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_gives_back_all_leases_within_one_term() {
    let store = MemoryStore::new();
    let keeper = keeper(&store, "first");
    let mut leases = Vec::new();
    for number in 0..40 {
        leases.push(keeper.acquire(format!("lease-{number}")).await.unwrap());
    }
    store.set_silent(true);
    let began = clock::now();
    let error = keeper.release_all().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::TimedOut);
    assert!(clock::now() - began < TERM + Duration::from_secs(1));
    // A caller that has less time has it for all of them.
    let second = LeaseKeeper::builder(Arc::new(MemoryStore::new())).build().unwrap();
    let _lease = second.acquire("daily").await.unwrap();
    let short = Deadline::after(clock::now(), Duration::from_secs(1));
    assert!(within(short, second.release_all()).await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_also_if_work_stays_in_its_poll() {
    let store = MemoryStore::new();
    let keeper = keeper(&store, "first");
    let lease = keeper.acquire("daily").await.unwrap();
    let fence = lease.fence().clone();
    let mut work = Box::pin(lease.run(std::future::pending::<()>()));
    assert!(
        std::future::poll_fn(|cx| std::task::Poll::Ready(work.as_mut().poll(cx)))
            .await
            .is_pending()
    );
    // Polled no more: the lease is not given back under its work, and ends with its term.
    let began = clock::now();
    let error = keeper.release_all().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::TimedOut);
    assert!(clock::now() - began < TERM + Duration::from_secs(1));
    assert!(!store.write(&fence, "late"));
    drop(work);
}
