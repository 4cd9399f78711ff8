//! Suite of leases: one holder at a time, and former holders are refused.

use std::time::Duration;

use super::{LONG, SHORT, eventually, ok};
use crate::flow::lease::{Acquisition, LeaseRequest, LeaseStatus, LeaseStore, LeaseVersion};
use crate::flow::{Fence, FencingToken};

/// Proves a [`LeaseStore`]. See the [module](super).
pub async fn leases(store: &dyn LeaseStore, prefix: &str) {
    one_holder(store, &format!("{prefix}-one")).await;
    release(store, &format!("{prefix}-release")).await;
    expiry(store, &format!("{prefix}-expiry")).await;
    renewal(store, &format!("{prefix}-renewal")).await;
    stalled(store, &format!("{prefix}-stalled")).await;
    race(store, &format!("{prefix}-race")).await;
    unknown(store, &format!("{prefix}-unknown")).await;
}

fn request(name: &str, holder: &str, term: Duration) -> LeaseRequest {
    LeaseRequest::new(name, holder, term)
}

#[expect(clippy::panic, reason = "a lease that is held fails the suite")]
async fn acquire(store: &dyn LeaseStore, request: LeaseRequest) -> FencingToken {
    match ok(store.try_acquire(request)).await {
        Acquisition::Acquired(token) => token,
        Acquisition::HeldByAnother(status) => panic!("the lease should be free, and is {status:?}"),
    }
}

#[expect(clippy::panic, reason = "a lease that is free fails the suite")]
async fn held(store: &dyn LeaseStore, request: LeaseRequest) -> LeaseStatus {
    match ok(store.try_acquire(request)).await {
        Acquisition::Acquired(token) => panic!("the lease should be held, and gave {token}"),
        Acquisition::HeldByAnother(status) => status,
    }
}

async fn one_holder(store: &dyn LeaseStore, name: &str) {
    let token = acquire(store, request(name, "first", LONG)).await;
    let fence = Fence::new(name.to_owned(), token);
    assert!(ok(store.admits(fence.clone())).await, "the holder may write");
    for holder in ["second", "first"] {
        let status = held(store, request(name, holder, LONG)).await;
        assert_eq!(status.holder, "first");
        assert_eq!(status.version, LeaseVersion { token, renewals: 0 });
        assert_eq!(status.term, LONG);
        assert!(status.remaining <= LONG && status.remaining > LONG / 2, "{status:?}");
    }
    assert!(ok(store.renew(fence.clone(), LONG)).await);
    let status = held(store, request(name, "second", LONG)).await;
    assert_eq!(status.version.renewals, 1, "a renewal changes the version");
    // Another lease is another matter.
    let other = format!("{name}-other");
    assert!(acquire(store, request(&other, "second", LONG)).await > token, "tokens grow");
}

async fn release(store: &dyn LeaseStore, name: &str) {
    let first = acquire(store, request(name, "first", LONG)).await;
    let first = Fence::new(name.to_owned(), first);
    assert!(ok(store.release(first.clone())).await);
    assert!(!ok(store.release(first.clone())).await, "a lease is given back once");
    assert!(!ok(store.admits(first.clone())).await, "who gave it back may not write");
    assert!(!ok(store.renew(first.clone(), LONG)).await, "nor renew");
    let second = acquire(store, request(name, "second", LONG)).await;
    assert!(second > first.token, "tokens grow");
    assert!(!ok(store.release(first.clone())).await, "a former holder releases nothing");
    held(store, request(name, "third", LONG)).await;
}

async fn expiry(store: &dyn LeaseStore, name: &str) {
    let first = acquire(store, request(name, "first", SHORT)).await;
    let first = Fence::new(name.to_owned(), first);
    let token = eventually("the lease expires", || async {
        match ok(store.try_acquire(request(name, "second", LONG))).await {
            Acquisition::Acquired(token) => Some(token),
            Acquisition::HeldByAnother(_) => None,
        }
    });
    let second = Fence::new(name.to_owned(), token.await);
    assert!(second.token > first.token, "tokens grow");
    assert!(!ok(store.admits(first.clone())).await, "a late write is refused");
    assert!(!ok(store.renew(first.clone(), LONG)).await, "a late renewal is refused");
    assert!(!ok(store.release(first)).await, "a late release releases nothing");
    assert!(ok(store.admits(second)).await);
}

async fn renewal(store: &dyn LeaseStore, name: &str) {
    let token = acquire(store, request(name, "first", SHORT)).await;
    let fence = Fence::new(name.to_owned(), token);
    // Past its end, and nobody has taken it: lost all the same.
    eventually("the lease expires", || async {
        (!ok(store.admits(fence.clone())).await).then_some(())
    })
    .await;
    assert!(!ok(store.renew(fence.clone(), LONG)).await, "what has expired is not renewed");
    assert!(acquire(store, request(name, "second", LONG)).await > token);
}

async fn stalled(store: &dyn LeaseStore, name: &str) {
    let token = acquire(store, request(name, "first", LONG)).await;
    let fence = Fence::new(name.to_owned(), token);
    let seen = held(store, request(name, "second", LONG)).await.version;
    assert!(ok(store.renew(fence.clone(), LONG)).await);
    let stale = request(name, "second", LONG).with_stalled(Some(seen));
    let now = held(store, stale).await.version;
    let stalled = request(name, "second", LONG).with_stalled(Some(now));
    let taken = acquire(store, stalled).await;
    assert!(taken > token, "a takeover raises the token");
    assert!(!ok(store.admits(fence)).await);
}

async fn race(store: &dyn LeaseStore, name: &str) {
    let contend = |holder: u32| store.try_acquire(request(name, &format!("c{holder}"), LONG));
    let mut attempts: Vec<_> = (0..16).map(contend).collect();
    let mut winners = 0;
    // All are begun before one is waited for.
    let mut pending = std::collections::VecDeque::from_iter(attempts.drain(..));
    std::future::poll_fn(|cx| {
        pending.retain_mut(|attempt| match attempt.as_mut().poll(cx) {
            std::task::Poll::Ready(result) => {
                winners += u32::from(matches!(result, Ok(Acquisition::Acquired(_))));
                assert!(result.is_ok(), "{result:?}");
                false
            }
            std::task::Poll::Pending => true,
        });
        if pending.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    assert_eq!(winners, 1, "of contenders at once, one wins");
}

async fn unknown(store: &dyn LeaseStore, name: &str) {
    let fence = Fence::new(name.to_owned(), FencingToken::new(1));
    assert!(!ok(store.admits(fence.clone())).await);
    assert!(!ok(store.renew(fence.clone(), LONG)).await);
    assert!(!ok(store.release(fence)).await);
}
