//! The clock of the server's machine is stepped by an hour while holders and contenders are at
//! work.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use resilience_core::clock;
use resilience_core::flow::idempotency::{
    Completion, Fingerprint, IdempotencyStore, KeyRequest, Taken,
};
use resilience_core::flow::lease::LeaseKeeper;

use crate::support::Engine;

const TERM: Duration = Duration::from_millis(400);

/// Returns what stands before the command of a server whose wall clock is to be stepped, if there
/// is a C compiler to build it.
pub(crate) fn prefix(folder: &Path) -> Option<String> {
    let library = folder.join("clock.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clock_step.c");
    let mut build = Command::new("cc");
    let built = build.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).status();
    if !built.is_ok_and(|status| status.success()) {
        println!("skipped: there is no C compiler");
        return None;
    }
    step(folder, 0);
    Some("env LD_PRELOAD=$1/clock.so CLOCK_FILE=$1/clock".to_owned())
}

/// Steps the clock of a server to this many hours ahead.
pub(crate) fn step(folder: &Path, hours: i32) {
    // Renamed, so that the server never reads half a file.
    let new = folder.join("clock.new");
    std::fs::write(&new, format!("{}\n", hours * 3_600)).unwrap();
    std::fs::rename(new, folder.join("clock")).unwrap();
}

pub(crate) async fn writes_of_two_holders_are_never_both_accepted<E: Engine>(
    url: &str,
    folder: &Path,
) {
    let store = E::open(url).await;
    store.prepare().await;
    let done = Arc::new(AtomicBool::new(false));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (store, done) = (E::open(url).await, done.clone());
        let work = async move {
            let keeper = LeaseKeeper::builder(store.leases()).term(TERM).build().unwrap();
            while !done.load(Ordering::SeqCst) {
                let Ok(lease) = keeper.acquire("daily").await else { continue };
                let fence = lease.fence().clone();
                let work = async {
                    for _ in 0..20 {
                        if !store.write(&fence, "work").await {
                            return;
                        }
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                };
                // A lease that is lost is what this is about.
                let _ = lease.run(work).await;
            }
        };
        workers.spawn_local(work);
    }
    for hours in [1, 0, -1, 1, 0, -1, 0] {
        tokio::time::sleep(Duration::from_millis(700)).await;
        step(folder, hours);
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    done.store(true, Ordering::SeqCst);
    while let Some(worker) = workers.join_next().await {
        worker.unwrap();
    }
    let log = store.log().await;
    assert!(
        log.windows(2).all(|pair| pair[0].0 <= pair[1].0),
        "a former holder's write was accepted"
    );
    let holders = log.chunk_by(|one, next| one.0 == next.0).count();
    assert!(holders > 5 && log.len() > 50, "{holders} holders, {} writes", log.len());
}

pub(crate) async fn a_step_back_keeps_a_lease_for_two_terms_at_most<E: Engine>(
    url: &str,
    folder: &Path,
) {
    let store = E::open(url).await;
    let keeper = || LeaseKeeper::builder(store.leases()).term(TERM).build().unwrap();
    let dead = keeper().acquire("step back").await.unwrap();
    let fence = dead.fence().clone();
    std::mem::forget(dead);
    step(folder, -1);
    let began = clock::now();
    let successor = keeper().acquire("step back").await.unwrap();
    let waited = clock::now() - began;
    // Two terms, and the time to the next request; generous, since the machine is shared.
    assert!(waited >= TERM * 2 && waited < TERM * 2 + Duration::from_secs(5), "{waited:?}");
    assert!(!store.leases().admits(fence).await.unwrap());
    assert!(store.leases().admits(successor.fence().clone()).await.unwrap());
    step(folder, 0);
}

pub(crate) async fn a_key_is_kept_for_its_time_less_an_hour(
    store: &dyn IdempotencyStore,
    folder: &Path,
) {
    let ttl = Duration::from_secs(3 * 3_600);
    let request = || KeyRequest::new("kept", Fingerprint::new([1; 32])).ttl(ttl);
    let claim = store.claim(request()).await.unwrap().unwrap();
    assert!(store.complete(claim, Completion::of(1, "")).await.unwrap());
    for hours in [-1, 1, 2] {
        step(folder, hours);
        let taken = store.claim(request()).await.unwrap();
        assert!(matches!(taken, Err(Taken::Done { .. })), "{hours}: {taken:?}");
    }
    step(folder, 4);
    let claimed = store.claim(request()).await.unwrap();
    assert!(claimed.is_ok(), "the server's clock is the one that is stepped: {claimed:?}");
    step(folder, 0);
}
