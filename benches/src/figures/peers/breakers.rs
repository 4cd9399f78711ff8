//! failsafe and recloser.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use failsafe::CircuitBreaker as _;
use failsafe::backoff;
use failsafe::failure_policy::consecutive_failures;
use recloser::Recloser;

use crate::cost::{Role, Subject};

pub(in crate::figures) fn failsafe() -> Subject {
    let breaker = failsafe::Config::new().build();
    Subject::function(Role::Peer, "failsafe", move || {
        let _ = black_box(breaker.call(|| Ok::<_, ()>(())));
    })
}

pub(in crate::figures) fn recloser() -> Subject {
    let breaker = Arc::new(Recloser::custom().build());
    Subject::function(Role::Peer, "recloser", move || {
        let _ = black_box(breaker.call(|| Ok::<_, ()>(())));
    })
}

/// A duration longer than any run.
const HOURS: Duration = Duration::from_secs(36_000);

pub(in crate::figures) fn failsafe_open() -> Subject {
    let policy = consecutive_failures(1, backoff::constant(HOURS));
    let breaker = failsafe::Config::new().failure_policy(policy).build();
    let _ = breaker.call(|| Err::<(), ()>(()));
    Subject::function(Role::Peer, "failsafe, open", move || {
        let _ = black_box(breaker.call(|| Ok::<_, ()>(())));
    })
}

pub(in crate::figures) fn recloser_open() -> Subject {
    let breaker = Recloser::custom().error_rate(0.5).closed_len(1).open_wait(HOURS).build();
    (0..4).for_each(|_| drop(breaker.call(|| Err::<(), ()>(()))));
    let breaker = Arc::new(breaker);
    Subject::function(Role::Peer, "recloser, open", move || {
        let _ = black_box(breaker.call(|| Ok::<_, ()>(())));
    })
}
