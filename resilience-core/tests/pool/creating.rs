//! Around the making of objects: a circuit, pauses and a time limit.

use std::time::Duration;

use deadpool::managed;
use resilience_core::breaker::{CircuitBreaker, CircuitState};
use resilience_core::pool::{Lifetime, ResilientManager, ResilientPool};
use resilience_core::retry::Backoff;
use resilience_core::{Error, Outcome, Rejection, RejectionKind, clock};

use crate::fake::{MS, Pool, Reply, SECOND, Server};

fn rejection_of<T>(result: Result<T, Error<std::io::Error>>) -> Rejection {
    match result {
        Err(Error::Rejected(rejection)) => rejection,
        Err(Error::Service(error)) => panic!("not refused: {error}"),
        Ok(_) => panic!("not refused"),
    }
}

fn breaker(failures: u32) -> CircuitBreaker {
    let builder = CircuitBreaker::builder().name("db").consecutive_failures(failures);
    builder.break_for(10 * SECOND).break_jitter(0.0).probes(1).build().unwrap()
}

fn pool(server: &Server, breaker: &CircuitBreaker, pause: Duration) -> Pool {
    let manager =
        server.manager().circuit_breaker(breaker.clone()).backoff(Backoff::constant(pause));
    ResilientPool::builder(manager.build()).max_size(2).wait().build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn once_the_circuit_is_open_all_waiting_calls_are_rejected_at_once() {
    let server = Server::default();
    server.creating([Reply::FailsAfter(SECOND); 50]);
    let breaker = breaker(2);
    let pool = pool(&server, &breaker, MS);
    let began = clock::now();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.get().await.map(drop) })
        })
        .collect();
    let mut refused = 0;
    for call in calls {
        if let Err(Error::Rejected(why)) = call.await.unwrap() {
            assert_eq!(why.kind(), RejectionKind::CircuitOpen);
            assert!(why.retry_after().is_some_and(|after| after <= 10 * SECOND));
            refused += 1;
        }
    }
    assert_eq!((server.attempts(), refused), (2, 18));
    assert_eq!(clock::now() - began, SECOND, "as soon as the second failed");
    assert_eq!(breaker.state(), CircuitState::Open);
    assert_eq!(pool.snapshot().in_use, 0);
}

/// Idle objects are used also while none can be created.
#[tokio::test(start_paused = true)]
async fn an_open_circuit_does_not_keep_anybody_from_what_is_there() {
    let server = Server::default();
    let breaker = breaker(1);
    let pool = pool(&server, &breaker, MS);
    let held = pool.get().await.unwrap();
    server.creating([Reply::Fails]);
    assert!(pool.get().await.is_err());
    assert_eq!(rejection_of(pool.get().await).kind(), RejectionKind::CircuitOpen);
    drop(held);
    assert_eq!(pool.get().await.unwrap().id, 0);
}

#[tokio::test(start_paused = true)]
async fn after_the_break_one_probe_closes_it() {
    let server = Server::default();
    server.creating([Reply::Fails]);
    let breaker = breaker(1);
    let pool = pool(&server, &breaker, MS);
    assert!(pool.get().await.is_err());
    tokio::time::sleep(10 * SECOND).await;
    assert!(pool.get().await.is_ok());
    assert_eq!(breaker.state(), CircuitState::Closed);
}

/// Two callers, a server that is down for ten seconds: an attempt a second, not two.
#[tokio::test(start_paused = true)]
async fn while_it_fails_one_caller_tries_at_a_time() {
    let server = Server::default();
    server.creating([Reply::Fails; 10]);
    let pool = pool(&server, &breaker(1000), SECOND);
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { while pool.get().await.is_err() {} })
        })
        .collect();
    for second in 0..9 {
        tokio::time::sleep(SECOND).await;
        let attempts = server.attempts();
        assert!(attempts <= second + 2, "{attempts} attempts after {} s", second + 1);
    }
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(server.attempts() <= 12, "{}", server.attempts());
}

#[tokio::test(start_paused = true)]
async fn a_success_ends_all_waits() {
    let server = Server::default();
    server.creating([Reply::Fails, Reply::Slow(MS)]);
    let pool = pool(&server, &breaker(1000), 60 * SECOND);
    assert!(pool.get().await.is_err());
    let began = clock::now();
    let (one, two) = tokio::join!(pool.get(), pool.get());
    assert!(one.is_ok() && two.is_ok());
    assert_eq!(clock::now() - began, 60 * SECOND + MS);
}

#[tokio::test(start_paused = true)]
async fn making_one_takes_no_longer_than_it_may() {
    let server = Server::default();
    server.creating([Reply::Never]);
    let breaker = breaker(1);
    let manager =
        server.manager().circuit_breaker(breaker.clone()).create_timeout(3 * SECOND).build();
    let pool = ResilientPool::builder(manager).build().unwrap();
    let began = clock::now();
    let why = rejection_of(pool.get().await);
    assert_eq!((why.kind(), why.limit()), (RejectionKind::TimedOut, Some((3 * SECOND).into())));
    assert_eq!(clock::now() - began, 3 * SECOND);
    assert_eq!(breaker.state(), CircuitState::Open, "it counts as a failure");
    assert_eq!(pool.snapshot().create_failures, 1);
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_attempt_is_no_failure() {
    let server = Server::default();
    server.creating([Reply::Never]);
    let breaker = breaker(1);
    let pool = pool(&server, &breaker, MS);
    assert!(tokio::time::timeout(SECOND, pool.get()).await.is_err());
    assert_eq!(breaker.state(), CircuitState::Closed);
    assert!(pool.get().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn errors_may_be_classified_for_the_circuit() {
    let server = Server::default();
    server.creating([Reply::Fails; 3]);
    let breaker = breaker(1);
    let manager = server
        .manager()
        .circuit_breaker(breaker.clone())
        .classify_error(|_| Outcome::Permanent)
        .build();
    let pool = ResilientPool::builder(manager).build().unwrap();
    assert!(pool.get().await.is_err());
    assert_eq!(breaker.state(), CircuitState::Closed);
}

/// The manager alone, in a pool of deadpool's.
#[tokio::test(start_paused = true)]
async fn in_deadpools_own_pool() {
    let server = Server::default();
    let breaker = breaker(1);
    let manager = server
        .manager()
        .lifetime(Lifetime::new().max_age(SECOND).jitter(0.0).build())
        .circuit_breaker(breaker.clone())
        .recycle_timeout(MS)
        .build()
        .unwrap();
    let pool = managed::Pool::<ResilientManager<Server>>::builder(manager).max_size(2).build();
    let pool = pool.unwrap();
    drop(pool.get().await.unwrap());
    assert_eq!(pool.get().await.unwrap().id, 0);
    tokio::time::advance(SECOND).await;
    assert_eq!(pool.get().await.unwrap().id, 1, "too old");
    server.recycling([Reply::Never]);
    assert_eq!(pool.get().await.unwrap().id, 2, "it did not answer in time");
    server.recycling([Reply::Fails]);
    server.creating([Reply::Fails]);
    assert!(pool.get().await.is_err());
    let error = pool.get().await.unwrap_err().to_string();
    assert!(error.contains("circuit open"), "{error}");
    assert_eq!((server.detached(), server.live()), (vec![0, 1, 2], 0));
    assert_eq!(pool.manager().created(), 3);
}

/// Without a time of return, an object is idle from its last checkout on.
#[tokio::test(start_paused = true)]
async fn idleness_in_deadpools_own_pool() {
    let server = Server::default();
    let lifetime = Lifetime::new().max_idle(10 * SECOND).build();
    let manager = server.manager().lifetime(lifetime).build().unwrap();
    let pool = managed::Pool::<ResilientManager<Server>>::builder(manager).build().unwrap();
    for _ in 0..5 {
        assert_eq!(pool.get().await.unwrap().id, 0);
        tokio::time::advance(9 * SECOND).await;
    }
    tokio::time::advance(SECOND).await;
    assert_eq!(pool.get().await.unwrap().id, 1);
}
