//! A server that does not respond, or is away, while a lease is held and a key is claimed.

use std::time::Duration;

use resilience_core::flow::idempotency::{
    Claim, Completion, Fingerprint, IdempotencyStore, KeyRequest, Taken,
};
use resilience_core::flow::lease::{Acquisition, LeaseRequest, LeaseStore};
use resilience_core::flow::{Fence, StoreErrorKind};

const TERM: Duration = Duration::from_secs(600);

/// The time that the server is away: the 30 s of the issue by `FLOW_FULL`.
pub(crate) fn away() -> Duration {
    Duration::from_secs(if std::env::var_os("FLOW_FULL").is_some() { 30 } else { 1 })
}

fn request(key: &str) -> KeyRequest {
    KeyRequest::new(key, Fingerprint::new([1; 32])).claim_for(TERM)
}

fn contender(holder: &str) -> LeaseRequest {
    LeaseRequest::new("daily", holder, TERM)
}

/// A lease, a claim that is open and a key that is done.
pub(crate) struct Held {
    fence: Fence,
    open: Claim,
}

pub(crate) async fn before<S: LeaseStore + IdempotencyStore>(store: &S) -> Held {
    let Acquisition::Acquired(token) = store.try_acquire(contender("first")).await.unwrap() else {
        panic!("it is free")
    };
    let done = store.claim(request("done")).await.unwrap().unwrap();
    assert!(store.complete(done, Completion::of(7, "seven")).await.unwrap());
    let open = store.claim(request("open")).await.unwrap().unwrap();
    Held { fence: Fence::new("daily", token), open }
}

/// Each operation fails by a name that may pass.
pub(crate) async fn meanwhile<S: LeaseStore + IdempotencyStore>(
    store: &S,
    held: &Held,
    kinds: &[StoreErrorKind],
) {
    let row = resilience_core::flow::idempotency::RowHash {
        key: "row".to_owned(),
        hash: Fingerprint::new([1; 32]),
    };
    let errors = [
        store.claim(request("meanwhile")).await.unwrap_err(),
        store.changed("set".to_owned(), vec![row.clone()]).await.unwrap_err(),
        store.record("set".to_owned(), vec![row], TERM).await.unwrap_err(),
        store.renew(held.fence.clone(), TERM).await.unwrap_err(),
    ];
    for error in errors {
        assert!(kinds.contains(&error.kind()) && error.is_transient(), "{error}");
    }
}

/// Nothing is lost, and work goes on.
pub(crate) async fn afterwards<S: LeaseStore + IdempotencyStore>(store: &S, held: Held) {
    // The pool makes no connection for a moment after one that failed.
    let done = loop {
        match store.claim(request("done")).await {
            Ok(claimed) => break claimed.unwrap_err(),
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(done, Taken::Done { rows: 7, result: b"seven".to_vec() });
    let second = store.try_acquire(contender("second")).await.unwrap();
    let Acquisition::HeldByAnother(status) = second else { panic!("{second:?}") };
    assert_eq!(status.version.token, held.fence.token);
    assert!(store.admits(held.fence.clone()).await.unwrap());
    assert!(store.renew(held.fence.clone(), TERM).await.unwrap());
    let token = held.open.token;
    assert!(store.complete(held.open, Completion::of(1, "")).await.unwrap());
    let later = store.claim(request("later")).await.unwrap().unwrap();
    assert!(later.token > token && later.token > held.fence.token, "tokens only grow");
    assert!(store.release(held.fence).await.unwrap());
}
