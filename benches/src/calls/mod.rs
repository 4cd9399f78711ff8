//! Real calls over loopback: the cost of a layer on calls that cross a network.
//!
//! The server and the client each have a thread with its own runtime. Every subject has its own
//! client and connections, and makes the same calls over 1, 64 and 512 connections. The subjects
//! take turns within each round, and a ratio compares two subjects in the same round. CPU time is
//! that of the client's thread.
//!
//! Some targets allow a difference of 3 %, but the p99 of one client varies by 10 % between rounds.
//! The two subjects of those targets therefore run [`LAPS`] laps in each round, and each ratio is
//! printed with a 95 % confidence interval of its median.
//!
//! **To add a subject**, add a line to [`subjects::all`].

mod document;
mod round;
mod server;
mod subjects;

use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tower::BoxError;

use crate::stats::{Spread, interval};
use crate::target::Target;
pub(crate) use document::{section, table};
use round::Round;
use server::Server;
use subjects::{BARE, OURS, Subject};

/// Pairs of a number of connections and the calls of one lap over them. A lap is short, so that
/// load from other processes outlasts a round and affects all subjects of that round.
const SIZES: [(usize, usize); 3] = [(1, 750), (64, 3_000), (512, 3_000)];

/// Laps in each round for the subjects that targets [compare](is_compared). All others run one lap.
const LAPS: usize = 8;

/// Name of this figure, as `--only` matches it.
pub(crate) const FIGURE: &str = "real calls";

/// Measurements of one subject over one number of connections.
#[derive(Debug)]
pub(crate) struct Row {
    subject: &'static str,
    lacks: &'static str,
    connections: usize,
    /// Measurements of each lap, in order.
    laps: Vec<Round>,
}

/// Measures every subject. Progress goes to standard error, on a line that the caller ends.
///
/// # Errors
/// Fails if a call fails, a configuration is invalid, or the server cannot start.
pub(crate) fn measure(quick: bool) -> Result<Vec<Row>, BoxError> {
    let (rounds, part) = if quick { (3, 10) } else { (61, 1) };
    let server = Server::start()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut rows = Vec::new();
    for (connections, calls) in SIZES {
        // Subjects are made anew for each size, because a client keeps its connections open until
        // it is dropped.
        let subjects = subjects::all(server.address, connections)?;
        rows.extend(rows_of(&runtime, &subjects, connections, calls / part, rounds)?);
    }
    Ok(rows)
}

fn is_compared(subject: &str) -> bool {
    [BARE, OURS].contains(&subject)
}

fn rows_of(
    runtime: &Runtime,
    subjects: &[Subject],
    connections: usize,
    calls: usize,
    rounds: usize,
) -> Result<Vec<Row>, BoxError> {
    let row = |subject: &Subject| {
        let (subject, lacks) = (subject.name, subject.lacks);
        Row { subject, lacks, connections, laps: Vec::with_capacity(rounds * LAPS) }
    };
    let mut rows: Vec<Row> = subjects.iter().map(row).collect();
    for subject in subjects {
        // Opens the connections, so that no measured lap includes a handshake.
        round::run(runtime, subject, connections, calls)?;
    }
    for round in 0..rounds {
        eprint!("\rreal calls over {connections} connections, round {} of {rounds} ", round + 1);
        for lap in 0..LAPS {
            let goes = |at: &usize| lap == 0 || is_compared(subjects[*at].name);
            let mut turns: Vec<usize> = (0..subjects.len()).filter(goes).collect();
            let first = (round + lap) % turns.len();
            turns.rotate_left(first);
            for at in turns {
                rows[at].laps.push(round::run(runtime, &subjects[at], connections, calls)?);
            }
        }
    }
    Ok(rows)
}

impl Row {
    fn spread(&self, of: fn(&Round) -> f64) -> Spread {
        Spread::of(&self.laps.iter().map(of).collect::<Vec<_>>())
    }

    fn median(&self, of: fn(&Round) -> f64) -> f64 {
        self.spread(of).median
    }

    /// Returns the ratios of this row to `other`, one for each lap that both ran. `other` must have
    /// at least as many laps.
    fn ratios(&self, other: &Row, of: fn(&Round) -> f64) -> Vec<f64> {
        let more = (other.laps.len() / self.laps.len()).max(1);
        let both = self.laps.iter().zip(other.laps.iter().step_by(more));
        both.map(|(this, that)| of(this) / of(that)).collect()
    }

    /// Returns the median of the [`ratios`](Row::ratios).
    fn ratio(&self, other: &Row, of: fn(&Round) -> f64) -> f64 {
        Spread::of(&self.ratios(other, of)).median
    }

    /// Returns the 95 % confidence interval of that median.
    fn within(&self, other: &Row, of: fn(&Round) -> f64) -> [f64; 2] {
        interval(&self.ratios(other, of))
    }

    fn figure(&self) -> String {
        match self.connections {
            1 => format!("{FIGURE}, 1 connection"),
            many => format!("{FIGURE}, {many} connections"),
        }
    }
}

/// Returns the bare client's row for the same number of connections.
fn bare<'a>(rows: &'a [Row], row: &Row) -> Option<&'a Row> {
    rows.iter().find(|bare| bare.subject == BARE && bare.connections == row.connections)
}

/// Returns rows with the fields of all other figures, and with fields that only real calls have.
pub(crate) fn json(rows: &[Row]) -> Vec<Value> {
    let json = |row: &Row| {
        let cpu = row.spread(|round| round.cpu_ns);
        let bare = bare(rows, row);
        json!({
            "figure": row.figure(),
            "subject": row.subject,
            "ours": row.subject.starts_with("ours"),
            "inner": "loopback",
            "threads": 1,
            "mode": "one thread",
            "ns": cpu.median,
            "spread": [cpu.low, cpu.high],
            "ratio_to_floor": bare.map(|bare| row.ratio(bare, |round| round.cpu_ns)),
            "per_second": row.median(|round| round.per_second),
            "p50_us": row.median(|round| round.p50_us),
            "p99_us": row.median(|round| round.p99_us),
            "p999_us": row.median(|round| round.p999_us),
            "throughput_to_bare": bare.map(|bare| row.ratio(bare, |round| round.per_second)),
            "throughput_to_bare_within": bare.map(|bare| row.within(bare, |round| round.per_second)),
            "p99_to_bare": bare.map(|bare| row.ratio(bare, |round| round.p99_us)),
            "p99_to_bare_within": bare.map(|bare| row.within(bare, |round| round.p99_us)),
            "lacks": row.lacks,
        })
    };
    rows.iter().map(json).collect()
}

/// Returns targets for the library's throughput and p99 against the bare client's, one pair for
/// each number of connections.
pub(crate) fn targets(rows: &[Row]) -> Vec<Target> {
    let ours = rows.iter().filter(|row| row.subject == OURS);
    let both = ours.filter_map(|row| Some((row, bare(rows, row)?)));
    both.flat_map(|(ours, bare)| {
        let [slower, later] = match ours.connections {
            1 => ["1 connection: throughput, bare / ours", "1 connection: p99, ours / bare"],
            64 => ["64 connections: throughput, bare / ours", "64 connections: p99, ours / bare"],
            _ => ["512 connections: throughput, bare / ours", "512 connections: p99, ours / bare"],
        };
        let throughput = bare.ratio(ours, |round| round.per_second);
        let p99 = ours.ratio(bare, |round| round.p99_us);
        [
            Target::timed(FIGURE, slower, 1.0 / 0.97, Some(throughput)),
            Target::timed(FIGURE, later, 1.03, Some(p99)),
        ]
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every subject's calls succeed, and every subject has a row.
    #[test]
    fn all_of_them_call() {
        let server = Server::start().unwrap();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let subjects = subjects::all(server.address, 4).unwrap();
        let rows = rows_of(&runtime, &subjects, 4, 16, 2).unwrap();
        assert_eq!(rows.len(), subjects.len());
        for row in &rows {
            let laps = if is_compared(row.subject) { LAPS } else { 1 };
            assert_eq!(row.laps.len(), 2 * laps, "{}", row.subject);
        }
        assert_eq!(json(&rows)[0]["figure"], "real calls, 4 connections");
        assert_eq!(targets(&rows).len(), 2);
        assert!(table(&rows).contains(OURS));
        assert!(section(&rows).contains("| **ours"));
    }
}
