//! Keys that come once, by the million, through a bounded store.
//!
//! Between them a thousand hot keys return again and again, and their decisions are compared with
//! those of a map without eviction. Other stores hold open circuits and spent hourly quotas, none
//! of which may be evicted. A new key is never rejected because of the flood.

use std::time::Duration;

use resilience_core::breaker::{CircuitBreaker, CircuitState};
use resilience_core::clock;
use resilience_core::rate::{Quota, RateLimiter};
use serde_json::Value;
use tower::BoxError;

use super::figure::Figure;
use super::flood::Flood;
use super::{Group, child, resident};
use crate::stats::ratio;

pub(super) const GROUP: Group = Group { names: &[NAME], measure };
/// The first word in the name of a child process of this figure.
pub(super) const CHILD: &str = "hostile";

const NAME: &str = "hostile keys";
/// The bound of the store in bytes.
const BOUND: usize = 32 << 20;
const HOT: u64 = 1_000;
/// The number of hostile calls for each call of a hot key.
const EACH: u64 = 10;
const OPEN: u64 = 500;
const SPENT: u64 = 500;
/// The most checks for a pin in one call: 8 keys in each of 4 shards, and 8 in the idle sweep.
const LOOKED_AT: f64 = 40.0;

fn measure(quick: bool) -> Result<Vec<Figure>, BoxError> {
    if resident::now().is_none() {
        println!("skipped: {NAME}: no /proc/self/status");
        return Ok(Vec::new());
    }
    let keys = if quick { 1_000_000 } else { 10_000_000 };
    let mut figure = Figure::new(NAME, "keys that came once", "resident bytes / the bound");
    let limiters = of("limiters", keys, &mut figure)?;
    let hourly = of("hourly limiters", keys, &mut figure)?;
    let breakers = of("breakers", keys, &mut figure)?;
    let all = [&limiters, &hourly, &breakers];
    let most = |field: &str| all.iter().filter_map(|found| found[field].as_f64()).reduce(f64::max);
    let (peak, asked) = (most("peak"), most("asked"));
    figure.exact("resident bytes at most / the bound", 1.05, peak);
    figure.exact("keys that a call asks whether they are pinned", LOOKED_AT, asked);
    figure.exact("share of hot decisions that differ", 0.001, most("differ"));
    figure.exact("calls for the overflow state", 0.0, most("overflowed"));
    figure.exact("new keys denied, at ten an hour", 0.0, hourly["denied"].as_f64());
    figure.exact("spent keys forgotten, at ten an hour", 0.0, hourly["lost"].as_f64());
    figure.exact("open circuits lost", 0.0, breakers["lost"].as_f64());
    Ok(vec![figure])
}

/// Returns the result of the child process, and adds its resident bytes to the figure.
fn of(kept: &str, keys: u64, figure: &mut Figure) -> Result<Value, BoxError> {
    let found = child::ask(&format!("{CHILD} {kept}"), keys)?;
    for point in found["points"].as_array().into_iter().flatten() {
        if let Some((size, share)) = point[0].as_u64().zip(point[1].as_f64()) {
            figure.add(&format!("our Keyed, {kept}"), "", size, share);
        }
    }
    eprintln!("{kept}: {found}");
    Ok(found)
}

/// Runs the flood of one kind of entry, in the child process.
pub(super) fn child(kept: &str, keys: u64) -> Result<Value, BoxError> {
    match kept {
        "limiters" => limiters(keys, BOUND),
        "hourly limiters" => hourly(keys, BOUND),
        "breakers" => breakers(keys, BOUND),
        _ => Err(format!("unknown kind of entry `{kept}`").into()),
    }
}

/// Compares each decision about a hot key with that of a limiter that is never evicted.
fn limiters(keys: u64, bound: usize) -> Result<Value, BoxError> {
    // Half of a hot key's calls pass if it is not evicted; no token is refilled during a run.
    let passes = u32::try_from(keys / EACH / HOT / 2)?.max(1);
    Ok(flooded(keys, bound, Quota::per(passes, Duration::from_secs(86_400))?)?.0)
}

/// Ten calls an hour, which many keys have spent before the flood comes: each key of that spends
/// one.
fn hourly(keys: u64, bound: usize) -> Result<Value, BoxError> {
    let (mut found, flood) = flooded(keys, bound, Quota::per(10, Duration::from_secs(3_600))?)?;
    let kept = (0..SPENT).filter_map(|key| flood.store.peek(&spent(key), flood.now));
    let spent = kept.filter(|limiter| limiter.0.check_at(flood.now, 1).is_err()).count();
    found["lost"] = SPENT.saturating_sub(spent as u64).into();
    Ok(found)
}

fn spent(key: u64) -> String {
    format!("spent {key}")
}

fn flooded(keys: u64, bound: usize, quota: Quota) -> Result<(Value, Flood<RateLimiter>), BoxError> {
    let limiter = RateLimiter::builder().quota(quota).build()?;
    let oracle: Vec<(String, RateLimiter)> =
        (0..HOT).map(|key| (format!("hot {key}"), limiter.fresh())).collect();
    let now = clock::now();
    let ask = |limiter: &RateLimiter| limiter.check_at(now, 1).is_ok();

    let mut flood = Flood::new(bound, move |_| limiter.fresh())?;
    for key in 0..SPENT {
        flood.call(&spent(key), |limiter| limiter.check_at(now, quota.burst()).is_ok());
    }
    let (mut calls, mut differ, mut denied) = (0, 0, 0);
    for number in 0..keys {
        denied += u64::from(!flood.call(&hostile(number), ask));
        if number % EACH == 0 {
            let (key, known) = &oracle[usize::try_from(number / EACH * 7_919 % HOT)?];
            calls += 1;
            differ += u64::from(flood.call(key, ask) != ask(known));
        }
        flood.look(number + 1);
    }
    let mut found = flood.found();
    found["differ"] = ratio(differ, calls).into();
    found["denied"] = denied.into();
    Ok((found, flood))
}

/// Opens circuits, then floods the store with new keys that make one successful call each.
fn breakers(keys: u64, bound: usize) -> Result<Value, BoxError> {
    let day = Duration::from_secs(86_400);
    let breaker = CircuitBreaker::builder().break_for(day).build()?;
    let mut flood = Flood::new(bound, move |_| breaker.fresh())?;
    let open: Vec<String> = (0..OPEN).map(|key| format!("open {key}")).collect();
    for key in &open {
        flood.call(key, CircuitBreaker::open);
    }
    for number in 0..keys {
        flood.call(&hostile(number), |breaker| {
            breaker.try_admit().map(|call| call.success()).is_ok()
        });
        flood.look(number + 1);
    }
    let is_open = |key: &&String| {
        let kept = flood.store.peek(key, flood.now);
        kept.is_some_and(|kept| kept.0.state() == CircuitState::Open)
    };
    let lost = open.len() - open.iter().filter(is_open).count();
    let mut found = flood.found();
    found["lost"] = lost.into();
    Ok(found)
}

/// Returns a key of 10 to 42 bytes that is used once.
fn hostile(number: u64) -> String {
    format!("{number:0width$}", width = 10 + usize::try_from(number % 33).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Resident memory is measured in child processes; every other result is the same at any size.
    #[test]
    fn a_flood_changes_no_decision_and_closes_no_circuit() {
        let (keys, bound) = (60_000, 3 << 20);
        let all = [
            (limiters(keys, bound), &["differ", "denied"][..]),
            (hourly(keys, bound), &["differ", "denied", "lost"]),
            (breakers(keys, bound), &["lost"]),
        ];
        for (found, none) in all {
            let found = found.unwrap();
            for field in none.iter().chain(&["overflowed"]) {
                assert_eq!(found[*field].as_f64(), Some(0.0), "{field}: {found}");
            }
            assert!(found["evicted"].as_u64().unwrap() > keys / 3, "{found}");
            assert!(found["asked"].as_f64().unwrap() <= LOOKED_AT, "{found}");
            assert!(found["bytes"].as_u64().unwrap() <= bound as u64, "{found}");
        }
    }
}
