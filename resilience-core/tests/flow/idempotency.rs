//! Keys: one effect each, and never two at once.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use resilience_core::flow::StoreErrorKind;
use resilience_core::flow::idempotency::{
    Completion, Fingerprint, Idempotency, KeyRequest, Once, Taken,
};
use resilience_core::testing::MemoryStore;
use resilience_core::{RejectionKind, clock};
use tokio::time::sleep;

const CLAIM: Duration = Duration::from_secs(60);

fn request() -> KeyRequest {
    KeyRequest::new("key", Fingerprint::new([1; 32])).claim_for(CLAIM)
}

fn keys(store: &MemoryStore) -> Idempotency {
    Idempotency::new(Arc::new(store.clone()))
}

#[tokio::test(start_paused = true)]
async fn ten_deliveries_have_one_effect() {
    let (store, effects) = (MemoryStore::new(), Cell::new(0));
    for _ in 0..10 {
        let keys = keys(&store);
        let once = keys.once(request(), async |_| {
            effects.set(effects.get() + 1);
            Ok::<_, ()>(Completion::of(3, "three"))
        });
        let once = once.await.unwrap();
        assert!(matches!(once, Once::Completed(_) | Once::Taken(Taken::Done { rows: 3, .. })));
    }
    assert_eq!(effects.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_and_an_empty_success_leave_the_key_free() {
    let (store, effects) = (MemoryStore::new(), Cell::new(0));
    let results = [Err("503"), Ok(Completion::Empty), Err("503"), Ok(Completion::of(1, ""))];
    for result in results {
        keys(&store)
            .once(request(), async |_| {
                effects.set(effects.get() + 1);
                result
            })
            .await
            .unwrap();
    }
    assert_eq!(effects.get(), 4);
    let once =
        keys(&store).once(request(), async |_| Ok::<_, ()>(Completion::Empty)).await.unwrap();
    assert!(matches!(once, Once::Taken(Taken::Done { rows: 1, .. })), "{once:?}");
}

#[tokio::test(start_paused = true)]
async fn work_that_takes_too_long_ends_before_its_successor_begins() {
    let store = MemoryStore::new();
    let began = clock::now();
    let keys = keys(&store);
    let once =
        keys.once(request(), async |_| std::future::pending::<Result<Completion, ()>>().await);
    let Once::Lost(rejection) = once.await.unwrap() else { panic!("it never ends") };
    assert_eq!((rejection.kind(), rejection.may_have_run()), (RejectionKind::LeaseLost, true));
    assert!(clock::now() - began < CLAIM);
    // It may have had an effect: the key is not given back early.
    let once = keys.once(request(), async |_| Ok::<_, ()>(Completion::Empty)).await.unwrap();
    assert!(matches!(once, Once::Taken(Taken::InProgress { .. })), "{once:?}");
    sleep(CLAIM / 5).await;
    let once = keys.once(request(), async |_| Ok::<_, ()>(Completion::of(1, ""))).await.unwrap();
    assert!(matches!(once, Once::Completed(_)), "{once:?}");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_steps_loses_no_key_younger_than_its_time_less_an_hour() {
    let ttl = Duration::from_secs(3 * 3_600);
    for step in [3_600_000, -3_600_000] {
        let store = MemoryStore::new();
        let keys = keys(&store);
        let again = || keys.once(request().ttl(ttl), async |_| Ok::<_, ()>(Completion::of(1, "")));
        assert!(matches!(again().await.unwrap(), Once::Completed(_)));
        store.step_clock(step);
        sleep(Duration::from_secs(2 * 3_600 - 1)).await;
        assert!(matches!(again().await.unwrap(), Once::Taken(Taken::Done { .. })), "{step}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_named_and_nothing_is_begun() {
    let store = MemoryStore::new();
    store.set_unreachable(true);
    let error = keys(&store)
        .once(request(), async |_| -> Result<Completion, ()> { panic!("begun without a claim") })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let error = keys(&store)
        .once(KeyRequest::new("", Fingerprint::new([0; 32])), async |_| {
            Ok::<_, ()>(Completion::Empty)
        })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::InvalidInput);
}

#[tokio::test(start_paused = true)]
async fn a_completion_is_tried_until_the_store_is_back() {
    let store = MemoryStore::new();
    let keys = keys(&store);
    let worker = store.clone();
    let once = keys.once(request(), async |_| {
        worker.set_unreachable(true);
        let back = worker.clone();
        tokio::spawn(async move {
            sleep(Duration::from_secs(20)).await;
            back.set_unreachable(false);
        });
        Ok::<_, ()>(Completion::of(1, "one"))
    });
    assert!(matches!(once.await.unwrap(), Once::Completed(_)));
    let again = keys.once(request(), async |_| Ok::<_, ()>(Completion::Empty));
    assert!(matches!(again.await.unwrap(), Once::Taken(Taken::Done { rows: 1, .. })));
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_too_large_does_not_repeat_the_effect() {
    let store = MemoryStore::new();
    let keys = keys(&store);
    let once = keys.once(request(), async |_| Ok::<_, ()>(Completion::of(1, vec![0; 1 << 20])));
    assert_eq!(once.await.unwrap_err().kind(), StoreErrorKind::InvalidInput);
    let again = keys.once(request(), async |_| Ok::<_, ()>(Completion::Empty));
    assert!(matches!(again.await.unwrap(), Once::Taken(Taken::Done { rows: 1, .. })));
}
