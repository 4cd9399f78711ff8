//! A run, from its beginning to whatever was tried after its end.

use arbitrary::Arbitrary;

use crate::flow::FencingToken;
use crate::flow::ledger::{Finish, NewRun, RunColumns, RunFailure, RunRecord, RunState, Start};
use crate::model_input::{Rest, parse};
use crate::timestamp::Timestamp;

#[derive(Debug, Arbitrary)]
struct Input {
    fence: Option<u8>,
    columns: Columns,
    ops: Rest<Op>,
}

#[derive(Debug, Arbitrary)]
struct Columns {
    state: u8,
    rows: Option<i64>,
    expected: Option<i64>,
    quality: Option<i64>,
    until: Option<i64>,
    detail: Option<String>,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Op {
    Begin(Option<u8>),
    Finish(Option<u8>, u8),
}

fn token(drawn: Option<u8>) -> Option<FencingToken> {
    drawn.map(|drawn| FencingToken::new(u64::from(drawn % 8)))
}

fn state(drawn: u8) -> RunState {
    match drawn % 5 {
        0 => RunState::Done { rows: u64::from(drawn), expected: None, quality: 100 },
        1 => RunState::NotReady { until: Timestamp::from_millis(i64::from(drawn)) },
        2 => RunState::Skipped { why: drawn.to_string() },
        3 => RunState::Failed { class: RunFailure::Unknown },
        _ => RunState::Cancelled,
    }
}

/// The first end stays, a former holder ends nothing, and what was stored is read back or refused.
pub fn ledger(bytes: &[u8]) {
    let Some(input) = parse::<Input>(bytes) else { return };
    read_back(input.columns);
    let (mut fence, mut end) = (token(input.fence), None);
    let new = |fence| NewRun { id: "run".to_owned(), job: "job".to_owned(), fence };
    let mut run = RunRecord::begin(&new(fence), Timestamp::EPOCH);
    for (time, op) in input.ops.0.into_iter().enumerate() {
        match op {
            Op::Begin(drawn) => {
                let drawn = token(drawn);
                match run.begin_again(&new(drawn)) {
                    Start::Begun => unreachable!("it was begun before"),
                    Start::TakenOver => {
                        assert!(end.is_none() && drawn > fence);
                        fence = drawn;
                    }
                    Start::UnderWay(shown) => {
                        assert!(end.is_none() && drawn <= fence);
                        assert_eq!(shown, run);
                    }
                    Start::Ended(shown) => {
                        assert!(end.is_some());
                        assert_eq!(shown, run);
                    }
                }
            }
            Op::Finish(drawn, drawn_state) => {
                let (drawn, state) = (token(drawn), state(drawn_state));
                let former = drawn < fence;
                assert_eq!(
                    run.fenced(drawn),
                    fence.filter(|_| former),
                    "notes are fenced as ends are"
                );
                let now = Timestamp::from_millis(i64::try_from(time).unwrap_or(i64::MAX));
                match run.finish(state.clone(), drawn, now) {
                    Finish::Recorded => {
                        assert!(end.is_none() && drawn >= fence, "two ends, or a former holder's");
                        end = Some((state, now));
                    }
                    Finish::AlreadyEnded(first) => {
                        assert_eq!(Some(first), end.clone().map(|(state, _)| state));
                        assert!(drawn >= fence, "a former holder's");
                    }
                    Finish::Fenced(current) => {
                        assert!(drawn < fence && Some(current) == fence);
                    }
                    Finish::NotFound => unreachable!("it was begun"),
                }
            }
        }
        assert_eq!((&run.fence, &run.end), (&fence, &end));
    }
}

fn read_back(drawn: Columns) {
    let words = ["done", "not_ready", "skipped", "failed", "cancelled", "other"];
    let columns = RunColumns {
        state: words[usize::from(drawn.state) % words.len()].to_owned(),
        rows: drawn.rows,
        expected: drawn.expected,
        quality: drawn.quality,
        until: drawn.until,
        detail: drawn.detail,
    };
    if let Some(state) = RunState::from_columns(&columns) {
        assert_eq!(state.as_str(), columns.state);
        assert_eq!(RunState::from_columns(&state.to_columns()), Some(state));
    }
}
