//! SQLite in a new file.

use resilience_core::clock;
use resilience_core::flow::StoreError;
use resilience_core::flow::idempotency::{Completion, KeyRequest};
use resilience_stores::fingerprint;
use resilience_stores::sqlite::{SqliteStore, SqliteTransaction, driver_error};
use tower::BoxError;

use super::{BARE, BATCH, Effort, LARGE, ONCE, Row, Rows, SMALL, claim, common, payload};

const TABLE: &str = "CREATE TABLE bench (id INTEGER PRIMARY KEY, payload TEXT NOT NULL)";
/// Keys in their order, which fills a large table in time. Those that are claimed later fall
/// anywhere between.
const FILL: &str = "
    INSERT INTO flow_keys (key, fingerprint, token, claimed_until, expires_at, done_rows, result)
    WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
    SELECT printf('%08x-%d', i * ?3, i), zeroblob(32), i, 0, 4102444800000 + i, 1, x''
    FROM n";
/// The keys that are filled in by one transaction.
const STEP: u64 = 250_000;

pub(super) async fn measure(effort: Effort) -> Result<Vec<Row>, BoxError> {
    let folder = tempfile::tempdir()?;
    let store = SqliteStore::open(folder.path().join("inserts.db")).await?;
    store.transaction(|tx| tx.driver().execute_batch(TABLE).map_err(driver_error)).await?;
    let small = filled(&folder.path().join("small.db"), 10_000).await?;
    let large = filled(&folder.path().join("large.db"), effort.keys).await?;
    let mut rows = Rows::new("SQLite");
    for round in 0..effort.rounds {
        let began = clock::now();
        store.transaction(move |tx| insert(tx, round * 2)).await?;
        rows.add(BARE, began);
        let began = clock::now();
        let request = KeyRequest::new(format!("batch-{round}"), fingerprint(&round.to_le_bytes()));
        let once = store.once(request, move |tx| {
            insert(tx, round * 2 + 1)?;
            Ok::<_, StoreError>(Completion::of(u64::from(BATCH), ""))
        });
        once.await?.map_err(|taken| format!("{taken:?}"))?;
        rows.add(ONCE, began);
        common(&store, &mut rows, round).await?;
        claim(&small, &mut rows, SMALL, round).await?;
        claim(&large, &mut rows, LARGE, round).await?;
    }
    Ok(rows.rows)
}

fn insert(tx: &SqliteTransaction<'_>, batch: u32) -> Result<(), StoreError> {
    let insert = "INSERT INTO bench (id, payload) VALUES (?1, ?2)";
    let mut insert = tx.driver().prepare_cached(insert).map_err(driver_error)?;
    for number in batch * BATCH..(batch + 1) * BATCH {
        insert.execute(rusqlite::params![number, payload(number)]).map_err(driver_error)?;
    }
    Ok(())
}

async fn filled(path: &std::path::Path, keys: u64) -> Result<SqliteStore, BoxError> {
    let store =
        SqliteStore::builder(path).timeout(std::time::Duration::from_secs(600)).open().await?;
    let apart = u64::from(u32::MAX) / keys;
    for first in (1..=keys).step_by(STEP as usize) {
        let last = (first + STEP - 1).min(keys);
        store
            .transaction(move |tx| {
                tx.driver().execute(FILL, [first, last, apart]).map_err(driver_error)
            })
            .await?;
    }
    Ok(store)
}
