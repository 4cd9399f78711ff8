//! Each way to fail has a name and a remedy; nothing is lost, and work goes on afterwards.

use std::sync::Arc;
use std::time::Duration;

use resilience_core::clock;
use resilience_core::flow::idempotency::{
    Completion, Fingerprint, IdempotencyStore, KeyRequest, RowHash, Taken,
};
use resilience_core::flow::lease::{Acquisition, LeaseKeeper, LeaseRequest, LeaseStore};
use resilience_core::flow::{Fence, StoreErrorKind};
use resilience_stores::redis::RedisStore;
use rustix::process::Signal;

use crate::gone::{self, away};
use crate::{database, is_installed, server, start, upkeep};

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
    tokio::time::sleep(away()).await;
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

#[tokio::test]
async fn leases_and_keys_outlast_a_server_that_restarts_or_does_not_respond() {
    if !is_installed() {
        return;
    }
    let port = server::free_port();
    let running = start(None, port, "");
    server::listening(port).await;
    let url = format!("redis://127.0.0.1:{port}");
    let store = RedisStore::builder(&url).timeout(Duration::from_secs(2)).open().await.unwrap();

    let held = gone::before(&store).await;
    running.signal(Signal::STOP);
    gone::meanwhile(&store, &held, &[StoreErrorKind::TimedOut, StoreErrorKind::Unavailable]).await;
    tokio::time::sleep(away()).await;
    running.signal(Signal::CONT);
    gone::afterwards(&store, held).await;

    let store = RedisStore::open(&format!("{url}/1")).await.unwrap();
    let held = gone::before(&store).await;
    let folder = running.stop();
    gone::meanwhile(&store, &held, &[StoreErrorKind::Unavailable]).await;
    tokio::time::sleep(away()).await;
    let _running = start(Some(folder), port, "");
    gone::afterwards(&store, held).await;
}

#[tokio::test]
async fn a_response_may_take_the_stores_timeout_and_not_the_drivers() {
    if !is_installed() {
        return;
    }
    let port = server::free_port();
    let _running = start(None, port, "");
    server::listening(port).await;
    let store = RedisStore::open(&format!("redis://127.0.0.1:{port}")).await.unwrap();
    let hash = Fingerprint::new([1; 32]);
    let row = RowHash { key: "row".to_owned(), hash };
    let mut connection = store.connection().await.unwrap();
    let began = clock::now();
    let pause = redis::cmd("CLIENT").arg("PAUSE").arg(1_500).to_owned();
    pause.query_async::<()>(&mut *connection).await.unwrap();
    let (claimed, changed, recorded) = tokio::join!(
        store.claim(KeyRequest::new("key", hash)),
        store.changed("set".to_owned(), vec![row.clone()]),
        store.record("other".to_owned(), vec![row], Duration::from_secs(60)),
    );
    claimed.unwrap().unwrap();
    assert_eq!(changed.unwrap(), [0]);
    recorded.unwrap();
    assert!(clock::now() - began >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_policy_that_changes_is_found_and_rejects_new_leases_and_claims() {
    if !is_installed() {
        return;
    }
    let port = server::free_port();
    let _running = start(None, port, "");
    server::listening(port).await;
    let url = format!("redis://127.0.0.1:{port}");
    let stores = resilience_stores::open(&url).await.unwrap();
    let request = |key: &str| KeyRequest::new(key, Fingerprint::new([1; 32]));
    let lease = || LeaseRequest::new("daily", "first", Duration::from_secs(60));
    let claim = stores.keys.claim(request("key")).await.unwrap().unwrap();
    let Acquisition::Acquired(token) = stores.leases.try_acquire(lease()).await.unwrap() else {
        panic!("it is free")
    };
    let admin = RedisStore::open(&url).await.unwrap();
    let set = async |policy: &str| {
        let set = redis::cmd("CONFIG").arg("SET").arg("maxmemory-policy").arg(policy).to_owned();
        set.query_async::<()>(&mut *admin.connection().await.unwrap()).await.unwrap();
    };
    upkeep::until(&stores, "resilience.store.evicts", 0.0).await;
    set("allkeys-lru").await;
    upkeep::until(&stores, "resilience.store.evicts", 1.0).await;
    let error = stores.remove_expired(1).await.unwrap_err();
    assert!(error.to_string().contains("`maxmemory-policy` is allkeys-lru"), "{error}");
    for error in [
        stores.keys.claim(request("other")).await.unwrap_err(),
        stores.leases.try_acquire(lease()).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), StoreErrorKind::UnsafeServer);
    }
    // What is under way goes on.
    let fence = Fence::new("daily", token);
    assert!(stores.leases.renew(fence, Duration::from_secs(60)).await.unwrap());
    assert!(stores.keys.complete(claim, Completion::of(1, "")).await.unwrap());
    set("noeviction").await;
    upkeep::until(&stores, "resilience.store.evicts", 0.0).await;
    stores.keys.claim(request("other")).await.unwrap().unwrap();
    // Two keys, a lease, and the last token.
    let sizes = stores.sizes().await.unwrap();
    assert_eq!((sizes[0].table, sizes[0].rows), ("database", 4));
    assert_eq!(upkeep::gauge(&stores, "resilience.store.database"), Some(4.0));
}

fn command(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

#[tokio::test]
async fn a_command_that_fails_leaves_the_key_in_progress() {
    let Some(url) = database().await else { return };
    let store = RedisStore::open(&url).await.unwrap();
    let request = KeyRequest::new("key", Fingerprint::new([1; 32]));
    let claim = store.claim(request.clone()).await.unwrap().unwrap();
    let mut connection = store.connection().await.unwrap();
    let ask = async |connection: &mut redis::aio::MultiplexedConnection, words: &[&str]| {
        let mut ask = redis::cmd(words[0]);
        ask.arg(&words[1..]);
        ask.query_async::<i64>(connection).await.unwrap()
    };
    ask(&mut connection, &["SETNX", "{flow}:effects", "a string"]).await;
    let push = [command(&["RPUSH", "{flow}:effects", "message"])];
    let completion = Completion::of(1, "pushed");
    let error = store.complete_with(&claim, &completion, &push).await.unwrap_err();
    assert!(error.to_string().contains("WRONGTYPE"), "{error}");
    let taken = store.claim(request.clone()).await.unwrap().unwrap_err();
    assert!(matches!(taken, Taken::InProgress { .. }), "{taken:?}");
    ask(&mut connection, &["DEL", "{flow}:effects"]).await;
    assert!(store.complete_with(&claim, &completion, &push).await.unwrap());
    // An answer that was lost: the effect is not made again.
    assert!(store.complete_with(&claim, &completion, &push).await.unwrap());
    assert_eq!(ask(&mut connection, &["LLEN", "{flow}:effects"]).await, 1);
    let taken = store.claim(request).await.unwrap().unwrap_err();
    assert!(matches!(taken, Taken::Done { rows: 1, .. }), "{taken:?}");
}

#[tokio::test]
async fn a_command_with_too_many_words_is_rejected_by_name_and_none_runs() {
    let Some(url) = database().await else { return };
    let store = RedisStore::open(&url).await.unwrap();
    let claim = store.claim(KeyRequest::new("key", Fingerprint::new([1; 32]))).await;
    let claim = claim.unwrap().unwrap();
    let request = LeaseRequest::new("daily", "first", Duration::from_secs(60));
    let Acquisition::Acquired(token) = store.try_acquire(request).await.unwrap() else {
        panic!("it is free")
    };
    let words = |count: usize| {
        let mut words = command(&["RPUSH", "{flow}:list"]);
        words.resize(count, b"x".to_vec());
        words
    };
    let commands = [words(3), words(4_097)];
    let (fence, completion) = (Fence::new("daily", token), Completion::of(1, ""));
    for error in [
        store.complete_with(&claim, &completion, &commands).await.unwrap_err(),
        store.write(&fence, &commands).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), StoreErrorKind::InvalidInput);
        assert!(error.to_string().contains("must be at most 4096, not 4097"), "{error}");
    }
    assert!(store.complete_with(&claim, &completion, &[words(4_096)]).await.unwrap());
    let length = redis::cmd("LLEN").arg("{flow}:list").to_owned();
    let length: u64 = length.query_async(&mut *store.connection().await.unwrap()).await.unwrap();
    assert_eq!(length, 4_094, "of the rejected commands none ran");
}
