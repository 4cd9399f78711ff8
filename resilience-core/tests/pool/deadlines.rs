//! A checkout is paid for out of the time of its call.

use resilience_core::breaker::CircuitBreaker;
use resilience_core::pool::{ResilientPool, Retired};
use resilience_core::retry::Backoff;
use resilience_core::timeout::within;
use resilience_core::{Deadline, Error, RejectionKind, clock};

use crate::fake::{MS, Reply, SECOND, Server};

#[tokio::test(start_paused = true)]
async fn no_call_waits_past_its_deadline() {
    let server = Server::default();
    let pool = server.pool(1).wait_at_most(30 * SECOND).build().unwrap();
    let _held = pool.get().await.unwrap();
    let began = clock::now();
    let late = within(Deadline::after(began, SECOND), pool.get()).await;
    assert_eq!(late.unwrap_err().kind(), RejectionKind::DeadlineExceeded);
    assert_eq!(clock::now() - began, SECOND);
    assert_eq!(pool.snapshot().queued, 0);
}

#[tokio::test(start_paused = true)]
async fn nor_is_anything_made_or_looked_at_past_it() {
    let server = Server::default();
    let pool = server.pool(2).build().unwrap();
    server.creating([Reply::Slow(2 * SECOND)]);
    let late = within(Deadline::after(clock::now(), SECOND), pool.get()).await;
    assert!(late.is_err());
    crate::fake::fill(&pool, 1).await;
    server.recycling([Reply::Slow(2 * SECOND)]);
    let late = within(Deadline::after(clock::now(), SECOND / 2), pool.get()).await;
    assert!(late.is_err());
    assert_eq!((pool.snapshot().size, pool.snapshot().in_use), (0, 0));
    assert_eq!((pool.snapshot().retired(Retired::Invalid), server.detached()), (1, vec![0]));
}

/// The future may be polled though it is too late: by a call that makes several.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_late_takes_nothing() {
    let server = Server::default();
    let pool = server.pool(1).build().unwrap();
    crate::fake::fill(&pool, 1).await;
    let why = within(Deadline::after(clock::now(), SECOND), async {
        tokio::time::advance(SECOND).await;
        match pool.get().await {
            Err(Error::Rejected(why)) => why.kind(),
            other => panic!("{other:?}"),
        }
    })
    .await;
    assert_eq!(why, Ok(RejectionKind::DeadlineExceeded));
    assert_eq!(pool.snapshot().idle, 1);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_the_call_has_no_time_for_is_not_begun() {
    let server = Server::default();
    server.creating([Reply::Fails]);
    let breaker = CircuitBreaker::builder().consecutive_failures(100).build();
    let manager =
        server.manager().circuit_breaker(breaker).backoff(Backoff::constant(10 * SECOND)).build();
    let pool = ResilientPool::builder(manager).build().unwrap();
    assert!(pool.get().await.is_err());
    let began = clock::now();
    let refused = within(Deadline::after(began, 5 * SECOND), pool.get()).await.unwrap();
    let Err(Error::Rejected(why)) = refused else { panic!("{refused:?}") };
    assert_eq!(why.kind(), RejectionKind::DeadlineExceeded);
    assert_eq!(why.retry_after(), Some(10 * SECOND));
    assert_eq!(clock::now(), began);
    let served = within(Deadline::after(began, 11 * SECOND), pool.get()).await.unwrap();
    assert!(served.is_ok());
    assert!(clock::now() - began <= 10 * SECOND + MS);
}
