//! PostgreSQL in the database that the environment names.

use resilience_core::clock;
use resilience_core::flow::idempotency::{Completion, KeyRequest};
use resilience_stores::fingerprint;
use resilience_stores::postgres::{PostgresStore, PostgresTransaction};
use tower::BoxError;

use super::{BARE, BATCH, Effort, LARGE, ONCE, Row, Rows, SMALL, claim, common, payload};

const TABLE: &str =
    "DROP TABLE IF EXISTS bench; TRUNCATE flow_keys, flow_runs, flow_timeline, flow_leases;
    CREATE TABLE bench (id bigint PRIMARY KEY, payload text NOT NULL)";
const INSERT: &str = "INSERT INTO bench SELECT * FROM unnest($1::bigint[], $2::text[])";
/// Keys in their order, which fills a large table in time. Those that are claimed later fall
/// anywhere between.
const FILL: &str = "INSERT INTO flow_keys (key, fingerprint, token, claimed_until, expires_at, done_rows, result)
    SELECT lpad(to_hex(i * $3::bigint), 8, '0') || '-' || i, ''::bytea, i, 0, 4102444800000 + i, 1, ''
    FROM generate_series($1::bigint, $2::bigint) AS i";

pub(super) async fn measure(url: &str, effort: Effort) -> Result<Vec<Row>, BoxError> {
    let store = PostgresStore::open(url).await?;
    store.client().await?.batch_execute(TABLE).await?;
    let mut rows = Rows::new("PostgreSQL");
    for round in 0..effort.rounds {
        let began = clock::now();
        insert(&store, round * 2, None).await?;
        rows.add(BARE, began);
        let began = clock::now();
        insert(&store, round * 2 + 1, Some(format!("batch-{round}"))).await?;
        rows.add(ONCE, began);
        common(&store, &mut rows, round).await?;
    }
    fill(&store, 1, 10_000).await?;
    for round in 0..effort.rounds {
        claim(&store, &mut rows, SMALL, round).await?;
    }
    fill(&store, 10_001, effort.keys).await?;
    for round in 0..effort.rounds {
        claim(&store, &mut rows, LARGE, effort.rounds + round).await?;
    }
    Ok(rows.rows)
}

async fn insert(store: &PostgresStore, batch: u32, key: Option<String>) -> Result<(), BoxError> {
    let numbers = batch * BATCH..(batch + 1) * BATCH;
    let ids: Vec<i64> = numbers.clone().map(i64::from).collect();
    let payloads: Vec<String> = numbers.map(payload).collect();
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    let flow = PostgresTransaction::new(&tx);
    let claim = match key {
        Some(key) => {
            let request = KeyRequest::new(&key, fingerprint(key.as_bytes()));
            Some(flow.claim(&request).await?.map_err(|taken| format!("{taken:?}"))?)
        }
        None => None,
    };
    let insert = tx.prepare_cached(INSERT).await?;
    tx.execute(&insert, &[&ids, &payloads]).await?;
    if let Some(claim) = claim {
        flow.complete(&claim, &Completion::of(u64::from(BATCH), "")).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn fill(store: &PostgresStore, first: i64, last: u64) -> Result<(), BoxError> {
    let client = store.client().await?;
    let last = i64::try_from(last)?;
    let apart = i64::from(u32::MAX) / last;
    client.execute(FILL, &[&first, &last, &apart]).await?;
    client.batch_execute("ANALYZE flow_keys; CHECKPOINT").await?;
    Ok(())
}
