//! Resident bytes of an idle key that was accessed once, by the number of keys.

use std::sync::Arc;

use resilience_core::breaker::CircuitBreaker;
use resilience_core::bulkhead::Bulkhead;
use resilience_core::clock;
use resilience_core::keyed::{Entry, Key, Keyed};
use resilience_core::rate::{Quota, RateLimiter};
use resilience_core::retry::RetryBudget;
use tower::BoxError;

use super::figure::Figure;
use super::keys::{Numbers, room};
use super::{Group, child, resident, tenfolds};
use crate::figures::{lookup, maps};
use crate::stats::ratio;

pub(super) const GROUP: Group = Group { names: &[NAME, BESIDE], measure };
/// The first word in the name of a child process of this figure.
pub(super) const CHILD: &str = "memory";

const NO_PROC: &str = "no /proc/self/status";
const NAME: &str = "memory of an idle key";
const BESIDE: &str = "memory beside other maps";
const KEYS: [&str; 3] = ["u64", "String", "Arc<str>"];

/// The kept entries, and the name of the target of each.
const KEPT: [(&str, &str); 4] = [
    ("breaker", "bytes of a breaker, for the largest key"),
    ("limiter", "bytes of a limiter, for the largest key"),
    ("bulkhead", "bytes of a bulkhead, for the largest key"),
    ("retry budget", "bytes of a retry budget, for the largest key"),
];

/// The prefix of lines for 8-byte keys with 8 bytes behind an `Arc`, in ours and in other maps.
const SMALL: &str = "a small state in ";
const MAPS: [(&str, &str); 6] = [
    ("ours", ""),
    ("dashmap", "a bound, idle time"),
    ("scc", "a bound, idle time"),
    ("papaya", "a bound, idle time"),
    ("Mutex<HashMap>", "a bound, idle time"),
    ("moka", "pins, a bound on bytes with its own structures"),
];

fn measure(quick: bool) -> Result<Vec<Figure>, BoxError> {
    if resident::now().is_none() {
        println!("skipped: {NAME}: no /proc/self/status");
        return Ok(Vec::new());
    }
    let most = if quick { 100_000 } else { 1_000_000 };
    let mut figure = Figure::new(NAME, "keys", "resident bytes a key");
    let draw = |figure: &mut Figure, line: &str, lacks| -> Result<(), BoxError> {
        for size in tenfolds(10_000, most) {
            let bytes = child::ask(&format!("{CHILD} {line}"), size)?;
            figure.add(line, lacks, size, bytes.as_f64().ok_or("output is no number")?);
        }
        Ok(())
    };
    for (kept, target) in KEPT {
        let mut largest: Option<f64> = None;
        for key in KEYS {
            let line = format!("{key}: {kept}");
            draw(&mut figure, &line, "")?;
            largest = figure.at(&line, most).into_iter().chain(largest).reduce(f64::max);
        }
        figure.timed(target, 128.0, largest);
    }
    let mut beside = Figure::new(BESIDE, "keys", "resident bytes a key");
    for (map, lacks) in MAPS {
        draw(&mut beside, &format!("{SMALL}{map}"), lacks)?;
    }
    Ok(vec![figure, beside])
}

/// Returns the bytes of each key, measured in this process.
pub(super) fn child(of: &str, keys: u64) -> Result<f64, BoxError> {
    if let Some(map) = of.strip_prefix(SMALL) {
        return in_map(map, keys);
    }
    match of.split_once(": ") {
        Some(("u64", kept)) => kept_for(kept, keys, |number| number),
        Some(("String", kept)) => kept_for(kept, keys, text),
        Some(("Arc<str>", kept)) => kept_for(kept, keys, |number| Arc::from(text(number))),
        _ => Err(format!("unknown kind of key in `{of}`").into()),
    }
}

/// Returns a key of sixteen bytes.
fn text(number: u64) -> String {
    format!("upstream-{number:07}")
}

fn kept_for<K: Key>(kept: &str, keys: u64, key: fn(u64) -> K) -> Result<f64, BoxError> {
    let now = clock::now();
    match kept {
        "breaker" => {
            let breaker = CircuitBreaker::builder().build()?;
            let call = |breaker: &CircuitBreaker| breaker.try_admit().map(|call| call.success());
            bytes(keys, key, move || breaker.fresh(), |breaker| call(breaker).is_ok())
        }
        "limiter" => {
            let limiter = RateLimiter::builder().quota(Quota::per_second(100)).build()?;
            bytes(keys, key, move || limiter.fresh(), |limiter| limiter.check_at(now, 1).is_ok())
        }
        "bulkhead" => {
            let bulkhead = Bulkhead::builder().build()?;
            bytes(keys, key, move || bulkhead.fresh(), |bulkhead| bulkhead.try_acquire(1).is_ok())
        }
        "retry budget" => {
            let budget = RetryBudget::percent(10.0)?;
            let start = |budget: &RetryBudget| {
                budget.call_started(now);
                true
            };
            bytes(keys, key, move || budget.fresh(), start)
        }
        _ => Err(format!("unknown kind of entry `{kept}`").into()),
    }
}

/// Returns the bytes of each key in a map whose keys were inserted and never accessed.
fn in_map(map: &str, keys: u64) -> Result<f64, BoxError> {
    let count = usize::try_from(keys)?;
    let (way, limits) = ([Numbers { count, hot: true }], room(count)?);
    let before = resident::now().ok_or(NO_PROC)?;
    let kept = match map {
        "ours" => lookup::ours(&way, limits),
        "dashmap" => maps::dashmap(&way),
        "scc" => maps::scc(&way),
        "papaya" => maps::papaya(&way),
        "Mutex<HashMap>" => maps::mutex(&way),
        "moka" => maps::moka(&way),
        _ => return Err(format!("unknown map `{map}`").into()),
    };
    let after = resident::now().ok_or(NO_PROC)?;
    drop(kept);
    Ok(ratio(after.saturating_sub(before), keys))
}

/// Returns the growth of the process for each key after one call for each. The store has no spare
/// capacity.
fn bytes<K: Key, T: Entry>(
    keys: u64,
    key: fn(u64) -> K,
    make: impl Fn() -> T + Send + Sync + 'static,
    call: impl Fn(&T) -> bool,
) -> Result<f64, BoxError> {
    let before = resident::now().ok_or(NO_PROC)?;
    let store = Keyed::new(room(usize::try_from(keys)?)?, move |_: &K| make());
    let now = clock::now();
    if !(0..keys).all(|number| store.with(&key(number), now, &call)) || store.len() as u64 != keys {
        return Err("a call was rejected, or a key evicted".into());
    }
    let after = resident::now().ok_or(NO_PROC)?;
    Ok(ratio(after.saturating_sub(before), keys))
}
