//! Events and gauges of a pool.

use std::sync::Arc;

use parking_lot::Mutex;
use resilience_core::observe::{Event, Gauges, names};
use resilience_core::pool::ResilientPool;

use crate::fake::{Reply, Server};

#[tokio::test(start_paused = true)]
async fn failures_ends_and_rejections_are_reported() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = told.clone();
    let server = Server::default();
    server.creating([Reply::Fails]);
    let manager = server.manager().listen(move |event: &Event<'_>| {
        let more = match *event {
            Event::PoolCreateFailed { failures, .. } => failures.to_string(),
            Event::PoolRetired { reason, .. } => reason.as_str().to_owned(),
            Event::Rejected(why) => why.kind().as_str().to_owned(),
            _ => String::new(),
        };
        assert_eq!((event.layer(), event.key()), (Some("db"), None));
        log.lock().push(format!("{} {more}", event.name()));
    });
    let pool = ResilientPool::builder(manager.build()).max_size(1).reject().build().unwrap();
    assert!(pool.get().await.is_err());
    let mut held = pool.get().await.unwrap();
    assert!(pool.get().await.is_err());
    held.broken();
    drop(held);
    let taken = pool.get().await.unwrap().take();
    assert_eq!(server.detached().last(), Some(&taken.id), "its manager hears of it");
    assert_eq!(pool.snapshot().size, 0);
    drop(taken);
    pool.close();
    assert!(pool.get().await.is_err());
    assert_eq!(
        *told.lock(),
        [
            "pool_create_failed 1",
            "rejected bulkhead_full",
            "pool_retired broken",
            "pool_retired taken",
            "rejected shutting_down",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn gauges_are_read_where_they_are() {
    let pool = Server::default().pool(3).wait().build().unwrap();
    crate::fake::fill(&pool, 2).await;
    let _held = pool.get().await.unwrap();
    let mut seen = Vec::new();
    pool.gauges(&mut |name, value| seen.push((name, value)));
    let expected = [
        (names::POOL_MAX_SIZE, 3.0),
        (names::POOL_SIZE, 2.0),
        (names::POOL_IDLE, 1.0),
        (names::POOL_IN_USE, 1.0),
        (names::POOL_QUEUED, 0.0),
    ];
    assert_eq!(seen, expected);
}
