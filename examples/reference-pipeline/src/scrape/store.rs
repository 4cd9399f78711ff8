//! The store of an arm: a SQLite file that its scrapers share.
//!
//! Both forms of writing are here, for comparison: a repeated append makes duplicates, a repeated
//! upsert changes nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags, Transaction, params};

use crate::BoxError;
use crate::league::TeamGame;

/// Time that a writer waits for the other scraper's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS appended (
        game_id TEXT NOT NULL, team_id INTEGER NOT NULL, game_date TEXT NOT NULL,
        pts INTEGER NOT NULL, box_score TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS upserted (
        game_id TEXT NOT NULL, team_id INTEGER NOT NULL, game_date TEXT NOT NULL,
        pts INTEGER NOT NULL, box_score TEXT NOT NULL,
        PRIMARY KEY (game_id, team_id)
    );
    CREATE VIEW IF NOT EXISTS landed AS
        SELECT game_id, team_id, game_date FROM appended
        UNION ALL SELECT game_id, team_id, game_date FROM upserted;";

const APPEND: &str = "
    INSERT INTO appended (game_id, team_id, game_date, pts, box_score) VALUES (?1, ?2, ?3, ?4, ?5)";

const UPSERT: &str = "
    INSERT INTO upserted (game_id, team_id, game_date, pts, box_score) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (game_id, team_id) DO UPDATE SET
        game_date = excluded.game_date, pts = excluded.pts, box_score = excluded.box_score";

/// A handle to the store. Clones share the connection.
#[derive(Debug, Clone)]
pub struct Store(Arc<Mutex<Connection>>);

/// Content of the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Landed {
    /// Number of distinct rows.
    pub rows: u64,
    /// Number of repetitions of rows.
    pub duplicates: u64,
    /// Number of distinct rows on each day.
    pub by_day: BTreeMap<String, u64>,
}

impl Store {
    /// Opens the file. Creates it if it does not exist.
    ///
    /// # Errors
    /// If it is not a database, or cannot be written.
    pub fn open(path: &Path) -> Result<Store, BoxError> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "normal")?;
        connection.execute_batch(TABLES)?;
        Ok(Store(Arc::new(Mutex::new(connection))))
    }

    /// Checks that a store exists at `path` and can be read. Creates no file.
    ///
    /// # Errors
    /// If the store does not exist, or cannot be read.
    pub fn check_readable(path: &Path) -> Result<(), BoxError> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        Ok(connection.query_row("SELECT COUNT(*) FROM landed", [], |_| Ok(()))?)
    }

    /// Appends rows, even if the store has them already.
    ///
    /// # Errors
    /// If the database returns an error. None of the rows is written in that case.
    pub async fn append(&self, rows: Vec<TeamGame>) -> Result<(), BoxError> {
        self.write(APPEND, rows).await
    }

    /// Adds rows, and replaces those that the store has already.
    ///
    /// # Errors
    /// If the database returns an error. None of the rows is written in that case.
    pub async fn upsert(&self, rows: Vec<TeamGame>) -> Result<(), BoxError> {
        self.write(UPSERT, rows).await
    }

    /// Writes rows in one transaction. SQLite blocks, so this runs on a blocking thread.
    async fn write(&self, statement: &'static str, rows: Vec<TeamGame>) -> Result<(), BoxError> {
        let store = self.0.clone();
        let write = move || {
            let mut connection = store.lock();
            let transaction = connection.transaction()?;
            insert(&transaction, statement, &rows)?;
            Ok(transaction.commit()?)
        };
        tokio::task::spawn_blocking(write).await?
    }

    /// Counts the rows of the store.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn landed(&self) -> Result<Landed, BoxError> {
        let connection = self.0.lock();
        let all: u64 = connection.query_row("SELECT COUNT(*) FROM landed", [], |row| row.get(0))?;
        let mut by_day = connection.prepare(
            "SELECT game_date, COUNT(*) FROM (SELECT DISTINCT game_id, team_id, game_date FROM landed)
             GROUP BY game_date",
        )?;
        let days = by_day.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let by_day: BTreeMap<String, u64> = days.collect::<Result<_, _>>()?;
        let rows = by_day.values().sum();
        Ok(Landed { rows, duplicates: all - rows, by_day })
    }
}

impl Landed {
    /// Returns `true` if `day` has `rows` rows.
    #[must_use]
    pub fn is_whole(&self, day: Date, rows: usize) -> bool {
        self.by_day.get(&day.to_string()).is_some_and(|landed| *landed == rows as u64)
    }
}

fn insert(to: &Transaction<'_>, statement: &str, rows: &[TeamGame]) -> Result<(), BoxError> {
    let mut statement = to.prepare(statement)?;
    for row in rows {
        let day = row.game_date.to_string();
        let box_score = serde_json::to_string(row)?;
        statement.execute(params![row.game_id, row.team_id, day, row.pts, box_score])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::league::{League, generate};

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store.sqlite")).unwrap();
        (folder, store)
    }

    fn day(league: &League) -> (Date, Vec<TeamGame>) {
        let day = league.days().next().unwrap();
        (day, league.on(day).unwrap().to_vec())
    }

    #[tokio::test]
    async fn a_repeated_append_makes_duplicates_and_a_repeated_upsert_does_not() {
        let (day, rows) = day(&generate::league(1, 1));
        let count = rows.len() as u64;
        let (_folder, store) = store();
        store.upsert(rows.clone()).await.unwrap();
        store.upsert(rows.clone()).await.unwrap();
        let landed = store.landed().unwrap();
        assert_eq!((landed.rows, landed.duplicates), (count, 0));
        assert!(landed.is_whole(day, rows.len()));

        let (_folder, store) = self::store();
        store.append(rows.clone()).await.unwrap();
        store.append(rows[..1].to_vec()).await.unwrap();
        let landed = store.landed().unwrap();
        assert_eq!((landed.rows, landed.duplicates), (count, 1));
    }

    #[tokio::test]
    async fn a_day_with_a_missing_row_is_not_whole() {
        let (day, rows) = day(&generate::league(1, 1));
        let (_folder, store) = store();
        store.append(rows[1..].to_vec()).await.unwrap();
        assert!(!store.landed().unwrap().is_whole(day, rows.len()));
    }

    #[test]
    fn a_file_that_is_no_database_is_rejected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "x".repeat(4_096)).unwrap();
        assert!(Store::open(&path).is_err());
    }
}
