//! The end of a pool.

use resilience_core::pool::Retired;
use resilience_core::{Deadline, clock};

use crate::fake::{Reply, SECOND, Server, fill, settle};

#[tokio::test(start_paused = true)]
async fn it_waits_for_what_is_out_and_no_longer() {
    let server = Server::default();
    let pool = server.pool(3).build().unwrap();
    fill(&pool, 3).await;
    for _ in 0..2 {
        let held = pool.get().await.unwrap();
        tokio::spawn(async move {
            tokio::time::sleep(2 * SECOND).await;
            drop(held);
        });
    }
    let began = clock::now();
    let drained = pool.drain(Deadline::after(began, 60 * SECOND)).await;
    assert_eq!((drained.out, drained.cut), (2, 0));
    assert_eq!(clock::now() - began, 2 * SECOND);
    assert_eq!((server.live(), pool.snapshot().retired(Retired::Closed)), (0, 3));
    assert_eq!(pool.drain(Deadline::after(began, SECOND)).await.out, 0, "again");
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_the_rejection_has_the_tokens_left() {
    let server = Server::default();
    let pool = server.pool(3).build().unwrap();
    let held = [pool.get().await.unwrap(), pool.get().await.unwrap()];
    let returns = pool.get().await.unwrap();
    tokio::spawn(async move {
        tokio::time::sleep(SECOND).await;
        drop(returns);
    });
    let began = clock::now();
    let drained = pool.drain(Deadline::after(began, 5 * SECOND)).await;
    assert_eq!((drained.out, drained.cut), (3, 2));
    assert_eq!(clock::now() - began, 5 * SECOND);
    drop(held);
    assert_eq!(server.live(), 0);
}

/// Calls that wait are refused, and one that is being made is waited for.
#[tokio::test(start_paused = true)]
async fn what_is_under_way_counts_as_out() {
    let server = Server::default();
    server.creating([Reply::Slow(SECOND)]);
    let pool = server.pool(1).wait().build().unwrap();
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.get().await.map(drop).is_ok() })
        })
        .collect();
    settle().await;
    let began = clock::now();
    let drained = pool.drain(Deadline::after(began, 60 * SECOND)).await;
    assert_eq!((drained.out, drained.cut), (1, 0));
    assert_eq!(clock::now() - began, SECOND);
    let mut served = 0;
    for call in calls {
        served += usize::from(call.await.unwrap());
    }
    assert_eq!((served, server.live()), (1, 0));
}
