//! Each way to fail has a name and a remedy; nothing is lost, and work goes on afterwards.

use std::sync::Arc;
use std::time::Duration;

use resilience_core::clock;
use resilience_core::flow::StoreErrorKind;
use resilience_core::flow::idempotency::{Fingerprint, IdempotencyStore, RowHash};
use resilience_core::flow::ledger::{Began, Finish, LedgerStore, NewRun, RunLedger, RunState};
use resilience_stores::postgres::{PostgresMigrations, PostgresStore};
use rustix::process::Signal;

use crate::gone::{self, away};
use crate::{create, database, is_installed, server, start};

#[tokio::test]
async fn a_server_that_goes_away_is_waited_for_and_nothing_is_lost() {
    if !is_installed() {
        return;
    }
    let port = server::free_port();
    let running = start(None, port);
    server::listening(port).await;
    create(&format!("postgres://postgres@127.0.0.1:{port}/postgres"), "gone").await;
    let url = format!("postgres://postgres@127.0.0.1:{port}/gone");
    let store = PostgresStore::open(&url).await.unwrap();
    let patience = Duration::from_secs(120);
    let ledger = RunLedger::new(Arc::new(store.clone())).patience(patience).unwrap();
    let Began::Run(run) = ledger.begin(NewRun::new("run", "job")).await.unwrap() else {
        panic!("it is new")
    };
    let folder = running.stop();
    let error = store.run("run".to_owned()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    assert!(error.is_transient() && error.to_string().contains("check that the server runs"));
    let done = RunState::Done { rows: 1, expected: None, quality: 100 };
    let finishing = tokio::spawn(run.finish(done.clone()));
    tokio::time::sleep(away()).await;
    assert!(!finishing.is_finished());
    let _running = start(Some(folder), port);
    assert_eq!(finishing.await.unwrap().unwrap(), Finish::Recorded);
    let end = store.run("run".to_owned()).await.unwrap().and_then(|run| run.end);
    assert_eq!(end.map(|(state, _)| state), Some(done));
}

#[tokio::test]
async fn a_database_that_takes_no_writes_is_named() {
    let Some(url) = database("read_only").await else { return };
    let store = PostgresStore::open(&url).await.unwrap();
    store.begin(NewRun::new("first", "job")).await.unwrap();
    let read_only = format!("{url}?options=-c%20default_transaction_read_only%3Don");
    let store = PostgresStore::open(&read_only).await.unwrap();
    let error = store.begin(NewRun::new("second", "job")).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::ReadOnly, "{error}");
    assert!(store.run("first".to_owned()).await.unwrap().is_some());
}

#[tokio::test]
async fn urls_and_servers_that_are_wrong_are_named_and_show_no_password() {
    let error = PostgresStore::open("postgres://user:secret@host:port/db").await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::InvalidInput);
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    let port = server::free_port();
    let url = format!("postgres://user:secret@127.0.0.1:{port}/db");
    let error = PostgresStore::open(&url).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
}

#[tokio::test]
async fn leases_and_keys_outlast_a_server_that_restarts_or_does_not_respond() {
    if !is_installed() {
        return;
    }
    let port = server::free_port();
    let running = start(None, port);
    server::listening(port).await;
    create(&format!("postgres://postgres@127.0.0.1:{port}/postgres"), "gone").await;
    let url = format!("postgres://postgres@127.0.0.1:{port}/gone");
    let store = PostgresStore::builder(&url).unwrap().timeout(Duration::from_secs(2));
    let store = store.open().await.unwrap();

    let held = gone::before(&store).await;
    running.signal(Signal::STOP);
    gone::meanwhile(&store, &held, &[StoreErrorKind::TimedOut, StoreErrorKind::Unavailable]).await;
    tokio::time::sleep(away()).await;
    running.signal(Signal::CONT);
    gone::afterwards(&store, held).await;

    let store = PostgresStore::open(&url).await.unwrap();
    let client = store.client().await.unwrap();
    client.batch_execute("DELETE FROM flow_keys").await.unwrap();
    drop(client);
    let held = gone::before(&store).await;
    let folder = running.stop();
    gone::meanwhile(&store, &held, &[StoreErrorKind::Unavailable]).await;
    tokio::time::sleep(away()).await;
    let _running = start(Some(folder), port);
    gone::afterwards(&store, held).await;
}

#[tokio::test]
async fn opening_a_server_that_does_not_respond_ends_in_time() {
    if !is_installed() {
        return;
    }
    let port = server::free_port();
    let running = start(None, port);
    server::listening(port).await;
    create(&format!("postgres://postgres@127.0.0.1:{port}/postgres"), "hung").await;
    running.signal(Signal::STOP);
    let url = format!("postgres://postgres@127.0.0.1:{port}/hung?connect_timeout=1");
    let began = clock::now();
    let store = PostgresStore::builder(&url).unwrap().timeout(Duration::from_millis(500));
    let migrations = PostgresMigrations::new(&url).unwrap();
    for error in [store.open().await.unwrap_err(), migrations.plan().await.unwrap_err()] {
        assert_eq!(error.kind(), StoreErrorKind::TimedOut, "{error}");
        assert!(error.to_string().contains("the connection was not there within"), "{error}");
    }
    assert!(clock::now() - began < Duration::from_secs(10));
    running.signal(Signal::CONT);
    PostgresStore::open(&url).await.unwrap();
}

#[tokio::test]
async fn a_row_whose_name_has_nul_is_rejected_by_name() {
    let Some(url) = database("nul").await else { return };
    let store = PostgresStore::open(&url).await.unwrap();
    let row = RowHash { key: "a\0b".to_owned(), hash: Fingerprint::new([1; 32]) };
    let error = store.changed("set".to_owned(), vec![row]).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::InvalidInput, "{error}");
}
