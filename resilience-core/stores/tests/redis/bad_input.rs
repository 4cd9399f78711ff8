//! Each way to fail has a name and a remedy; nothing is lost, and work goes on afterwards.

use std::sync::Arc;
use std::time::Duration;

use resilience_core::flow::StoreErrorKind;
use resilience_core::flow::idempotency::{
    Completion, Fingerprint, IdempotencyStore, KeyRequest, Taken,
};
use resilience_core::flow::lease::{LeaseKeeper, LeaseStore};
use resilience_stores::redis::RedisStore;

use crate::{is_installed, server, start};

#[tokio::test]
async fn a_server_that_evicts_is_refused() {
    if !is_installed() {
        return;
    }
    let port = server::free_port();
    let _server = start(None, port, "--maxmemory-policy allkeys-lru");
    server::listening(port).await;
    let error = RedisStore::open(&format!("redis://127.0.0.1:{port}")).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::UnsafeServer);
    assert!(
        error.to_string().contains("`maxmemory-policy` is allkeys-lru, must be noeviction"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_goes_away_is_waited_for_and_nothing_is_lost() {
    if !is_installed() {
        return;
    }
    let port = server::free_port();
    let running = start(None, port, "");
    server::listening(port).await;
    let store = RedisStore::open(&format!("redis://127.0.0.1:{port}")).await.unwrap();
    let request = KeyRequest::new("key", Fingerprint::new([1; 32]));
    let claim = store.claim(request.clone()).await.unwrap().unwrap();
    assert!(store.complete(claim, Completion::of(7, "seven")).await.unwrap());
    let keeper = LeaseKeeper::builder(Arc::new(store.clone())).build().unwrap();
    let lease = keeper.acquire("daily").await.unwrap();
    let fence = lease.fence().clone();
    let folder = running.stop();
    let error = store.claim(request.clone()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    let away = if std::env::var_os("FLOW_FULL").is_some() { 30 } else { 1 };
    tokio::time::sleep(Duration::from_secs(away)).await;
    let _running = start(Some(folder), port, "");
    server::listening(port).await;
    // The pool makes no connection for a moment after one that failed.
    let taken = loop {
        match store.claim(request.clone()).await {
            Ok(claimed) => break claimed.unwrap_err(),
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(taken, Taken::Done { rows: 7, result: b"seven".to_vec() });
    assert!(store.admits(fence).await.unwrap(), "a lease survives a restart");
    lease.give_back().await;
}

#[tokio::test]
async fn urls_and_servers_that_are_wrong_are_named_and_show_no_password() {
    let error = RedisStore::open("redis://:secret@host:port").await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::InvalidInput);
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    let port = server::free_port();
    let error = RedisStore::open(&format!("redis://:secret@127.0.0.1:{port}")).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
}
