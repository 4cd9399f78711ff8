//! Migrations: up, down, dry run, checksums, two starters, the future.

use resilience_core::flow::StoreErrorKind;
use resilience_core::flow::lease::{Acquisition, LeaseRequest, LeaseStore};
use resilience_stores::sqlite::{SqliteMigrations, SqliteStore};
use rusqlite::Connection;
use std::path::Path;
use std::time::Duration;

use crate::folder;

/// Returns the statements of the whole schema.
fn schema(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).unwrap();
    let mut read = connection
        .prepare(
            "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_master ORDER BY 1",
        )
        .unwrap();
    let rows = read.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

fn history(path: &Path) -> u32 {
    let count = "SELECT count(*) FROM flow_schema_history";
    Connection::open(path).unwrap().query_row(count, [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn up_down_up_makes_the_same_schema() {
    let (_folder, path) = folder();
    let migrations = SqliteMigrations::new(&path);
    assert_eq!(migrations.version().await.unwrap(), 0);
    let latest = usize::try_from(SqliteMigrations::latest()).unwrap();
    let planned = migrations.plan().await.unwrap();
    assert_eq!((planned.len(), schema(&path).len()), (latest, 0), "a dry run changes nothing");
    assert_eq!(migrations.up().await.unwrap(), planned);
    let first = schema(&path);
    assert!(migrations.up().await.unwrap().is_empty(), "a second run is none");
    for target in (0..SqliteMigrations::latest()).rev() {
        let steps = migrations.down(target).await.unwrap();
        let versions: Vec<_> = steps.iter().map(|step| step.version).collect();
        assert_eq!(versions, [target + 1]);
        assert_eq!(migrations.version().await.unwrap(), target);
    }
    assert_eq!(history(&path), 0);
    // From every older version.
    for from in 0..SqliteMigrations::latest() {
        migrations.up().await.unwrap();
        assert_eq!(schema(&path), first);
        migrations.down(from).await.unwrap();
        assert_eq!(migrations.version().await.unwrap(), from);
    }
    migrations.up().await.unwrap();
    assert_eq!(schema(&path), first);
}

#[tokio::test]
async fn of_many_starters_one_migrates() {
    for _round in 0..5 {
        let (_folder, path) = folder();
        let mut starters = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let migrations = SqliteMigrations::new(&path);
            starters.spawn(async move { migrations.up().await.unwrap().len() });
        }
        let latest = usize::try_from(SqliteMigrations::latest()).unwrap();
        let applied: Vec<_> = starters.join_all().await;
        assert_eq!(applied.iter().filter(|&&steps| steps == latest).count(), 1, "{applied:?}");
        assert_eq!(applied.iter().sum::<usize>(), latest);
        assert_eq!(history(&path), SqliteMigrations::latest());
    }
}

#[tokio::test]
async fn a_schema_from_the_future_is_refused_and_untouched() {
    let (_folder, path) = folder();
    SqliteMigrations::new(&path).up().await.unwrap();
    let insert = "INSERT INTO flow_schema_history VALUES (5, 'later', '2027-01-01T00:00:00Z', '1')";
    Connection::open(&path).unwrap().execute(insert, []).unwrap();
    let before = schema(&path);
    for error in [
        SqliteStore::open(&path).await.unwrap_err(),
        SqliteMigrations::new(&path).up().await.unwrap_err(),
        SqliteMigrations::new(&path).down(0).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), StoreErrorKind::FutureSchema);
        assert_eq!(
            error.to_string(),
            "sqlite: the schema has version 5, this build knows 4: deploy the newer version, or \
             migrate down with it first"
        );
    }
    assert_eq!(schema(&path), before);
}

#[tokio::test]
async fn a_changed_migration_is_refused() {
    let (_folder, path) = folder();
    SqliteMigrations::new(&path).up().await.unwrap();
    for change in ["checksum = '7'", "name = 'other'"] {
        let change = format!("UPDATE flow_schema_history SET {change} WHERE version = 2");
        Connection::open(&path).unwrap().execute(&change, []).unwrap();
        let error = SqliteStore::open(&path).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Migration);
        assert!(error.to_string().contains("version 2 was applied"), "{error}");
    }
}

#[tokio::test]
async fn what_is_stored_survives_a_migration_of_other_tables() {
    let (_folder, path) = folder();
    let store = SqliteStore::open(&path).await.unwrap();
    let request = LeaseRequest::new("daily", "first", Duration::from_secs(600));
    store.try_acquire(request.clone()).await.unwrap();
    drop(store);
    SqliteMigrations::new(&path).down(1).await.unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    let held = store.try_acquire(request).await.unwrap();
    assert!(matches!(held, Acquisition::HeldByAnother(_)), "{held:?}");
}

#[tokio::test]
async fn a_dry_run_creates_no_file() {
    let (folder, path) = folder();
    let migrations = SqliteMigrations::new(&path);
    let latest = usize::try_from(SqliteMigrations::latest()).unwrap();
    assert_eq!(migrations.plan().await.unwrap().len(), latest);
    assert_eq!(migrations.version().await.unwrap(), 0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is beside it");
    migrations.up().await.unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(migrations.plan().await.unwrap().is_empty());
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_file_whose_schema_is_from_the_future_keeps_every_byte() {
    let (_folder, path) = folder();
    SqliteMigrations::new(&path).up().await.unwrap();
    let connection = Connection::open(&path).unwrap();
    let later = "PRAGMA journal_mode = DELETE;
        INSERT INTO flow_schema_history VALUES (5, 'later', '2027-01-01T00:00:00Z', '1')";
    connection.execute_batch(later).unwrap();
    drop(connection);
    let before = std::fs::read(&path).unwrap();
    let migrations = SqliteMigrations::new(&path);
    for error in [
        SqliteStore::open(&path).await.unwrap_err(),
        migrations.up().await.unwrap_err(),
        migrations.down(0).await.unwrap_err(),
        migrations.plan().await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), StoreErrorKind::FutureSchema);
    }
    assert!(std::fs::read(&path).unwrap() == before, "the file was modified");
}
