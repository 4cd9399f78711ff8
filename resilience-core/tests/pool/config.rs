//! Values out of their bounds are rejected by name.

use std::time::Duration;

use resilience_core::pool::{Lifetime, LifetimeBuilder, ResilientPool};
use resilience_core::retry::Backoff;

use crate::fake::{MS, SECOND, Server};

#[test]
fn impossible_pools_are_named() {
    let server = Server::default();
    let named = |builder: resilience_core::pool::PoolBuilder<Server>| builder.build().unwrap_err();
    let pool = |size| server.pool(size);
    assert_eq!(named(pool(65_537)).field(), "max_size");
    let error = named(pool(3).min_idle(4));
    assert_eq!(
        (error.field(), error.value(), error.bound()),
        ("min_idle", "4", "at most `max_size` (3)")
    );
    assert_eq!(named(pool(3).max_validations(0)).field(), "max_validations");
    assert_eq!(named(pool(3).max_queued(0)).field(), "max_queued");
    for bad in [Duration::ZERO, Duration::MAX] {
        assert_eq!(named(pool(3).maintain_every(bad)).field(), "maintain_every");
    }
    assert_eq!(named(pool(3).wait_at_most(Duration::MAX)).field(), "wait_at_most");
    assert!(pool(0).min_idle(2).build().is_ok(), "a pause, to be resized");
    assert!(pool(3).max_queued(0).reject().build().is_ok());
}

/// A manager's mistake is the pool's, so that one `?` is enough.
#[test]
fn impossible_managers_are_named() {
    let server = Server::default();
    let named = |builder: resilience_core::pool::ManagerBuilder<Server>| {
        ResilientPool::builder(builder.build()).build().unwrap_err().field()
    };
    for bad in [Duration::ZERO, Duration::MAX] {
        assert_eq!(named(server.manager().create_timeout(bad)), "create_timeout");
        assert_eq!(named(server.manager().recycle_timeout(bad)), "recycle_timeout");
        let lifetime: LifetimeBuilder = Lifetime::new().max_age(bad);
        assert_eq!(named(server.manager().lifetime(lifetime.build())), "max_age");
    }
    let backoff = Backoff::full_jitter(SECOND, MS);
    assert_eq!(named(server.manager().backoff(backoff)), "base");
}

/// Nothing is made and nothing is spawned: a pool can be a static.
#[test]
fn a_pool_is_built_outside_of_a_runtime() {
    let server = Server::default();
    let pool = server.pool(3).min_idle(1).build().unwrap();
    assert_eq!((pool.name(), server.attempts()), ("db", 0));
    assert_eq!(pool.manager().attempts(), 0);
    pool.resize(1);
    pool.close();
}
