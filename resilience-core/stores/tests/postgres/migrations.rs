//! Migrations: up, down, dry run, checksums, two starters, the future; and retention.

use std::time::Duration;

use resilience_core::flow::StoreErrorKind;
use resilience_core::flow::idempotency::{Fingerprint, IdempotencyStore, RowHash};
use resilience_core::flow::lease::{LeaseRequest, LeaseStore};
use resilience_core::flow::ledger::{LedgerStore, NewRun};
use resilience_core::flow::outbox::{ClaimRequest, NewMessage, OutboxStore};
use resilience_stores::postgres::{PostgresMigrations, PostgresStore};

use crate::database;

async fn execute(url: &str, sql: &str) -> Vec<String> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let rows = client.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Returns columns, indexes and functions.
async fn schema(url: &str) -> Vec<String> {
    let sql = "SELECT table_name || ' ' || column_name || ' ' || data_type || ' ' || is_nullable
            FROM information_schema.columns WHERE table_schema = 'public'
        UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL SELECT proname || prosrc FROM pg_proc WHERE proname LIKE 'flow%' ORDER BY 1";
    execute(url, sql).await
}

#[tokio::test]
async fn up_down_up_makes_the_same_schema() {
    let Some(url) = database("up_down_up").await else { return };
    let migrations = PostgresMigrations::new(&url).unwrap();
    assert_eq!(migrations.version().await.unwrap(), 0);
    let latest = usize::try_from(PostgresMigrations::latest()).unwrap();
    let planned = migrations.plan().await.unwrap();
    assert_eq!((planned.len(), schema(&url).await.len()), (latest, 0), "a dry run changes nothing");
    assert_eq!(migrations.up().await.unwrap(), planned);
    let first = schema(&url).await;
    assert!(migrations.up().await.unwrap().is_empty(), "a second run is none");
    for from in (0..PostgresMigrations::latest()).rev() {
        migrations.down(from).await.unwrap();
        assert_eq!(migrations.version().await.unwrap(), from);
        migrations.up().await.unwrap();
        assert_eq!(schema(&url).await, first);
    }
}

#[tokio::test]
async fn of_many_starters_one_migrates() {
    let Some(url) = database("starters").await else { return };
    let mut starters = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let migrations = PostgresMigrations::new(&url).unwrap();
        starters.spawn(async move { migrations.up().await.unwrap().len() });
    }
    let applied = starters.join_all().await;
    let latest = usize::try_from(PostgresMigrations::latest()).unwrap();
    assert_eq!(applied.iter().filter(|&&steps| steps == latest).count(), 1, "{applied:?}");
    assert_eq!(applied.iter().sum::<usize>(), latest);
}

#[tokio::test]
async fn a_schema_from_the_future_and_a_changed_migration_are_refused() {
    let Some(url) = database("future").await else { return };
    PostgresMigrations::new(&url).unwrap().up().await.unwrap();
    let insert = "INSERT INTO flow_schema_history VALUES (5, 'later', '2027-01-01T00:00:00Z', '1')";
    execute(&url, insert).await;
    let error = PostgresStore::open(&url).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::FutureSchema);
    assert!(error.to_string().contains("version 5, this build knows 4"), "{error}");
    execute(&url, "DELETE FROM flow_schema_history WHERE version = 5").await;
    execute(&url, "UPDATE flow_schema_history SET checksum = '7' WHERE version = 2").await;
    let error = PostgresStore::open(&url).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Migration);
}

#[tokio::test]
async fn every_table_is_emptied_in_bounded_steps() {
    let Some(url) = database("retention").await else { return };
    let store = PostgresStore::open(&url).await.unwrap();
    let hash = Fingerprint::new([1; 32]);
    for n in 0..5 {
        let request = LeaseRequest::new(format!("lease-{n}"), "first", Duration::from_secs(60));
        store.try_acquire(request).await.unwrap();
        store.begin(NewRun::new(format!("run-{n}"), "job")).await.unwrap();
        let request = resilience_core::flow::idempotency::KeyRequest::new(format!("key-{n}"), hash);
        store.claim(request).await.unwrap().unwrap();
        let row = RowHash { key: format!("row-{n}"), hash };
        store.record("set".to_owned(), vec![row], Duration::from_secs(60)).await.unwrap();
    }
    store.append_messages(vec![NewMessage::new("topic", "poison"); 3]).await.unwrap();
    let claimed = store.claim_messages(ClaimRequest::new("topic")).await.unwrap();
    for message in &claimed.deliveries[..2] {
        assert!(store.dead_letter(message.receipt, "poison".to_owned()).await.unwrap());
    }
    assert_eq!(store.remove_expired(100).await.unwrap().total(), 0, "nothing is old");
    let old = 91_i64 * 24 * 60 * 60 * 1_000;
    for (table, column) in [
        ("flow_leases", "expires_at"),
        ("flow_runs", "started_at"),
        ("flow_keys", "expires_at"),
        ("flow_rows", "expires_at"),
        ("flow_outbox", "dead_at"),
    ] {
        execute(&url, &format!("UPDATE {table} SET {column} = {column} - {old}")).await;
    }
    let first = store.remove_expired(2).await.unwrap();
    assert_eq!((first.leases, first.keys, first.rows, first.entries), (2, 2, 2, 2));
    while store.remove_expired(2).await.unwrap().total() > 0 {}
    let left: Vec<_> = store.sizes().await.unwrap().iter().map(|size| size.rows).collect();
    assert_eq!(left, [0, 0, 0, 0, 0, 1], "a message that is not settled stays");
}

#[tokio::test]
async fn a_store_that_was_opened_by_its_url_is_maintained() {
    let Some(url) = database("by_url_maintained").await else { return };
    crate::upkeep::maintenance_by_url(&url, "resilience.store.keys", 1.0).await;
}

#[tokio::test]
async fn a_run_whose_retention_ends_while_it_is_begun_again_is_busy_and_not_corrupt() {
    let Some(url) = database("begin_race").await else { return };
    let store = PostgresStore::open(&url).await.unwrap();
    store.begin(NewRun::new("run", "job")).await.unwrap();
    let mut client = store.client().await.unwrap();
    let tx = client.transaction().await.unwrap();
    // A lock alone: the insertion of the other finds the row, and its next statement waits for this
    // transaction.
    tx.execute("SELECT 1 FROM flow_runs WHERE id = 'run' FOR UPDATE", &[]).await.unwrap();
    let beginner = store.clone();
    let begun = tokio::spawn(async move { beginner.begin(NewRun::new("run", "job")).await });
    let waits = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while crate::count(&store, waits).await == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tx.execute("DELETE FROM flow_timeline", &[]).await.unwrap();
    tx.execute("DELETE FROM flow_runs", &[]).await.unwrap();
    tx.commit().await.unwrap();
    let error = begun.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Busy, "{error}");
    assert!(error.is_transient());
    let begun = store.begin(NewRun::new("run", "job")).await.unwrap();
    assert_eq!(begun, resilience_core::flow::ledger::Start::Begun);
}
