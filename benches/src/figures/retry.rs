//! A retry layer around a call that succeeds at once.

use resilience_core::retry::{RetryLayer, RetryPolicy};
use tower::{BoxError, Layer};

use super::answer::both;
use super::floor::{Lines, floor_of_service};
use super::peers::{backon, seatbelt, tower as plain, tower_resilience};
use super::{Figure, names};
use crate::cost::{Role, Subject};

const TOWER_LACKS: &str = "classifying, waiting, jitter, deadlines, events: its user writes the policy, which counts to three here";

pub(super) fn plain() -> Result<Figure, BoxError> {
    let mut subjects = both(|inner| {
        let policy = RetryPolicy::builder().without_budget().unlimited_elapsed().build()?;
        let ours = RetryLayer::new(policy).layer(inner);
        let theirs = tower_resilience::retry(None).layer(inner);
        Ok(vec![
            Subject::service(Role::Floor, names::FLOOR, inner),
            Subject::service(Role::Ours, names::OUR_RETRY, ours)
                .lacks("budget, a limit on elapsed time"),
            Subject::service(Role::Peer, names::TOWER_RETRY, plain::retry().layer(inner))
                .lacks(TOWER_LACKS),
            Subject::service(Role::Peer, "tower-resilience", theirs)
                .lacks("hints, deadlines, a limit on elapsed time; boxes its future"),
            Subject::calls(Role::Peer, "backon", backon::Retried(inner))
                .lacks("a layer, a budget, hints, deadlines; the service is called by its closure"),
        ])
    })?;
    let seatbelt = Subject::calls(Role::Peer, "seatbelt", seatbelt::retry()?);
    subjects.push(seatbelt.lacks("budget, deadlines, a limit on elapsed time"));
    Ok(Figure::new(names::RETRY, "a service called", subjects))
}

pub(super) fn budgeted() -> Result<Figure, BoxError> {
    let mut subjects = floor_of_service(|lines: &Lines| {
        lines.clock();
        lines.add(0);
    });
    subjects.extend(both(|inner| {
        let ours = RetryLayer::new(RetryPolicy::builder().build()?).layer(inner);
        let bucket = tower_resilience::bucket()?;
        let theirs = tower_resilience::retry(Some(bucket)).layer(inner);
        Ok(vec![
            Subject::service(Role::Ours, names::OUR_RETRY_DEFAULT, ours),
            Subject::service(
                Role::Peer,
                names::TOWER_RETRY_BUDGET,
                plain::retry_budgeted().layer(inner),
            )
            .lacks("the same as tower Retry; its withdrawals are not exact under contention"),
            Subject::service(Role::Peer, "tower-resilience, token bucket", theirs)
                .lacks("a share of the traffic: its bucket refills by the clock, under a lock"),
        ])
    })?);
    Ok(Figure::new(
        names::RETRY_BUDGET,
        "one clock read, one read-modify-write, a service called",
        subjects,
    ))
}
