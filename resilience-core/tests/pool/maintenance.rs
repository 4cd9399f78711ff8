//! Maintenance of a pool without calls.

use std::pin::pin;
use std::task::{Context, Waker};

use resilience_core::pool::{Lifetime, ResilientPool, Retired};
use tokio::task::JoinHandle;

use crate::fake::{MS, Pool, Reply, SECOND, Server, fill, settle};

fn maintained(pool: &Pool) -> JoinHandle<()> {
    tokio::spawn(pool.maintenance())
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_the_pool() {
    let pool = Server::default().pool(2).min_idle(1).build().unwrap();
    let task = maintained(&pool);
    settle().await;
    let held = pool.get().await.unwrap();
    drop(pool);
    settle().await;
    assert!(!task.is_finished(), "an object is out");
    drop(held);
    settle().await;
    assert!(task.is_finished());
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_the_pool_is_closed() {
    let pool = Server::default().pool(2).build().unwrap();
    let task = maintained(&pool);
    settle().await;
    pool.close();
    settle().await;
    assert!(task.is_finished());
}

#[tokio::test(start_paused = true)]
async fn what_is_idle_for_too_long_is_replaced_where_some_are_kept() {
    let server = Server::default();
    let lifetime = Lifetime::new().max_idle(10 * SECOND).build();
    let manager = server.manager().lifetime(lifetime).build();
    let pool = ResilientPool::builder(manager).min_idle(2).maintain_every(SECOND).build().unwrap();
    pool.spawn_maintenance();
    for _ in 0..40 {
        tokio::time::sleep(SECOND).await;
        assert_eq!((pool.snapshot().idle, server.live()), (2, 2));
    }
    settle().await;
    assert_eq!(server.made(), 10, "two every ten seconds");
    // None that is handed out is stale, and none had to be made for the caller.
    let made = server.made();
    let _held = pool.get().await.unwrap();
    assert_eq!(server.made(), made);
}

#[tokio::test(start_paused = true)]
async fn a_broken_one_is_made_up_for_at_once() {
    let server = Server::default();
    let pool = server.pool(3).min_idle(2).maintain_every(999 * SECOND).build().unwrap();
    pool.spawn_maintenance();
    settle().await;
    let mut held = pool.get().await.unwrap();
    held.broken();
    drop(held);
    settle().await;
    assert_eq!((pool.snapshot().idle, server.live()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_again_at_the_next_look() {
    let server = Server::default();
    server.creating([Reply::Fails]);
    let pool = server.pool(3).min_idle(1).maintain_every(SECOND).build().unwrap();
    pool.spawn_maintenance();
    settle().await;
    assert_eq!((pool.snapshot().idle, pool.snapshot().create_failures), (0, 1));
    tokio::time::sleep(SECOND + MS).await;
    assert_eq!(pool.snapshot().idle, 1);
}

/// Maintenance takes no permit while calls wait for one, and creates no object without room for
/// it.
#[tokio::test(start_paused = true)]
async fn callers_go_first() {
    let server = Server::default();
    let pool = server.pool(2).min_idle(2).build().unwrap();
    pool.spawn_maintenance();
    settle().await;
    let held = [pool.get().await.unwrap(), pool.get().await.unwrap()];
    settle().await;
    assert_eq!((pool.snapshot().size, server.made()), (2, 2));
    drop(held);
    settle().await;
    assert_eq!((pool.snapshot().idle, server.made()), (2, 2));
}

/// No object is created above the maximum, though a permit is free.
#[tokio::test(start_paused = true)]
async fn none_is_made_ahead_of_need_beyond_the_maximum() {
    let server = Server::default();
    let pool = server.pool(3).min_idle(2).build().unwrap();
    pool.warm().await.unwrap();
    let held = [pool.get().await.unwrap(), pool.get().await.unwrap()];
    pool.warm().await.unwrap();
    assert_eq!((pool.snapshot().size, pool.snapshot().idle, server.live()), (3, 1, 3));
    drop(held);
    assert_eq!((pool.snapshot().size, pool.snapshot().idle), (3, 3));
}

/// An object that was created in advance is validated before it is handed out, as any other.
#[tokio::test(start_paused = true)]
async fn a_spare_that_died_is_not_handed_out() {
    let server = Server::default();
    let pool = server.pool(2).min_idle(1).build().unwrap();
    pool.warm().await.unwrap();
    server.recycling([Reply::Fails]);
    assert_eq!(pool.get().await.unwrap().id, 1);
    assert_eq!(pool.snapshot().retired(Retired::Invalid), 1);
}

#[tokio::test(start_paused = true)]
async fn without_it_ages_are_still_looked_at() {
    let server = Server::default();
    let lifetime = Lifetime::new().max_idle(SECOND).build();
    let pool = ResilientPool::builder(server.manager().lifetime(lifetime).build()).build().unwrap();
    fill(&pool, 3).await;
    tokio::time::advance(SECOND).await;
    assert_eq!(pool.get().await.unwrap().id, 3);
    assert_eq!((server.live(), server.detached()), (1, vec![0, 1, 2]));
}

/// Maintenance may be stopped while it creates an object.
#[tokio::test(start_paused = true)]
async fn dropped_half_way_it_holds_nothing() {
    let server = Server::default();
    server.creating([Reply::Never]);
    let pool = server.pool(1).min_idle(1).build().unwrap();
    {
        let mut maintenance = pin!(pool.maintenance());
        let context = &mut Context::from_waker(Waker::noop());
        assert!(maintenance.as_mut().poll(context).is_pending());
        assert_eq!(pool.snapshot().in_use, 1);
    }
    assert_eq!(pool.snapshot().in_use, 0);
    assert!(pool.get().await.is_ok());
}
