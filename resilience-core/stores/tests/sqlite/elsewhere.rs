//! Effects that are made elsewhere than in the store, by processes that are killed.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use resilience_core::flow::StoreError;
use resilience_core::flow::idempotency::{Claim, Completion, Idempotency, KeyRequest, Once, Taken};
use resilience_core::flow::ledger::{Began, EntryKind, LedgerStore, NewRun, RunLedger, RunState};
use resilience_stores::fingerprint;
use resilience_stores::sqlite::SqliteStore;

use crate::folder;
use crate::support::{ORDERS, Worker, say};

const MESSAGES: usize = 60;

/// Writes one line of the effects, which a kill leaves whole or does not begin.
fn note(file: &Path, message: &str, claim: &Claim, what: &str) {
    let mut file = OpenOptions::new().append(true).create(true).open(file).unwrap();
    file.write_all(format!("{message} {} {what}\n", claim.token).as_bytes()).unwrap();
}

/// The body of a child with orders of this module. Returns `false` without them.
pub(crate) async fn child() -> bool {
    let Ok(orders) = std::env::var(ORDERS) else { return false };
    let Some(rest) = orders.strip_prefix("elsewhere ") else { return false };
    let (from, path) = rest.split_once(' ').unwrap();
    let store = Arc::new(SqliteStore::open(path).await.unwrap());
    let (keys, ledger) = (Idempotency::new(store.clone()), RunLedger::new(store));
    let effects = Path::new(path).with_file_name("effects");
    for number in from.parse().unwrap()..MESSAGES {
        deliver(&keys, &ledger, &effects, &format!("message-{number}")).await;
        say(number);
    }
    say("end");
    true
}

async fn deliver(keys: &Idempotency, ledger: &RunLedger, effects: &Path, message: &str) {
    loop {
        let request = KeyRequest::new(message, fingerprint(message.as_bytes()));
        let once = keys.once(request.claim_for(Duration::from_secs(1)), async |claim| {
            let new = NewRun::new(message, "effect").with_fence(claim.token);
            if let Began::Run(run) = ledger.begin(new).await? {
                note(effects, message, &claim, "begin");
                tokio::time::sleep(Duration::from_millis(5)).await;
                note(effects, message, &claim, "end");
                run.finish(RunState::Done { rows: 1, expected: None, quality: 100 }).await?;
            }
            Ok::<_, StoreError>(Completion::of(1, ""))
        });
        match once.await.unwrap() {
            Once::Completed(_) | Once::Taken(Taken::Done { .. }) => return,
            Once::Taken(Taken::InProgress { remaining }) => tokio::time::sleep(remaining).await,
            Once::Lost(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn effects_elsewhere_are_never_two_at_once_and_repeated_at_most_once_for_each_kill() {
    let (_folder, path) = folder();
    let store = SqliteStore::open(&path).await.unwrap();
    let mut workers = tokio::task::JoinSet::new();
    // Every process is given every message.
    for number in 0..4 {
        let url = path.to_str().unwrap().to_owned();
        workers.spawn_blocking(move || {
            let (mut from, mut kills) = (0, 0);
            loop {
                let worker = Worker::spawn(&url, &format!("elsewhere {from}"));
                let until = from + 5 + number;
                loop {
                    let line = worker.line();
                    if line == "end" {
                        worker.wait();
                        return kills;
                    }
                    from = line.parse::<usize>().unwrap() + 1;
                    if from >= until && from < MESSAGES && kills < 3 {
                        break;
                    }
                }
                // Half a moment into the next message.
                std::thread::park_timeout(Duration::from_millis(3));
                worker.kill();
                kills += 1;
            }
        });
    }
    let kills: usize = workers.join_all().await.into_iter().sum();
    assert_eq!(kills, 12);
    let effects = std::fs::read_to_string(path.with_file_name("effects")).unwrap();
    let mut lines: BTreeMap<&str, Vec<(u64, &str)>> = BTreeMap::new();
    for line in effects.lines() {
        let [message, token, what] = *line.split(' ').collect::<Vec<_>>() else { panic!("{line}") };
        lines.entry(message).or_default().push((token.parse().unwrap(), what));
    }
    assert_eq!(lines.len(), MESSAGES);
    let mut repeated = 0;
    for (message, lines) in lines {
        // Sorted by token and never mixed: each claim ends its work before the next begins.
        assert!(lines.is_sorted_by_key(|line| line.0), "{message}: {lines:?}");
        let begun = lines.iter().filter(|(_, what)| *what == "begin").count();
        repeated += begun - 1;
        let timeline = store.timeline(message.to_owned(), 0, 100).await.unwrap();
        let count = |kind| timeline.iter().filter(|entry| entry.note.kind == kind).count();
        let shown = count(EntryKind::Begun) + count(EntryKind::TakenOver);
        assert!(shown >= begun, "{message}: {begun} effects, {shown} in the ledger");
        assert_eq!(count(EntryKind::Ended), 1, "{message}");
    }
    assert!(repeated <= kills, "{repeated} repetitions, {kills} kills");
}
