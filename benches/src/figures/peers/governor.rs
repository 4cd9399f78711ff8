//! governor on its own clock (the processor's counter), and on the clock of all other subjects.

use std::hint::black_box;
use std::sync::Arc;

use governor::clock::MonotonicClock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use super::PER_SECOND;
use crate::cost::{Role, Subject};
use crate::figures::keys::Keys;
use crate::figures::names;

pub(in crate::figures) fn direct() -> [Subject; 2] {
    let quanta = Arc::new(RateLimiter::direct(Quota::per_second(PER_SECOND)));
    let monotonic: Arc<RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<_>>> =
        Arc::new(RateLimiter::direct_with_clock(Quota::per_second(PER_SECOND), MonotonicClock));
    [
        Subject::function(Role::Peer, names::GOVERNOR, move || check(quanta.check())),
        Subject::function(Role::Peer, names::GOVERNOR_INSTANT, move || check(monotonic.check())),
    ]
}

pub(in crate::figures) fn keyed() -> [Subject; 2] {
    let quota = Quota::per_second(PER_SECOND);
    let quanta = Arc::new(RateLimiter::dashmap(quota));
    let monotonic = Arc::new(RateLimiter::dashmap_with_clock(quota, MonotonicClock));
    let (keys, other) = (Keys::new(), Keys::new());
    [
        Subject::function(Role::Peer, names::GOVERNOR_KEYED, move || {
            check(quanta.check_key(keys.next()));
        }),
        Subject::function(Role::Peer, names::GOVERNOR_KEYED_INSTANT, move || {
            check(monotonic.check_key(other.next()));
        }),
    ]
}

fn check<T>(decision: Result<(), T>) {
    let _ = black_box(decision);
}
