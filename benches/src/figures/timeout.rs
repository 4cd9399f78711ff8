//! A limit on time that is not reached: no timer is needed at the first poll, one is if the service
//! yields.

use resilience_core::timeout::{DeadlineLayer, TimeoutLayer};
use tower::timeout::TimeoutLayer as TowerTimeoutLayer;
use tower::{BoxError, Layer};

use super::answer::both;
use super::peers::{LIMIT, seatbelt, tower_resilience};
use super::{Figure, names};
use crate::cost::{Role, Subject};

pub(super) fn figure() -> Result<Figure, BoxError> {
    let mut subjects = both(|inner| {
        let theirs = TowerTimeoutLayer::new(LIMIT).layer(inner);
        Ok(vec![
            Subject::service(Role::Floor, names::FLOOR, inner),
            Subject::service(Role::Ours, "our Timeout", TimeoutLayer::new(LIMIT)?.layer(inner)),
            Subject::service(Role::Ours, "our Deadline", DeadlineLayer::new(LIMIT)?.layer(inner)),
            Subject::service(Role::Peer, "tower Timeout", theirs)
                .lacks("a deadline passed inwards; it makes its timer before it knows whether it needs one"),
            Subject::service(Role::Peer, "tower-resilience", tower_resilience::time_limit(inner))
                .lacks("a deadline passed inwards; boxes its future"),
        ])
    })?;
    let seatbelt = Subject::calls(Role::Peer, "seatbelt", seatbelt::timeout()?);
    subjects.push(seatbelt.lacks(
        "a deadline passed inwards; its timers are a task of one runtime, hence no row that yields",
    ));
    Ok(Figure::new(names::TIMEOUT, "a service called; no timer, also where it yields", subjects))
}
