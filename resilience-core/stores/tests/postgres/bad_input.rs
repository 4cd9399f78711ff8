//! Each way to fail has a name and a remedy; nothing is lost, and work goes on afterwards.

use std::sync::Arc;
use std::time::Duration;

use resilience_core::flow::StoreErrorKind;
use resilience_core::flow::ledger::{Began, Finish, LedgerStore, NewRun, RunLedger, RunState};
use resilience_stores::postgres::PostgresStore;

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
    // The 30 s of the issue by FLOW_FULL.
    let away = if std::env::var_os("FLOW_FULL").is_some() { 30 } else { 2 };
    tokio::time::sleep(Duration::from_secs(away)).await;
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
