//! Suite of keys: each has one effect.

use std::time::Duration;

use super::{LONG, SHORT, eventually, ok};
use crate::flow::idempotency::{
    Claim, Completion, Fingerprint, IdempotencyStore, KeyRequest, RowHash, Taken,
};
use crate::flow::limits::{MAX_BATCH, MAX_RESULT};
use crate::flow::{FencingToken, StoreErrorKind};

/// Proves an [`IdempotencyStore`]. See the [module](super).
pub async fn idempotency(store: &dyn IdempotencyStore, prefix: &str) {
    done(store, &format!("{prefix}-done")).await;
    empty(store, &format!("{prefix}-empty")).await;
    abandoned(store, &format!("{prefix}-abandoned")).await;
    conflict(store, &format!("{prefix}-conflict")).await;
    successor(store, &format!("{prefix}-successor")).await;
    fenced(store, &format!("{prefix}-fenced")).await;
    expired(store, &format!("{prefix}-expired")).await;
    content(store, &format!("{prefix}-content")).await;
    bounds(store, &format!("{prefix}-bounds")).await;
}

fn request(key: &str) -> KeyRequest {
    KeyRequest::new(key, Fingerprint::new([7; 32])).claim_for(LONG)
}

#[expect(clippy::panic, reason = "a key that is taken fails the suite")]
async fn claim(store: &dyn IdempotencyStore, request: KeyRequest) -> Claim {
    match ok(store.claim(request)).await {
        Ok(claim) => claim,
        Err(taken) => panic!("the key should be free, and is {taken:?}"),
    }
}

#[expect(clippy::panic, reason = "a key that is free fails the suite")]
async fn taken(store: &dyn IdempotencyStore, request: KeyRequest) -> Taken {
    match ok(store.claim(request)).await {
        Ok(claim) => panic!("the key should be taken, and gave {claim:?}"),
        Err(taken) => taken,
    }
}

async fn done(store: &dyn IdempotencyStore, key: &str) {
    let first = claim(store, request(key)).await;
    let state = taken(store, request(key)).await;
    assert!(
        matches!(state, Taken::InProgress { remaining } if remaining <= LONG && !remaining.is_zero())
    );
    let result: Vec<u8> = (0..=255).collect();
    for _ in 0..2 {
        let completed = store.complete(first.clone(), Completion::of(156, result.clone()));
        assert!(ok(completed).await, "completing twice is completing once");
    }
    assert!(!ok(store.abandon(first)).await, "what is done is not given back");
    assert_eq!(taken(store, request(key)).await, Taken::Done { rows: 156, result });
}

async fn empty(store: &dyn IdempotencyStore, key: &str) {
    let first = claim(store, request(key)).await;
    assert!(ok(store.complete(first.clone(), Completion::of(0, ""))).await);
    let second = claim(store, request(key)).await;
    assert!(second.token > first.token, "an empty success blocks no later run");
    let complete = Completion::CompleteAndEmpty { result: b"no games".to_vec() };
    assert!(ok(store.complete(second, complete)).await);
    let state = taken(store, request(key)).await;
    assert_eq!(state, Taken::Done { rows: 0, result: b"no games".to_vec() });
}

async fn abandoned(store: &dyn IdempotencyStore, key: &str) {
    let first = claim(store, request(key)).await;
    assert!(ok(store.abandon(first.clone())).await);
    assert!(!ok(store.abandon(first.clone())).await, "a claim is given back once");
    assert!(!ok(store.complete(first, Completion::of(1, ""))).await);
    claim(store, request(key)).await;
}

async fn conflict(store: &dyn IdempotencyStore, key: &str) {
    let other = KeyRequest::new(key, Fingerprint::new([8; 32]));
    let first = claim(store, request(key)).await;
    assert_eq!(taken(store, other.clone()).await, Taken::Conflict);
    assert!(ok(store.complete(first, Completion::of(1, ""))).await);
    assert_eq!(taken(store, other).await, Taken::Conflict);
}

async fn successor(store: &dyn IdempotencyStore, key: &str) {
    let first = claim(store, request(key).claim_for(SHORT)).await;
    let second =
        eventually("the claim ends", || async { ok(store.claim(request(key))).await.ok() });
    let second = second.await;
    assert!(second.token > first.token, "tokens grow");
    assert!(!ok(store.complete(first.clone(), Completion::of(1, "late"))).await);
    assert!(!ok(store.abandon(first)).await);
    assert!(ok(store.complete(second, Completion::of(2, "own"))).await);
    let state = taken(store, request(key)).await;
    assert_eq!(state, Taken::Done { rows: 2, result: b"own".to_vec() });
}

async fn fenced(store: &dyn IdempotencyStore, key: &str) {
    let under = |token| request(key).with_fence(FencingToken::new(token));
    let first = claim(store, under(5)).await;
    assert!(matches!(taken(store, under(5)).await, Taken::InProgress { .. }));
    for older in [under(4), request(key)] {
        assert_eq!(taken(store, older).await, Taken::Fenced(FencingToken::new(5)));
    }
    // The lease of the first has gone to another holder.
    let second = claim(store, under(6)).await;
    assert!(!ok(store.complete(first, Completion::of(1, ""))).await);
    assert!(ok(store.complete(second, Completion::of(1, ""))).await);
    // Without a fence, only the end of the claim shows that it is over.
    let plain = format!("{key}-plain");
    claim(store, request(&plain)).await;
    let state = taken(store, request(&plain).with_fence(FencingToken::new(9))).await;
    assert!(matches!(state, Taken::InProgress { .. }), "{state:?}");
}

async fn expired(store: &dyn IdempotencyStore, key: &str) {
    let other = KeyRequest::new(key, Fingerprint::new([8; 32]));
    let first = claim(store, request(key).ttl(SHORT)).await;
    assert!(ok(store.complete(first, Completion::of(1, ""))).await);
    eventually("the key expires", || async { ok(store.claim(other.clone())).await.ok() }).await;
}

async fn content(store: &dyn IdempotencyStore, set: &str) {
    let row = |key: u32, hash: u8| RowHash {
        key: format!("player-{key}"),
        hash: Fingerprint::new([hash; 32]),
    };
    let rows: Vec<_> = (0..50).map(|key| row(key, 1)).collect();
    let all: Vec<_> = (0..50).collect();
    assert_eq!(ok(store.changed(set.to_owned(), rows.clone())).await, all);
    ok(store.record(set.to_owned(), rows.clone(), LONG)).await;
    assert!(ok(store.changed(set.to_owned(), rows.clone())).await.is_empty());
    let mut next = rows.clone();
    next[3] = row(3, 2);
    next.push(row(50, 1));
    assert_eq!(ok(store.changed(set.to_owned(), next.clone())).await, [3, 50]);
    let elsewhere = store.changed(format!("{set}-other"), rows.clone());
    assert_eq!(ok(elsewhere).await, all, "a data set has its own rows");
    ok(store.record(set.to_owned(), next.clone(), LONG)).await;
    assert!(ok(store.changed(set.to_owned(), next)).await.is_empty());
    assert!(ok(store.changed(set.to_owned(), Vec::new())).await.is_empty());
    ok(store.record(set.to_owned(), Vec::new(), LONG)).await;
}

async fn bounds(store: &dyn IdempotencyStore, key: &str) {
    let longest = "k".repeat(512 - key.len() - 1);
    let longest = format!("{key}-{longest}");
    let first = claim(store, request(&longest)).await;
    let result = vec![0; MAX_RESULT];
    assert!(ok(store.complete(first, Completion::of(1, result.clone()))).await);
    assert_eq!(taken(store, request(&longest)).await, Taken::Done { rows: 1, result });
    let second = claim(store, request(key)).await;
    let too_large = store.complete(second, Completion::of(1, vec![0; MAX_RESULT + 1]));
    assert!(too_large.await.is_err());
    for wrong in [
        request(""),
        request(&"k".repeat(513)),
        request(key).claim_for(Duration::ZERO),
        request(key).ttl(Duration::ZERO),
        request(key).ttl(Duration::MAX),
    ] {
        let refused = store.claim(wrong).await;
        assert!(refused.is_err_and(|error| error.kind() == StoreErrorKind::InvalidInput));
    }
    let row = RowHash { key: "r".to_owned(), hash: Fingerprint::new([0; 32]) };
    assert!(store.changed(key.to_owned(), vec![row; MAX_BATCH + 1]).await.is_err());
}
