//! Effects that are made elsewhere than in the store, by processes that are killed.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use resilience_core::flow::StoreError;
use resilience_core::flow::idempotency::{Claim, Completion, Idempotency, KeyRequest, Once, Taken};
use resilience_core::flow::ledger::{Began, EntryKind, NewRun, RunLedger, RunState};
use resilience_stores::fingerprint;

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
    let (from, rest) = rest.split_once(' ').unwrap();
    let (effects, url) = rest.split_once(' ').unwrap();
    let stores = resilience_stores::open(url).await.unwrap();
    let (keys, ledger) = (Idempotency::new(stores.keys), stores.ledger.map(RunLedger::new));
    for number in from.parse().unwrap()..MESSAGES {
        let message = format!("message-{number}");
        deliver(&keys, ledger.as_ref(), Path::new(effects), &message).await;
        say(number);
    }
    say("end");
    true
}

/// Makes the effect, under a run of its own where there is a ledger.
async fn work(
    ledger: Option<&RunLedger>,
    effects: &Path,
    message: &str,
    claim: &Claim,
) -> Result<(), StoreError> {
    let run = match ledger {
        Some(ledger) => {
            let new = NewRun::new(message, "effect").with_fence(claim.token);
            let Began::Run(run) = ledger.begin(new).await? else { return Ok(()) };
            Some(run)
        }
        None => None,
    };
    note(effects, message, claim, "begin");
    tokio::time::sleep(Duration::from_millis(5)).await;
    note(effects, message, claim, "end");
    if let Some(run) = run {
        run.finish(RunState::Done { rows: 1, expected: None, quality: 100 }).await?;
    }
    Ok(())
}

async fn deliver(keys: &Idempotency, ledger: Option<&RunLedger>, effects: &Path, message: &str) {
    loop {
        let request = KeyRequest::new(message, fingerprint(message.as_bytes()));
        let once = keys.once(request.claim_for(Duration::from_secs(1)), async |claim| {
            work(ledger, effects, message, &claim).await?;
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

/// Effects are never two at once, and repeated at most once for each kill, which the ledger shows
/// where there is one.
pub(crate) async fn at_most_one_repetition_for_each_kill(url: &str) {
    let folder = tempfile::tempdir().unwrap();
    let effects = folder.path().join("effects");
    let stores = resilience_stores::open(url).await.unwrap();
    let mut workers = tokio::task::JoinSet::new();
    // Every process is given every message.
    for number in 0..4 {
        let (url, effects) = (url.to_owned(), effects.display().to_string());
        workers.spawn_blocking(move || {
            let (mut from, mut kills) = (0, 0);
            loop {
                let worker = Worker::spawn(&url, &format!("elsewhere {from} {effects}"));
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
    let effects = std::fs::read_to_string(effects).unwrap();
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
        let Some(ledger) = &stores.ledger else { continue };
        let timeline = ledger.timeline(message.to_owned(), 0, 100).await.unwrap();
        let count = |kind| timeline.iter().filter(|entry| entry.note.kind == kind).count();
        let shown = count(EntryKind::Begun) + count(EntryKind::TakenOver);
        assert!(shown >= begun, "{message}: {begun} effects, {shown} in the ledger");
        assert_eq!(count(EntryKind::Ended), 1, "{message}");
    }
    assert!(repeated <= kills, "{repeated} repetitions, {kills} kills");
}
