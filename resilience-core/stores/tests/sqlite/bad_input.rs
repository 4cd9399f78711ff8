//! Each way to fail has a name and a remedy; nothing is lost, and work goes on afterwards.

use std::time::Duration;

use resilience_core::clock;
use resilience_core::flow::ledger::{Began, LedgerStore, NewRun, RunLedger, RunState};
use resilience_core::flow::{StoreError, StoreErrorKind};
use resilience_stores::sqlite::{SqliteMigrations, SqliteStore, driver_error};
use rusqlite::Connection;
use std::sync::Arc;

use crate::{count, folder};

async fn set(store: &SqliteStore, pragma: &'static str) {
    let set = store.transaction(move |tx| {
        tx.driver().query_row(pragma, [], |_| Ok(())).or_else(|error| match error {
            rusqlite::Error::QueryReturnedNoRows => Ok(()),
            error => Err(driver_error(error)),
        })
    });
    set.await.unwrap();
}

async fn begin(store: &SqliteStore, id: String) -> Result<(), StoreError> {
    store.begin(NewRun::new(id, "j".repeat(500))).await.map(drop)
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_work_goes_on_when_there_is_room() {
    let (_folder, path) = folder();
    let store = SqliteStore::open(path).await.unwrap();
    // SQLite's own limit gives the error that a full disk gives.
    set(&store, "PRAGMA max_page_count = 40").await;
    let mut begun = 0;
    let error = loop {
        match begin(&store, format!("run-{begun}")).await {
            Ok(()) => begun += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), StoreErrorKind::DiskFull);
    assert!(error.is_transient() && error.to_string().contains("free space"), "{error}");
    assert!(begun > 10);
    assert_eq!(count(&store, "SELECT count(*) FROM flow_runs").await, begun);
    set(&store, "PRAGMA max_page_count = 100000").await;
    begin(&store, format!("run-{begun}")).await.unwrap();
    assert_eq!(count(&store, "SELECT count(*) FROM flow_runs").await, begun + 1);
}

#[tokio::test]
async fn a_file_that_takes_no_writes_is_named_and_can_be_read() {
    let (_folder, path) = folder();
    let store = SqliteStore::open(&path).await.unwrap();
    begin(&store, "first".to_owned()).await.unwrap();
    set(&store, "PRAGMA query_only = ON").await;
    let error = begin(&store, "second".to_owned()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::ReadOnly);
    assert!(!error.is_transient());
    assert!(store.run("first".to_owned()).await.unwrap().is_some());
    drop(store);
    let store = SqliteStore::open(&path).await.unwrap();
    begin(&store, "second".to_owned()).await.unwrap();
}

#[tokio::test]
async fn a_corrupt_file_is_named_and_not_overwritten() {
    let (_folder, path) = folder();
    let garbage = b"this is not a database, and it is longer than the header of one, which has 100 bytes, so there";
    std::fs::write(&path, garbage.repeat(20)).unwrap();
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    assert!(error.to_string().contains("restore the last backup"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), garbage.repeat(20));
}

#[tokio::test]
async fn a_page_that_is_corrupt_is_named() {
    let (_folder, path) = folder();
    let store = SqliteStore::open(&path).await.unwrap();
    for n in 0..200 {
        begin(&store, format!("run-{n}")).await.unwrap();
    }
    drop(store);
    // The last connection has written the journal back; the schema's page stays.
    let connection = Connection::open(&path).unwrap();
    let busy: i64 =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
    assert_eq!(busy, 0);
    drop(connection);
    let mut bytes = std::fs::read(&path).unwrap();
    let pages = bytes.len() / 4_096;
    assert!(pages > 20);
    bytes[8 * 4_096..].fill(0xAA);
    std::fs::write(&path, bytes).unwrap();
    let damaged = match SqliteStore::open(&path).await {
        Err(error) => error,
        Ok(store) => {
            let mut damaged = None;
            for n in 0..200 {
                damaged = store.run(format!("run-{n}")).await.err().or(damaged);
            }
            damaged.unwrap()
        }
    };
    assert_eq!(damaged.kind(), StoreErrorKind::Corrupt, "{damaged}");
}

#[tokio::test]
async fn a_value_that_no_version_wrote_is_corrupt_and_no_panic() {
    let (_folder, path) = folder();
    let store = SqliteStore::open(&path).await.unwrap();
    begin(&store, "run".to_owned()).await.unwrap();
    let statements = [
        "UPDATE flow_runs SET ended_at = 1, state = 'finished'",
        "UPDATE flow_runs SET ended_at = 1, state = 'done', row_count = -1, quality = 100",
        "UPDATE flow_runs SET ended_at = NULL, fence = -5",
        "UPDATE flow_runs SET fence = NULL, o_state = 'cancelled', o_by = '', o_reason = 'r'",
    ];
    for statement in statements {
        let change =
            store.transaction(move |tx| tx.driver().execute(statement, []).map_err(driver_error));
        change.await.unwrap();
        let error = store.run("run".to_owned()).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{statement}: {error}");
    }
}

#[tokio::test]
async fn a_path_that_cannot_be_opened_and_a_url_of_no_store_are_named() {
    let (folder, _) = folder();
    let missing = folder.path().join("no-such-folder").join("flow.db");
    let error = SqliteStore::open(missing).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    for url in ["mysql://user:secret@host/db", "sqlite:", "sqlite", "", "flow.db"] {
        let error = resilience_stores::open(url).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::UnknownUrl, "{url}");
        assert!(!error.to_string().contains("secret"), "{error}");
        assert!(error.to_string().contains("sqlite:FILE"), "{error}");
    }
}

#[tokio::test]
async fn settings_out_of_their_bounds_are_named() {
    let (_folder, path) = folder();
    let builder = || SqliteStore::builder(&path);
    for (builder, named) in [
        (builder().max_queued(0), "`max_queued` must be 1 to"),
        (builder().max_queued(usize::MAX), "`max_queued` must be 1 to"),
        (builder().timeout(Duration::ZERO), "`timeout` must be more than zero"),
        (builder().busy_timeout(Duration::MAX), "`busy_timeout` must be at most 2147483.647s"),
    ] {
        let error = builder.open().await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::InvalidInput);
        assert!(error.to_string().contains(named), "{error}");
        assert!(!path.exists());
    }
}

#[tokio::test]
async fn a_database_in_memory_is_rejected_by_name() {
    for url in ["sqlite::memory:", "sqlite://:memory:"] {
        let error = resilience_stores::open(url).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::InvalidInput, "{url}");
        assert!(error.to_string().contains("`path` must name a file, not `:memory:`"), "{error}");
    }
    let error = SqliteStore::open("").await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::InvalidInput);
    let error = SqliteMigrations::new(":memory:").plan().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::InvalidInput);
}

#[tokio::test]
async fn a_file_that_another_process_has_locked_is_waited_for() {
    let (_folder, path) = folder();
    let store = SqliteStore::builder(&path).busy_timeout(Duration::from_millis(100));
    let store = store.open().await.unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = begin(&store, "first".to_owned()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Busy);
    let ledger = RunLedger::new(Arc::new(store.clone()));
    let began = clock::now();
    let waiting = tokio::spawn(async move { ledger.begin(NewRun::new("second", "job")).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished());
    other.execute_batch("COMMIT").unwrap();
    let Began::Run(run) = waiting.await.unwrap().unwrap() else { panic!("it is new") };
    run.finish(RunState::Cancelled).await.unwrap();
    assert!(clock::now() - began < Duration::from_secs(20));
}

#[tokio::test]
async fn the_queue_is_bounded_and_an_operation_that_panics_ends_nothing_else() {
    let (_folder, path) = folder();
    let store = SqliteStore::builder(&path).max_queued(2).open().await.unwrap();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let blocking = store.clone();
    let (started, has_started) = tokio::sync::oneshot::channel();
    let blocking = tokio::spawn(async move {
        let block = blocking.transaction(move |_| {
            let _ = started.send(());
            held.recv().unwrap();
            Ok::<_, StoreError>(())
        });
        block.await
    });
    has_started.await.unwrap();
    let queued: Vec<_> = (0..2)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { begin(&store, format!("run-{n}")).await })
        })
        .collect();
    // Both are in the queue once they were polled.
    tokio::task::yield_now().await;
    let error = begin(&store, "one too many".to_owned()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Busy);
    assert!(error.to_string().contains("2 operations wait"), "{error}");
    release.send(()).unwrap();
    blocking.await.unwrap().unwrap();
    for queued in queued {
        queued.await.unwrap().unwrap();
    }
    let panics = store.transaction(|_| -> Result<(), StoreError> { panic!("in a transaction") });
    assert_eq!(panics.await.unwrap_err().kind(), StoreErrorKind::Other);
    begin(&store, "after".to_owned()).await.unwrap();
    assert_eq!(count(&store, "SELECT count(*) FROM flow_runs").await, 3);
}

#[tokio::test]
async fn an_operation_that_takes_too_long_is_named_and_may_have_run() {
    use resilience_core::AsOutcome;
    let (_folder, path) = folder();
    let store =
        SqliteStore::builder(&path).timeout(Duration::from_millis(100)).open().await.unwrap();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let slow = store.transaction(move |_| {
        held.recv().unwrap();
        Ok::<_, StoreError>(())
    });
    let error = slow.await.unwrap_err();
    assert_eq!((error.kind(), error.may_have_run()), (StoreErrorKind::TimedOut, true));
    release.send(()).unwrap();
}

/// A file system of its own, in memory.
struct Disk(tempfile::TempDir);

impl Disk {
    /// Mounts one of this many kilobytes, where that is allowed.
    fn mount(kilobytes: u32) -> Option<Disk> {
        let disk = Disk(tempfile::tempdir().unwrap());
        let mounted =
            disk.run(&["mount", "-t", "tmpfs", "-o", &format!("size={kilobytes}k"), "tmpfs"]);
        if !mounted {
            println!("skipped: a file system cannot be mounted here");
        }
        mounted.then_some(disk)
    }

    fn remount(&self, options: &str) {
        assert!(self.run(&["mount", "-o", &format!("remount,{options}")]), "{options}");
    }

    fn run(&self, words: &[&str]) -> bool {
        let mut command = std::process::Command::new(words[0]);
        let output = command.args(&words[1..]).arg(self.0.path()).output();
        output.is_ok_and(|output| output.status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.run(&["umount", "-l"]);
    }
}

#[tokio::test]
async fn a_disk_that_is_full_or_read_only_loses_nothing() {
    let Some(disk) = Disk::mount(1_024) else { return };
    let path = disk.0.path().join("flow.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let mut begun = 0;
    let error = loop {
        match begin(&store, format!("run-{begun}")).await {
            Ok(()) => begun += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), StoreErrorKind::DiskFull, "{error}");
    assert!(begun > 10);
    disk.remount("size=16384k");
    begin(&store, format!("run-{begun}")).await.unwrap();
    assert_eq!(count(&store, "SELECT count(*) FROM flow_runs").await, begun + 1);
    drop(store);

    // The thread of the store closes its files after the last handle is gone.
    for attempt in 0.. {
        if disk.run(&["mount", "-o", "remount,ro"]) {
            break;
        }
        assert!(attempt < 500, "the files stay open");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::ReadOnly, "{error}");
    assert!(error.to_string().contains("make the file and its folder writable"), "{error}");
    disk.remount("rw");
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(count(&store, "SELECT count(*) FROM flow_runs").await, begun + 1);
}

#[tokio::test]
async fn a_disk_that_is_full_when_the_file_is_opened_is_named() {
    let Some(disk) = Disk::mount(40) else { return };
    let path = disk.0.path().join("flow.db");
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::DiskFull, "in the migration: {error}");
    disk.remount("size=1024k");
    let store = SqliteStore::open(&path).await.unwrap();
    begin(&store, "run".to_owned()).await.unwrap();
    drop(store);
    // The journal is gone once the thread of the store has ended.
    while path.with_extension("db-wal").exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let filling = disk.0.path().join("filling");
    assert!(std::fs::write(&filling, vec![0; 2_000_000]).is_err());
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::DiskFull, "in the journal: {error}");
    std::fs::remove_file(filling).unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(count(&store, "SELECT count(*) FROM flow_runs").await, 1);
}

#[tokio::test]
async fn a_last_token_that_is_gone_is_corrupt() {
    use resilience_core::flow::lease::{LeaseRequest, LeaseStore};
    let (_folder, path) = folder();
    let store = SqliteStore::open(&path).await.unwrap();
    let delete = "DELETE FROM flow_fence";
    let delete = store.transaction(|tx| tx.driver().execute(delete, []).map_err(driver_error));
    delete.await.unwrap();
    let request = LeaseRequest::new("daily", "first", Duration::from_secs(60));
    let error = store.try_acquire(request).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
}
