//! Durable work: what a key, a run and a lease cost beside a bare insert into the same database.
//!
//! SQLite in a new file (WAL, `synchronous=FULL`), and PostgreSQL if `FLOW_POSTGRES_URL` names an
//! empty database. Rows have 150 bytes and are all new. Subjects take turns in each round, and
//! ratios are medians over rounds: most of the time is the disk's.

mod postgres;
mod sqlite;

use std::fmt::Write;
use std::time::{Duration, Instant};

use resilience_core::clock;
use resilience_core::flow::Fence;
use resilience_core::flow::idempotency::{IdempotencyStore, KeyRequest};
use resilience_core::flow::lease::{Acquisition, LeaseRequest, LeaseStore};
use resilience_core::flow::ledger::{LedgerStore, NewRun, RunState};
use resilience_stores::fingerprint;
use serde_json::{Value, json};
use tower::BoxError;

use crate::stats::Spread;
use crate::target::Target;

/// The name of the figure.
pub(crate) const FIGURE: &str = "flow";

/// The rows of a batch.
const BATCH: u32 = 1_000;
/// The environment variable that names a database in PostgreSQL.
const POSTGRES: &str = "FLOW_POSTGRES_URL";

const BARE: &str = "insert of 1,000 rows";
const ONCE: &str = "insert of 1,000 rows under a key";
const SMALL: &str = "claim among 10^4 keys";
const LARGE: &str = "claim among many keys";

/// The microseconds that a subject took in each round.
#[derive(Debug)]
pub(crate) struct Row {
    engine: &'static str,
    subject: &'static str,
    micros: Vec<f64>,
}

/// Measures every subject.
///
/// # Errors
/// If a store cannot be used.
pub(crate) fn measure(quick: bool) -> Result<Vec<Row>, BoxError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let effort = if quick {
        Effort { rounds: 15, keys: 100_000 }
    } else {
        Effort { rounds: 61, keys: 10_000_000 }
    };
    runtime.block_on(async {
        let mut rows = sqlite::measure(effort).await?;
        match std::env::var(POSTGRES) {
            Ok(url) => rows.extend(postgres::measure(&url, effort).await?),
            Err(_) => eprintln!("skipped: flow on PostgreSQL, {POSTGRES} is not set"),
        }
        Ok(rows)
    })
}

#[derive(Debug, Clone, Copy)]
struct Effort {
    rounds: u32,
    /// The keys of the large table.
    keys: u64,
}

/// The subjects of one engine.
struct Rows {
    engine: &'static str,
    rows: Vec<Row>,
}

impl Rows {
    const fn new(engine: &'static str) -> Rows {
        Rows { engine, rows: Vec::new() }
    }

    fn add(&mut self, subject: &'static str, began: Instant) {
        let micros = clock::now().saturating_duration_since(began).as_secs_f64() * 1e6;
        match self.rows.iter_mut().find(|row| row.subject == subject) {
            Some(row) => row.micros.push(micros),
            None => self.rows.push(Row { engine: self.engine, subject, micros: vec![micros] }),
        }
    }
}

/// The row of this number: a key, and 150 bytes.
fn payload(number: u32) -> String {
    format!("{number:0>150}")
}

/// Measures what is the same on every engine.
async fn common<S>(store: &S, rows: &mut Rows, round: u32) -> Result<(), BoxError>
where
    S: LeaseStore + LedgerStore,
{
    let began = clock::now();
    let id = format!("run-{round}");
    store.begin(NewRun::new(&id, "bench")).await?;
    let done = RunState::Done { rows: 1, expected: None, quality: 100 };
    store.finish(id, None, Vec::new(), done).await?;
    rows.add("run: start and end", began);

    let name = format!("lease-{round}");
    let term = Duration::from_secs(60);
    let Acquisition::Acquired(token) =
        store.try_acquire(LeaseRequest::new(&name, "bench", term)).await?
    else {
        return Err("the lease is held".into());
    };
    let fence = Fence::new(name, token);
    let began = clock::now();
    store.renew(fence, term).await?;
    rows.add("lease: renewal", began);
    Ok(())
}

/// Measures one claim of a new key.
async fn claim(
    store: &dyn IdempotencyStore,
    rows: &mut Rows,
    subject: &'static str,
    round: u32,
) -> Result<(), BoxError> {
    let key = format!("{:08x}-new-{round}", round.wrapping_mul(0x9E37_79B9));
    let request = KeyRequest::new(&key, fingerprint(key.as_bytes()));
    let began = clock::now();
    store.claim(request).await?.map_err(|taken| format!("{taken:?}"))?;
    rows.add(subject, began);
    Ok(())
}

fn ratio(rows: &[Row], engine: &str, of: &str, to: &str) -> Option<f64> {
    let find = |name| rows.iter().find(|row| row.engine == engine && row.subject == name);
    let (of, to) = (find(of)?, find(to)?);
    let ratios: Vec<f64> = of.micros.iter().zip(&to.micros).map(|(of, to)| of / to).collect();
    Some(Spread::of(&ratios).median)
}

/// Targets.
pub(crate) fn targets(rows: &[Row]) -> Vec<Target> {
    let mut targets = Vec::new();
    for (engine, insert, claim) in [
        (
            "SQLite",
            "SQLite: insert under a key / bare insert",
            "SQLite: claim among many keys / among 10^4",
        ),
        (
            "PostgreSQL",
            "PostgreSQL: insert under a key / bare insert",
            "PostgreSQL: claim among many keys / among 10^4",
        ),
    ] {
        if rows.iter().any(|row| row.engine == engine) {
            targets.push(Target::timed(FIGURE, insert, 1.3, ratio(rows, engine, ONCE, BARE)));
            targets.push(Target::timed(FIGURE, claim, 2.0, ratio(rows, engine, LARGE, SMALL)));
        }
    }
    targets
}

/// For a terminal.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut out = String::new();
    if !rows.is_empty() {
        let _ =
            writeln!(out, "\n{FIGURE}\n  {:<50}{:>10}{:>10}{:>10}", "", "10 % us", "us", "90 % us");
    }
    for row in rows {
        let Spread { low, median, high, .. } = Spread::of(&row.micros);
        let name = format!("{}: {}", row.engine, row.subject);
        let _ = writeln!(out, "  {name:<50}{low:>10.0}{median:>10.0}{high:>10.0}");
    }
    out
}

/// Rows for the report.
pub(crate) fn json(rows: &[Row]) -> Vec<Value> {
    let row = |row: &Row| {
        let spread = Spread::of(&row.micros);
        json!({ "figure": FIGURE, "engine": row.engine, "subject": row.subject, "us": spread.median })
    };
    rows.iter().map(row).collect()
}
