//! Scenarios of bb8 and deadpool, row by row. Times are a paused clock's.

use std::time::Duration;

use resilience_core::pool::{Lifetime, ResilientPool, Retired};
use resilience_core::{Error, RejectionKind, clock};
use tokio::time::{advance, timeout};

use crate::fake::{MS, Pool, Reply, SECOND, Server, fill, settle};

#[tokio::test(start_paused = true)]
async fn five_holders_have_five_connections_and_the_sixth_waits() {
    let server = Server::default();
    let pool = server.pool(5).wait().build().unwrap();
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(pool.get().await.unwrap());
    }
    let sixth = tokio::spawn({
        let pool = pool.clone();
        async move { pool.get().await.map(|connection| connection.id) }
    });
    settle().await;
    let now = pool.snapshot();
    assert_eq!((server.made(), now.size, now.in_use, now.queued), (5, 5, 5, 1));
    drop(held.remove(2));
    assert_eq!(sixth.await.unwrap().unwrap(), 2, "the one that came back");
    assert_eq!(server.made(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_waiter_does_not_eat_the_connection() {
    let server = Server::default();
    let pool = server.pool(1).wait().build().unwrap();
    let held = pool.get().await.unwrap();
    assert!(timeout(100 * MS, pool.get()).await.is_err());
    drop(held);
    assert!(timeout(MS, pool.get()).await.unwrap().is_ok());
    assert_eq!(server.made(), 1);
}

/// The call was granted its turn, and dropped before it was polled.
#[tokio::test(start_paused = true)]
async fn nor_does_one_that_leaves_as_it_is_served() {
    let pool = Server::default().pool(1).wait().build().unwrap();
    let held = pool.get().await.unwrap();
    let mut first = Box::pin(pool.get());
    assert!(timeout(MS, &mut first).await.is_err());
    drop(held);
    drop(first);
    assert!(timeout(MS, pool.get()).await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_over_is_a_rejection() {
    let pool = Server::default().pool(1).wait_at_most(100 * MS).build().unwrap();
    let _held = pool.get().await.unwrap();
    let began = clock::now();
    let Error::Rejected(why) = pool.get().await.unwrap_err() else { panic!("not refused") };
    assert_eq!(clock::now() - began, 100 * MS);
    assert_eq!(why.kind(), RejectionKind::BulkheadFull);
    assert_eq!((why.limit(), why.observed()), (Some(1.into()), Some(1.into())));
    assert_eq!(why.layer(), "db");
}

#[tokio::test(start_paused = true)]
async fn as_many_wait_as_may_and_the_next_is_rejected() {
    let pool = Server::default().pool(1).wait().max_queued(2).build().unwrap();
    let held = pool.get().await.unwrap();
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.get().await.map(drop) })
        })
        .collect();
    settle().await;
    let error = pool.get().await.unwrap_err();
    assert_eq!(error.to_string(), "db: bulkhead full (2 calls waiting, limit 2)");
    drop(held);
    for waiter in waiting {
        waiter.await.unwrap().unwrap();
    }
}

/// Bounded by the number of polls, not by a clock: no call is woken that cannot be served.
#[tokio::test(start_paused = true)]
async fn twenty_five_thousand_waiters_are_served() {
    const WAITERS: usize = 25_000;
    let server = Server::default();
    let pool = server.pool(3).wait_at_most(5 * SECOND).max_queued(25_000).build().unwrap();
    let began = clock::now();
    let tasks: Vec<_> = (0..WAITERS)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let mut connection = pool.get().await.unwrap();
                connection.counter += 1;
                tokio::task::yield_now().await;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(clock::now(), began, "nobody waited for a timer");
    assert_eq!(served(&pool, 3).await, WAITERS);
    let now = pool.snapshot();
    assert_eq!((now.size, now.idle, now.queued, now.in_use), (3, 3, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_tasks_on_three_connections() {
    let server = Server::default();
    let pool = server.pool(3).wait().build().unwrap();
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let mut connection = pool.get().await.unwrap();
                let seen = connection.counter;
                tokio::task::yield_now().await;
                connection.counter = seen + 1;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(server.made() <= 3, "{}", server.made());
    assert_eq!(served(&pool, server.made()).await, 100);
}

/// Returns the sum of the counters of this number of connections.
async fn served(pool: &Pool, connections: usize) -> usize {
    let mut held = Vec::new();
    for _ in 0..connections {
        held.push(pool.get().await.unwrap());
    }
    held.iter().map(|connection| connection.counter as usize).sum()
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_cannot_be_warmed_returns_the_error_and_does_not_time_out() {
    let server = Server::default();
    server.creating([Reply::Fails]);
    let pool = server.pool(3).min_idle(1).wait_at_most(5 * SECOND).build().unwrap();
    let began = clock::now();
    let error = pool.warm().await.unwrap_err().into_service().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(clock::now(), began);
    pool.warm().await.unwrap();
    assert_eq!((pool.snapshot().idle, pool.snapshot().size), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn two_that_are_invalid_on_check_out_are_closed_and_a_fresh_one_is_made() {
    let server = Server::default();
    let pool = server.pool(5).build().unwrap();
    fill(&pool, 2).await;
    server.recycling([Reply::Fails, Reply::Fails]);
    let connection = pool.get().await.unwrap();
    assert_eq!(connection.id, 2);
    assert_eq!((server.live(), pool.snapshot().size), (1, 1));
    assert_eq!(pool.snapshot().retired(Retired::Invalid), 2);
    assert_eq!(server.detached(), [0, 1], "each once");
}

/// The bound on looks: at the second failure a new one is made in its place, with three still idle.
#[tokio::test(start_paused = true)]
async fn after_the_maximum_of_validations_a_new_object_is_created() {
    let server = Server::default();
    let pool = server.pool(5).max_validations(2).build().unwrap();
    fill(&pool, 5).await;
    server.recycling([Reply::Fails, Reply::Never, Reply::Fails]);
    let began = clock::now();
    let connection = pool.get().await.unwrap();
    assert_eq!(connection.id, 5);
    assert_eq!(clock::now() - began, SECOND, "the time limit of one look");
    let now = pool.snapshot();
    assert_eq!((now.size, now.idle, server.live()), (4, 3, 4));
    assert_eq!(server.detached(), [0, 1]);
    drop(connection);
    assert_eq!(pool.snapshot().idle, 4);
}

#[tokio::test(start_paused = true)]
async fn a_broken_one_is_dropped_on_return_and_counted() {
    let server = Server::default();
    let pool = server.pool(1).build().unwrap();
    let mut connection = pool.get().await.unwrap();
    connection.broken();
    drop(connection);
    let now = pool.snapshot();
    assert_eq!((server.live(), now.size, now.idle), (0, 0, 0));
    assert_eq!(now.retired(Retired::Broken), 1);
    assert_eq!(pool.get().await.unwrap().id, 1);
}

fn aging(server: &Server, lifetime: Lifetime, maintained: Duration) -> Pool {
    let manager = server.manager().lifetime(lifetime).build();
    ResilientPool::builder(manager).max_size(5).maintain_every(maintained).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn idle_ones_go_after_their_time_and_the_one_that_is_out_later() {
    let server = Server::default();
    let lifetime = Lifetime::new().max_idle(SECOND).build().unwrap();
    let pool = aging(&server, lifetime, SECOND);
    pool.spawn_maintenance();
    fill(&pool, 5).await;
    let held = pool.get().await.unwrap();
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!((server.live(), pool.snapshot().size), (1, 1));
    drop(held);
    assert_eq!(pool.snapshot().idle, 1, "it is idle from now on");
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!((server.live(), pool.snapshot().size), (0, 0));
    assert_eq!(pool.snapshot().retired(Retired::IdleTooLong), 5);
    let mut detached = server.detached();
    detached.sort_unstable();
    assert_eq!(detached, [0, 1, 2, 3, 4], "each once");
}

#[tokio::test(start_paused = true)]
async fn old_ones_go_and_one_that_is_out_goes_on_return() {
    for maintained in [SECOND, 999 * SECOND] {
        let server = Server::default();
        let lifetime = Lifetime::new().max_age(SECOND).jitter(0.0).build().unwrap();
        let pool = aging(&server, lifetime, maintained);
        pool.spawn_maintenance();
        fill(&pool, 5).await;
        let held = pool.get().await.unwrap();
        tokio::time::sleep(2 * SECOND).await;
        if maintained == SECOND {
            assert_eq!(server.live(), 1);
        }
        drop(held);
        let left = if maintained == SECOND { 0 } else { 4 };
        assert_eq!((server.live(), pool.snapshot().size), (left, left), "{maintained:?}");
    }
}

/// Without maintenance, an object that is too old is found at its checkout.
#[tokio::test(start_paused = true)]
async fn an_old_one_is_not_handed_out() {
    for lifetime in [Lifetime::new().max_age(SECOND).jitter(0.0), Lifetime::new().max_idle(SECOND)]
    {
        let server = Server::default();
        let pool = aging(&server, lifetime.build().unwrap(), SECOND);
        fill(&pool, 3).await;
        advance(SECOND - MS).await;
        assert_eq!(pool.get().await.unwrap().id, 0);
        advance(MS).await;
        let id = pool.get().await.unwrap().id;
        // Number 0 was used a moment ago, which matters to idleness only.
        assert!(id == 0 && server.live() == 1 || id == 3 && server.live() == 1, "{id}");
    }
}

/// An object that is too old is retired without a validation.
#[tokio::test(start_paused = true)]
async fn what_is_too_old_is_not_looked_at() {
    let server = Server::default();
    let lifetime = Lifetime::new().max_age(10 * SECOND).jitter(0.0).build();
    let manager = server.manager().lifetime(lifetime).build();
    let pool = ResilientPool::builder(manager).max_size(6).max_validations(2).build().unwrap();
    fill(&pool, 5).await;
    let held = [pool.get().await.unwrap(), pool.get().await.unwrap()];
    advance(5 * SECOND).await;
    let young = [pool.get().await.unwrap(), pool.get().await.unwrap(), pool.get().await.unwrap()];
    let sixth = pool.get().await.unwrap();
    assert_eq!(sixth.id, 5);
    drop((held, young, sixth));
    advance(5 * SECOND).await;
    assert_eq!(pool.get().await.unwrap().id, 5);
    assert_eq!(pool.snapshot().retired(Retired::TooOld), 5);
}

/// As in deadpool: the number of successful validations, and the time of the last.
#[tokio::test(start_paused = true)]
async fn a_manager_gets_the_metrics_of_the_object() {
    let server = Server::default();
    let pool = server.pool(1).build().unwrap();
    let made = clock::now();
    let mut last = None;
    for count in 0..3 {
        drop(pool.get().await.unwrap());
        if count > 0 {
            let metrics = server.metrics().unwrap();
            assert_eq!((metrics.created, metrics.recycled), (made, last));
            assert_eq!(metrics.recycle_count, count - 1);
            last = Some(clock::now());
        }
        advance(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_minimum_is_kept_idle() {
    let server = Server::default();
    let pool = server.pool(5).min_idle(2).build().unwrap();
    pool.spawn_maintenance();
    settle().await;
    let seen = |pool: &Pool| (pool.snapshot().idle, pool.snapshot().size);
    assert_eq!(seen(&pool), (2, 2));
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(pool.get().await.unwrap());
    }
    settle().await;
    assert_eq!(seen(&pool), (2, 5));
    drop(held);
    settle().await;
    assert_eq!(seen(&pool), (5, 5));
    assert_eq!((server.made(), server.live()), (5, 5));
}

#[tokio::test(start_paused = true)]
async fn closed_means_closed_for_all() {
    let server = Server::default();
    let pool = server.pool(1).wait().build().unwrap();
    let held = pool.get().await.unwrap();
    let waiter = tokio::spawn({
        let pool = pool.clone();
        async move { pool.get().await.map(drop) }
    });
    settle().await;
    pool.close();
    for error in [waiter.await.unwrap().unwrap_err(), pool.get().await.unwrap_err()] {
        let Error::Rejected(why) = error else { panic!("{error}") };
        assert_eq!(why.kind(), RejectionKind::ShuttingDown);
    }
    assert!(pool.try_get().await.is_err());
    assert_eq!((pool.snapshot().idle, server.live()), (0, 1));
    drop(held);
    assert_eq!((pool.snapshot().size, server.live()), (0, 0));
    assert_eq!(pool.snapshot().retired(Retired::Closed), 1);
}

#[tokio::test(start_paused = true)]
async fn resized_to_nothing_and_to_one_with_two_out() {
    let server = Server::default();
    let pool = server.pool(2).build().unwrap();
    let (first, second) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    let size = || pool.snapshot().size;
    assert_eq!(size(), 2);
    pool.resize(0);
    assert_eq!(size(), 2);
    pool.resize(1);
    assert_eq!(size(), 2);
    // deadpool alone would make a third now, for it counts a place that is a debt.
    let mut third = Box::pin(pool.get());
    assert!(timeout(MS, &mut third).await.is_err());
    drop(first);
    assert_eq!(size(), 1);
    assert!(timeout(MS, &mut third).await.is_err());
    drop(second);
    assert_eq!(size(), 1);
    assert!(timeout(MS, third).await.unwrap().is_ok());
    assert_eq!((server.made(), pool.snapshot().retired(Retired::Surplus)), (2, 1));
}

/// deadpool alone keeps its old number of places if nothing is made yet.
#[tokio::test(start_paused = true)]
async fn a_pool_made_smaller_before_it_has_objects_is_smaller() {
    let pool = Server::default().pool(5).reject().build().unwrap();
    pool.resize(1);
    let _held = pool.get().await.unwrap();
    assert!(pool.get().await.is_err());
    assert_eq!((pool.snapshot().size, pool.snapshot().max_size), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn made_smaller_the_idle_ones_go_at_once() {
    let server = Server::default();
    let pool = server.pool(5).build().unwrap();
    fill(&pool, 5).await;
    pool.resize(2);
    assert_eq!((pool.snapshot().size, server.live()), (2, 2));
    assert_eq!(server.detached().len(), 3);
    pool.resize(5);
    fill(&pool, 5).await;
    assert_eq!((pool.snapshot().size, server.live()), (5, 5));
}

#[tokio::test(start_paused = true)]
async fn a_closed_pool_is_not_resized() {
    let pool = Server::default().pool(1).build().unwrap();
    pool.close();
    pool.resize(16);
    assert_eq!((pool.snapshot().size, pool.snapshot().max_size), (0, 0));
    assert!(pool.get().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_at_an_empty_pool_is_served_when_it_grows() {
    let pool = Server::default().pool(0).wait().build().unwrap();
    let mut call = Box::pin(pool.get());
    assert!(timeout(MS, &mut call).await.is_err());
    assert_eq!((pool.snapshot().max_size, pool.snapshot().queued), (0, 1));
    pool.resize(1);
    assert!(timeout(MS, call).await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_the_second_waiter_makes_one_within_ten_milliseconds() {
    let server = Server::default();
    server.creating([Reply::FailsAfter(SECOND)]);
    let pool = server.pool(1).wait().build().unwrap();
    let began = clock::now();
    let (first, second) = tokio::join!(pool.get(), pool.get());
    assert!(first.is_err());
    assert!(second.is_ok());
    let waited = clock::now() - began;
    assert!(waited <= SECOND + 11 * MS, "{waited:?}");
    assert_eq!((server.attempts(), pool.snapshot().in_use), (2, 1));
    drop(second);
    assert_eq!((pool.snapshot().in_use, pool.snapshot().idle), (0, 1), "no place is stuck");
}
