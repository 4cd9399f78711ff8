//! Suite of checkpoints: a set of ended items, each recorded once and under the token of its run.

use super::ok;
use crate::flow::FencingToken;
use crate::flow::backfill::{CheckpointStore, ItemEnd, ItemState, JobRequest, Opened, Recorded};
use crate::flow::idempotency::Fingerprint;
use crate::flow::ledger::RunFailure;

const DEFINITION: Fingerprint = Fingerprint::new([1; 32]);
const MAX_RUNS: u32 = 3;

/// Proves a [`CheckpointStore`]. See the [module](super).
pub async fn checkpoints(store: &dyn CheckpointStore, prefix: &str) {
    jobs(store, &format!("{prefix}-jobs")).await;
    holes(store, &format!("{prefix}-holes")).await;
    first_end_stays(store, &format!("{prefix}-first")).await;
    failures(store, &format!("{prefix}-failures")).await;
    former_runs(store, &format!("{prefix}-former")).await;
    every_state(store, &format!("{prefix}-states")).await;
}

async fn open(store: &dyn CheckpointStore, job: &str, token: u64) -> Opened {
    let (job, fence) = (job.to_owned(), FencingToken::new(token));
    ok(store.open(JobRequest { job, definition: DEFINITION, fence })).await
}

async fn record(
    store: &dyn CheckpointStore,
    job: &str,
    token: u64,
    item: &str,
    end: ItemEnd,
) -> Recorded {
    let (job, fence) = (job.to_owned(), FencingToken::new(token));
    ok(store.record_item(job, fence, item.to_owned(), end, MAX_RUNS)).await
}

fn failed(class: RunFailure) -> ItemEnd {
    ItemEnd::Failed { class, why: "503 — 'gateway'".to_owned() }
}

async fn jobs(store: &dyn CheckpointStore, job: &str) {
    assert_eq!(open(store, job, 3).await, Opened::New);
    assert_eq!(open(store, job, 3).await, Opened::Resumed, "the response was lost");
    assert_eq!(open(store, job, 7).await, Opened::Resumed);
    assert_eq!(open(store, job, 3).await, Opened::Fenced(FencingToken::new(7)));
    let other = JobRequest {
        job: job.to_owned(),
        definition: Fingerprint::new([2; 32]),
        fence: FencingToken::new(9),
    };
    assert_eq!(ok(store.open(other)).await, Opened::OtherJob(DEFINITION));
    let done = ItemEnd::Done { rows: 1 };
    let recorded = record(store, job, 7, "a", done.clone()).await;
    assert!(matches!(recorded, Recorded::Recorded(_)), "the other job changed nothing");
    let none = format!("{job}-none");
    assert_eq!(record(store, &none, 9, "a", done).await, Recorded::NotFound);
    assert!(ok(store.items(none, String::new(), 10)).await.is_empty());
}

/// Items that were ended in any order leave holes, and are read back in pages.
async fn holes(store: &dyn CheckpointStore, job: &str) {
    assert_eq!(open(store, job, 1).await, Opened::New);
    for day in [9, 1, 5, 3, 7] {
        let end = ItemEnd::Done { rows: day };
        record(store, job, 1, &format!("2026-01-{day:02}"), end).await;
    }
    let (mut days, mut after) = (Vec::new(), String::new());
    loop {
        let page = ok(store.items(job.to_owned(), after.clone(), 2)).await;
        assert!(page.len() <= 2);
        let Some((last, _)) = page.last() else { break };
        after.clone_from(last);
        days.extend(page);
    }
    let expected =
        [1, 3, 5, 7, 9].map(|day| (format!("2026-01-{day:02}"), ItemState::Done { rows: day }));
    assert_eq!(days, expected);
}

async fn first_end_stays(store: &dyn CheckpointStore, job: &str) {
    assert_eq!(open(store, job, 1).await, Opened::New);
    let state = ItemState::Done { rows: 156 };
    let first = record(store, job, 1, "a", ItemEnd::Done { rows: 156 }).await;
    assert_eq!(first, Recorded::Recorded(state.clone()));
    let skipped = ItemEnd::Skipped { why: "no games".to_owned() };
    for end in [ItemEnd::Done { rows: 156 }, failed(RunFailure::Permanent), skipped] {
        let again = record(store, job, 1, "a", end).await;
        assert_eq!(again, Recorded::Settled(state.clone()));
    }
}

/// Failed runs are counted, each once, until the item is quarantined.
async fn failures(store: &dyn CheckpointStore, job: &str) {
    for (token, runs) in [(1, 1), (2, 2), (5, 3)] {
        open(store, job, token).await;
        // The response to the first was lost.
        for attempt in [1, 2] {
            let (class, why) = (RunFailure::Throttled, "503 — 'gateway'".to_owned());
            let state = if runs < MAX_RUNS {
                ItemState::Failed { runs, fence: FencingToken::new(token), class, why }
            } else {
                ItemState::Quarantined { runs, class, why }
            };
            let settled = runs == MAX_RUNS && attempt == 2;
            let expected =
                if settled { Recorded::Settled(state) } else { Recorded::Recorded(state) };
            let recorded = record(store, job, token, "a", failed(RunFailure::Throttled)).await;
            assert_eq!(recorded, expected, "run {runs}, attempt {attempt}");
        }
    }
    let permanent = record(store, job, 5, "b", failed(RunFailure::Permanent)).await;
    assert!(matches!(permanent, Recorded::Recorded(ItemState::Quarantined { runs: 1, .. })));
    record(store, job, 5, "c", failed(RunFailure::Unknown)).await;
    let loaded = record(store, job, 5, "c", ItemEnd::Done { rows: 9 }).await;
    assert_eq!(loaded, Recorded::Recorded(ItemState::Done { rows: 9 }), "a failure is not final");
}

async fn former_runs(store: &dyn CheckpointStore, job: &str) {
    open(store, job, 1).await;
    open(store, job, 2).await;
    let late = record(store, job, 1, "a", ItemEnd::Done { rows: 1 }).await;
    assert_eq!(late, Recorded::Fenced(FencingToken::new(2)));
    assert!(ok(store.items(job.to_owned(), String::new(), 10)).await.is_empty());
}

async fn every_state(store: &dyn CheckpointStore, job: &str) {
    open(store, job, 1).await;
    let classes = [
        RunFailure::Transient,
        RunFailure::TimedOut,
        RunFailure::Throttled,
        RunFailure::Permanent,
        RunFailure::Unknown,
    ];
    let mut ends = vec![
        ItemEnd::Done { rows: 0 },
        ItemEnd::Done { rows: i64::MAX as u64 },
        ItemEnd::Skipped { why: String::new() },
        ItemEnd::Skipped { why: "ü — \"no\" 'games'".to_owned() },
    ];
    ends.extend(classes.map(failed));
    for (number, end) in ends.into_iter().enumerate() {
        let item = format!("item-{number}");
        let Recorded::Recorded(state) = record(store, job, 1, &item, end.clone()).await else {
            unreachable!("the item is new")
        };
        assert_eq!(
            ItemState::after(None, &end, FencingToken::new(1), MAX_RUNS),
            Some(state.clone())
        );
        let before = format!("item-{}", number.wrapping_sub(1));
        let after = if number == 0 { String::new() } else { before };
        assert_eq!(ok(store.items(job.to_owned(), after, 1)).await, [(item, state)]);
    }
}
