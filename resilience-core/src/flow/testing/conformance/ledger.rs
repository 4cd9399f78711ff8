//! Suite of runs: each has one end, and a timeline.

use super::ok;
use crate::flow::ledger::{
    EntryKind, Finish, LedgerStore, NewRun, Note, Noted, Override, RunFailure, RunState, Start,
};
use crate::flow::{FencingToken, StoreErrorKind};
use crate::timestamp::Timestamp;

/// Proves a [`LedgerStore`]. See the [module](super).
pub async fn ledger(store: &dyn LedgerStore, prefix: &str) {
    one_end(store, &format!("{prefix}-one")).await;
    every_state(store, &format!("{prefix}-states")).await;
    takeover(store, &format!("{prefix}-takeover")).await;
    overrides(store, &format!("{prefix}-override")).await;
    timelines(store, &format!("{prefix}-timeline")).await;
    full(store, &format!("{prefix}-full")).await;
    unfinished(store, &format!("{prefix}-open")).await;
    unknown(store, &format!("{prefix}-unknown")).await;
}

fn run(id: &str) -> NewRun {
    NewRun::new(id, "job")
}

fn done(rows: u64) -> RunState {
    RunState::Done { rows, expected: Some(156), quality: 100 }
}

async fn finish(store: &dyn LedgerStore, id: &str, state: RunState) -> Finish {
    ok(store.finish(id.to_owned(), None, Vec::new(), state)).await
}

async fn kinds(store: &dyn LedgerStore, id: &str) -> Vec<EntryKind> {
    let timeline = ok(store.timeline(id.to_owned(), 0, 100)).await;
    timeline.into_iter().map(|entry| entry.note.kind).collect()
}

async fn one_end(store: &dyn LedgerStore, id: &str) {
    assert_eq!(ok(store.begin(run(id))).await, Start::Begun);
    let again = ok(store.begin(run(id))).await;
    assert!(matches!(again, Start::UnderWay(_)), "{again:?}");
    assert_eq!(finish(store, id, done(156)).await, Finish::Recorded);
    for state in [done(156), RunState::Cancelled] {
        assert_eq!(finish(store, id, state).await, Finish::AlreadyEnded(done(156)));
    }
    let again = ok(store.begin(run(id).with_fence(FencingToken::new(9)))).await;
    assert!(matches!(again, Start::Ended(_)), "{again:?}");
    let end = ok(store.run(id.to_owned())).await.and_then(|run| run.end);
    assert_eq!(end.map(|(state, _)| state), Some(done(156)), "the first end stays");
    let refused = EntryKind::EndRefused;
    let expected = [EntryKind::Begun, EntryKind::Ended, refused, refused];
    assert_eq!(kinds(store, id).await, expected);
}

async fn every_state(store: &dyn LedgerStore, prefix: &str) {
    let mut states = vec![
        done(0),
        RunState::Done { rows: i64::MAX as u64, expected: None, quality: 0 },
        RunState::NotReady { until: Timestamp::from_millis(1_768_780_800_123) },
        RunState::Skipped { why: "no games — 'none'; \"--\"".to_owned() },
        RunState::Skipped { why: String::new() },
        RunState::Cancelled,
    ];
    let classes = [
        RunFailure::Transient,
        RunFailure::TimedOut,
        RunFailure::Throttled,
        RunFailure::Permanent,
        RunFailure::Unknown,
    ];
    states.extend(classes.map(|class| RunState::Failed { class }));
    for (number, state) in states.into_iter().enumerate() {
        let id = format!("{prefix}-{number}");
        assert_eq!(ok(store.begin(run(&id))).await, Start::Begun);
        assert_eq!(finish(store, &id, state.clone()).await, Finish::Recorded);
        let read = ok(store.run(id)).await.and_then(|run| run.end);
        assert_eq!(read.map(|(state, _)| state), Some(state));
    }
}

async fn takeover(store: &dyn LedgerStore, id: &str) {
    let fenced = |token| run(id).with_fence(FencingToken::new(token));
    assert_eq!(ok(store.begin(fenced(3))).await, Start::Begun);
    for token in [2, 3] {
        let start = ok(store.begin(fenced(token))).await;
        assert!(matches!(start, Start::UnderWay(_)), "{start:?}");
    }
    assert_eq!(ok(store.begin(fenced(7))).await, Start::TakenOver);
    for fence in [None, Some(FencingToken::new(3))] {
        let late = ok(store.finish(id.to_owned(), fence, Vec::new(), done(1))).await;
        assert_eq!(late, Finish::Fenced(FencingToken::new(7)));
    }
    for fence in [None, Some(FencingToken::new(3))] {
        let late = ok(store.note(id.to_owned(), fence, vec![Note::attempt("late", "")])).await;
        assert_eq!(late, Noted::Fenced(FencingToken::new(7)), "a former holder's note");
    }
    let own = Some(FencingToken::new(7));
    let noted = ok(store.note(id.to_owned(), own, vec![Note::attempt("load", "")])).await;
    assert_eq!(noted, Noted::Recorded);
    let finish = ok(store.finish(id.to_owned(), own, Vec::new(), done(156))).await;
    assert_eq!(finish, Finish::Recorded);
    let (refused, attempt) = (EntryKind::EndRefused, EntryKind::Attempt);
    let expected =
        [EntryKind::Begun, EntryKind::TakenOver, refused, refused, attempt, EntryKind::Ended];
    assert_eq!(kinds(store, id).await, expected);
}

async fn overrides(store: &dyn LedgerStore, id: &str) {
    ok(store.begin(run(id))).await;
    let failed = RunState::Failed { class: RunFailure::Permanent };
    assert_eq!(finish(store, id, failed.clone()).await, Finish::Recorded);
    for (by, reason) in [("ana", "known gap"), ("ben", "odds never came")] {
        let Ok(overridden) = Override::new(done(1), by, reason) else { unreachable!() };
        assert!(ok(store.override_run(id.to_owned(), overridden)).await);
    }
    let Some(read) = ok(store.run(id.to_owned())).await else { unreachable!("it was begun") };
    assert_eq!(read.end.as_ref().map(|(state, _)| state), Some(&failed), "the end stays");
    assert_eq!(read.effective(), Some(&done(1)));
    let last = read.overridden.map(|overridden| (overridden.by, overridden.reason));
    assert_eq!(last, Some(("ben".to_owned(), "odds never came".to_owned())));
    let timeline = ok(store.timeline(id.to_owned(), 0, 100)).await;
    let evidence: Vec<_> = timeline.iter().map(|entry| entry.note.evidence.as_str()).collect();
    assert_eq!(evidence[2..], ["ana: known gap", "ben: odds never came"]);
}

async fn timelines(store: &dyn LedgerStore, id: &str) {
    ok(store.begin(run(id))).await;
    let notes = (0..5).map(|n| Note::attempt(format!("attempt {n}"), "503")).collect();
    assert_eq!(ok(store.note(id.to_owned(), None, notes)).await, Noted::Recorded);
    let kept = vec![Note::decision("degrade", "80 of 156")];
    let end = RunState::Cancelled;
    assert_eq!(ok(store.finish(id.to_owned(), None, kept, end)).await, Finish::Recorded);
    let all = ok(store.timeline(id.to_owned(), 0, 100)).await;
    let numbers: Vec<_> = all.iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, (1..=8).collect::<Vec<_>>(), "entries are numbered without a hole");
    assert_eq!(all[3].note, Note::attempt("attempt 2", "503"));
    assert_eq!(all[6].note, Note::decision("degrade", "80 of 156"));
    assert!(all.windows(2).all(|pair| pair[0].at <= pair[1].at));
    let page = ok(store.timeline(id.to_owned(), 2, 3)).await;
    assert_eq!(page, all[2..5], "a page begins after its number");
}

/// A full timeline rejects notes and takes overrides and the end.
async fn full(store: &dyn LedgerStore, id: &str) {
    let first = Some(FencingToken::new(1));
    ok(store.begin(run(id).with_fence(FencingToken::new(1)))).await;
    let note = || Note::attempt("attempt", "503");
    let many = vec![note(); 9_899];
    assert_eq!(ok(store.note(id.to_owned(), first, many)).await, Noted::Recorded);
    match store.note(id.to_owned(), first, vec![note()]).await {
        Err(error) => assert_eq!(error.kind(), StoreErrorKind::InvalidInput, "{error}"),
        Ok(_) => unreachable!("the timeline is full"),
    }
    let Ok(overridden) = Override::new(done(1), "ana", "known gap") else { unreachable!() };
    for _ in 0..99 {
        assert!(ok(store.override_run(id.to_owned(), overridden.clone())).await);
    }
    match store.override_run(id.to_owned(), overridden).await {
        Err(error) => assert_eq!(error.kind(), StoreErrorKind::InvalidInput, "{error}"),
        Ok(_) => unreachable!("only the end still fits"),
    }
    let own = FencingToken::new(2);
    assert_eq!(ok(store.begin(run(id).with_fence(own))).await, Start::TakenOver);
    let late = ok(store.finish(id.to_owned(), None, Vec::new(), done(0))).await;
    assert_eq!(late, Finish::Fenced(own));
    let finish = ok(store.finish(id.to_owned(), Some(own), vec![note()], done(156))).await;
    assert_eq!(finish, Finish::Recorded);
    let timeline = ok(store.timeline(id.to_owned(), 9_898, 1_000)).await;
    let kinds: Vec<_> = timeline.iter().map(|entry| entry.note.kind).collect();
    assert_eq!(kinds.len(), 102, "entries 9,899 to 10,000");
    assert_eq!(kinds[..2], [EntryKind::Attempt; 2]);
    assert!(kinds[2..101].iter().all(|&kind| kind == EntryKind::Override));
    let last = timeline.last().map(|entry| (entry.number, entry.note.kind));
    assert_eq!(last, Some((10_000, EntryKind::Ended)));
    let evidence = timeline.last().map(|entry| entry.note.evidence.as_str());
    assert_eq!(evidence, Some("the timeline is full: 1 notes were left out"));
}

async fn unfinished(store: &dyn LedgerStore, prefix: &str) {
    let (open, ended) = (format!("{prefix}-open"), format!("{prefix}-ended"));
    ok(store.begin(run(&open))).await;
    ok(store.begin(run(&ended))).await;
    finish(store, &ended, RunState::Cancelled).await;
    let last = Timestamp::from_millis(i64::MAX);
    let runs = ok(store.unfinished(last, 10_000)).await;
    assert!(runs.iter().any(|run| run.id == open));
    assert!(runs.iter().all(|run| run.id != ended && run.end.is_none()));
    assert!(runs.windows(2).all(|pair| pair[0].started_at <= pair[1].started_at));
    assert_eq!(ok(store.unfinished(last, 1)).await.len(), 1);
    assert!(ok(store.unfinished(Timestamp::EPOCH, 10)).await.is_empty());
}

async fn unknown(store: &dyn LedgerStore, id: &str) {
    assert_eq!(finish(store, id, RunState::Cancelled).await, Finish::NotFound);
    let notes = vec![Note::attempt("a", "b")];
    assert_eq!(ok(store.note(id.to_owned(), None, notes)).await, Noted::NotFound);
    assert_eq!(ok(store.run(id.to_owned())).await, None);
    assert!(ok(store.timeline(id.to_owned(), 0, 10)).await.is_empty());
    let Ok(overridden) = Override::new(RunState::Cancelled, "ana", "test") else { unreachable!() };
    assert!(!ok(store.override_run(id.to_owned(), overridden)).await);
}
