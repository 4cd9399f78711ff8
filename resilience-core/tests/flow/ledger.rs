//! Runs: one end each, whatever becomes of the process and of the store.

use std::sync::Arc;
use std::time::Duration;

use resilience_core::flow::ledger::{
    Began, EntryKind, Finish, LedgerStore, NewRun, Note, Noted, Override, Run, RunLedger, RunState,
};
use resilience_core::flow::{FencingToken, StoreErrorKind};
use resilience_core::testing::MemoryStore;
use tokio::time::sleep;

async fn begin(store: &MemoryStore, new: NewRun) -> Run {
    match RunLedger::new(Arc::new(store.clone())).begin(new).await.unwrap() {
        Began::Run(run) => run,
        other => panic!("{other:?}"),
    }
}

async fn end(store: &MemoryStore, id: &str) -> Option<RunState> {
    store.run(id.to_owned()).await.unwrap().and_then(|run| run.end).map(|(state, _)| state)
}

fn done() -> RunState {
    RunState::Done { rows: 156, expected: Some(156), quality: 100 }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_dropped_is_cancelled_with_its_notes() {
    let store = MemoryStore::new();
    let mut run = begin(&store, NewRun::new("a", "job")).await;
    run.note_at_end(Note::attempt("load", "503"));
    drop(run);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(end(&store, "a").await, Some(RunState::Cancelled));
    let timeline = store.timeline("a".to_owned(), 0, 10).await.unwrap();
    let kinds: Vec<_> = timeline.iter().map(|entry| entry.note.kind).collect();
    assert_eq!(kinds, [EntryKind::Begun, EntryKind::Attempt, EntryKind::Ended]);
}

#[tokio::test(start_paused = true)]
async fn an_end_is_recorded_once_the_store_is_back() {
    let store = MemoryStore::new();
    let run = begin(&store, NewRun::new("a", "job")).await;
    store.set_unreachable(true);
    let back = store.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(20)).await;
        back.set_unreachable(false);
    });
    assert_eq!(run.finish(done()).await.unwrap(), Finish::Recorded);
    assert_eq!(end(&store, "a").await, Some(done()));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_is_named_and_the_run_is_not_lost() {
    let store = MemoryStore::new();
    let run = begin(&store, NewRun::new("a", "job").with_fence(FencingToken::new(1))).await;
    store.set_unreachable(true);
    let error = run.finish(done()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    sleep(Duration::from_secs(60)).await;
    store.set_unreachable(false);
    assert_eq!(end(&store, "a").await, None, "a run without an end shows in `unfinished`");
    let open = store.unfinished(store.now(), 10).await.unwrap();
    assert_eq!(open.len(), 1);
    // The successor takes it over.
    let run = begin(&store, NewRun::new("a", "job").with_fence(FencingToken::new(2))).await;
    assert_eq!(run.finish(done()).await.unwrap(), Finish::Recorded);
}

#[tokio::test(start_paused = true)]
async fn a_former_holder_ends_nothing() {
    let store = MemoryStore::new();
    let new = |token| NewRun::new("a", "job").with_fence(FencingToken::new(token));
    let former = begin(&store, new(1)).await;
    let current = begin(&store, new(2)).await;
    let late = former.finish(RunState::Cancelled).await.unwrap();
    assert_eq!(late, Finish::Fenced(FencingToken::new(2)));
    assert_eq!(current.finish(done()).await.unwrap(), Finish::Recorded);
    assert_eq!(end(&store, "a").await, Some(done()));
}

#[tokio::test(start_paused = true)]
async fn texts_are_bounded_and_names_are_checked() {
    let store = MemoryStore::new();
    let ledger = RunLedger::new(Arc::new(store.clone()));
    for id in [String::new(), "r".repeat(513)] {
        let error = ledger.begin(NewRun::new(id, "job")).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::InvalidInput);
    }
    let long = "ü\0".repeat(10_000);
    let note = Note::decision(long.as_str(), long.as_str());
    assert!(note.what.len() <= 4_096 && note.evidence.len() > 4_000);
    assert!(!note.what.contains('\0'));
    for (by, reason) in [("", "reason"), ("ana", ""), ("ana", "  ")] {
        let refused = Override::new(RunState::Cancelled, by, reason).unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::InvalidInput);
    }
    let run = begin(&store, NewRun::new("a", "job")).await;
    let skipped = RunState::Skipped { why: long };
    assert_eq!(run.finish(skipped).await.unwrap(), Finish::Recorded);
}

#[tokio::test(start_paused = true)]
async fn a_timeline_is_bounded_and_an_end_always_fits() {
    let store = MemoryStore::new();
    let mut run = begin(&store, NewRun::new("a", "job")).await;
    let many = vec![Note::attempt("a", "b"); 9_999];
    assert_eq!(store.note("a".to_owned(), None, many).await.unwrap(), Noted::Recorded);
    let error = run.note_now(Note::attempt("a", "b")).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::InvalidInput);
    run.note_at_end(Note::attempt("one", "too many"));
    assert_eq!(run.finish(done()).await.unwrap(), Finish::Recorded);
    assert_eq!(end(&store, "a").await, Some(done()));
}

#[tokio::test(start_paused = true)]
async fn an_end_that_was_not_recorded_in_time_is_not_replaced_by_another() {
    let store = MemoryStore::new();
    let run = begin(&store, NewRun::new("a", "job")).await;
    store.set_unreachable(true);
    assert!(run.finish(done()).await.is_err());
    sleep(Duration::from_secs(15)).await;
    store.set_unreachable(false);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(end(&store, "a").await, Some(done()));
}

#[tokio::test(start_paused = true)]
async fn a_former_holder_records_nothing_that_its_successor_has_recorded() {
    let store = MemoryStore::new();
    let new = |token| NewRun::new("a", "job").with_fence(FencingToken::new(token));
    let former = begin(&store, new(1)).await;
    let current = begin(&store, new(2)).await;
    assert_eq!(current.finish(done()).await.unwrap(), Finish::Recorded);
    assert_eq!(former.finish(done()).await.unwrap(), Finish::Fenced(FencingToken::new(2)));
}

#[tokio::test(start_paused = true)]
async fn a_beginning_whose_response_was_lost_is_the_callers_own() {
    let store = MemoryStore::new();
    let ledger = RunLedger::new(Arc::new(store.clone()));
    let new = NewRun::new("a", "job").with_fence(FencingToken::new(7));
    store.lose_responses(2);
    let Began::Run(run) = ledger.begin(new.clone()).await.unwrap() else {
        panic!("orphaned until its lease ends")
    };
    // Every attempt was heard: the run is under way elsewhere in this process.
    let again = ledger.begin(new).await.unwrap();
    assert!(matches!(again, Began::UnderWay(_)), "{again:?}");
    assert_eq!(run.finish(done()).await.unwrap(), Finish::Recorded);
}

#[tokio::test(start_paused = true)]
async fn a_lost_response_makes_no_other_run_the_callers() {
    let token = |number| Some(FencingToken::new(number));
    // Without a token, under a greater one, and after an attempt that certainly had no effect.
    for (own, other, unsure) in
        [(None, None, true), (token(3), token(7), true), (token(7), token(7), false)]
    {
        let store = MemoryStore::new();
        let ledger = RunLedger::new(Arc::new(store.clone()));
        let new = |fence| NewRun { id: "a".to_owned(), job: "job".to_owned(), fence };
        let _other = begin(&store, new(other)).await;
        if unsure {
            store.lose_responses(1);
        } else {
            store.set_unreachable(true);
            let back = store.clone();
            tokio::spawn(async move {
                sleep(Duration::from_millis(10)).await;
                back.set_unreachable(false);
            });
        }
        let began = ledger.begin(new(own)).await.unwrap();
        assert!(matches!(began, Began::UnderWay(_)), "{own:?} {began:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_former_holder_notes_nothing() {
    let store = MemoryStore::new();
    let new = |token| NewRun::new("a", "job").with_fence(FencingToken::new(token));
    let mut former = begin(&store, new(1)).await;
    let note = || Note::decision("load", "156 rows");
    assert_eq!(former.note_now(note()).await.unwrap(), Noted::Recorded);
    let mut current = begin(&store, new(2)).await;
    assert_eq!(former.note_now(note()).await.unwrap(), Noted::Fenced(FencingToken::new(2)));
    assert_eq!(current.note_now(note()).await.unwrap(), Noted::Recorded);
    let timeline = store.timeline("a".to_owned(), 0, 10).await.unwrap();
    let kinds: Vec<_> = timeline.iter().map(|entry| entry.note.kind.as_str()).collect();
    assert_eq!(kinds, ["begun", "decision", "taken_over", "decision"]);
}
