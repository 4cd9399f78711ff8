//! Taking a token from a single limiter, and from the limiter of one of a thousand keys.

use std::hint::black_box;
use std::sync::Arc;

use foldhash::fast::RandomState;
use resilience_core::clock;
use resilience_core::keyed::{Keyed, KeyedLimits};
use resilience_core::rate::{Quota, RateLimitLayer, RateLimiter};
use tower::{BoxError, Layer};

use super::answer::both;
use super::floor::{Lines, floor, floor_of_service};
use super::keys::Keys;
use super::lookup::fill;
use super::peers::{PER_SECOND, governor, tower_resilience};
use super::{Figure, names};
use crate::cost::{Role, Subject};

const FLOOR: &str = "one clock read, one compare-and-swap";
const GOVERNOR_KEYED_LACKS: &str = "a bound: it keeps every key; queue, refund, pause, gap";
const GOVERNOR_LACKS: &str =
    "queue, refund, pause, gap, resizing; a paused clock (quanta) in tests";

fn least(lines: &Lines) {
    lines.clock();
    lines.swap(0);
}

pub(super) fn check() -> Result<Figure, BoxError> {
    let (limiter, timed) = (tokens()?, tokens()?);
    // Read after both limiters are created: an instant before their origin is a special case.
    let now = clock::now();
    let mut subjects = floor(least);
    subjects.extend(governor::direct().map(|subject| subject.lacks(GOVERNOR_LACKS)));
    subjects.push(Subject::function(Role::Ours, names::OUR_CHECK, move || {
        black_box(limiter.check(1).is_ok());
    }));
    subjects.push(Subject::function(Role::Ours, "our check_at, the time being known", move || {
        black_box(timed.check_at(now, 1).is_ok());
    }));
    Ok(Figure::new(names::CHECK, FLOOR, subjects))
}

/// Returns the cost of a call through the layers. tower's `RateLimit` is not `Clone`, and so has a
/// row in the figure of the standard stack only.
pub(super) fn layer() -> Result<Figure, BoxError> {
    let mut subjects = floor_of_service(least);
    subjects.extend(both(|inner| {
        let ours = RateLimitLayer::new(tokens()?).layer(inner);
        let theirs = tower_resilience::rate_limit(inner)?;
        Ok(vec![
            Subject::service(Role::Ours, "our layer", ours),
            Subject::service(Role::Peer, "tower-resilience, fixed window", theirs)
                .lacks("smoothing (twice its limit passes at a window's edge), refunds, hints"),
        ])
    })?);
    Ok(Figure::new(names::RATE_LAYER, FLOOR, subjects))
}

pub(super) fn keyed() -> Result<Figure, BoxError> {
    let limiter = tokens()?;
    let store: Keyed<Arc<str>, RateLimiter> =
        Keyed::new(KeyedLimits::default(), move |_| limiter.fresh());
    let keys = Keys::new();
    fill(&store, &keys);
    let ours = Subject::function(Role::Ours, names::OUR_KEYED, move || {
        black_box(RateLimiter::check_key(&store, keys.next(), 1).is_ok());
    });
    let mut subjects = vec![floor_keyed()];
    subjects.extend(governor::keyed().map(|subject| subject.lacks(GOVERNOR_KEYED_LACKS)));
    subjects.push(ours);
    let floor = "one clock read, one lookup in a thread's own HashMap, one compare-and-swap";
    Ok(Figure::new(names::KEYED, floor, subjects))
}

fn floor_keyed() -> Subject {
    Subject::function_each(Role::Floor, names::FLOOR, || {
        let keys = Keys::new();
        let map: std::collections::HashMap<_, _, RandomState> =
            keys.iter().map(|key| (key.clone(), Lines::default())).collect();
        move || {
            if let Some(lines) = map.get(keys.next()) {
                least(lines);
            }
        }
    })
}

fn tokens() -> Result<RateLimiter, BoxError> {
    Ok(RateLimiter::builder().quota(Quota::per_second(PER_SECOND.get())).build()?)
}
