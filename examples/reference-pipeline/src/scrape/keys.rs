//! A circuit breaker for each key `class:start:end` of a processor's work.
//!
//! The motivating system has such keys. Each is used on one day only, and a map without eviction
//! keeps all of them.

use std::convert::Infallible;
use std::fs;
use std::time::Duration;

use jiff::ToSpan;
use jiff::civil::{Date, date};
use resilience_core::breaker::{CircuitBreaker, CircuitBreakerLayer};
use resilience_core::keyed::KeyedLimits;
use resilience_core::{Error, InvalidConfig, clock};
use tower::ServiceBuilder;

use super::Arm;
use super::hand_made::breaker::Manager;
use super::message::{Measured, Message, Progress, Summary};
use crate::BoxError;

/// Keys between two reports of progress, at which the task also yields its thread.
const CHUNK: usize = 10_000;

/// Makes one call under each of `count` keys, and measures the memory that they take.
pub(super) async fn remember(arm: Arm, count: usize) -> Result<Summary, BoxError> {
    let before = resident();
    let keys = match arm {
        Arm::Before => {
            let manager = Manager::default();
            each(count, async |key| {
                manager.succeed(key, clock::now());
                Ok(())
            })
            .await?;
            measured(manager.len(), before)
        }
        Arm::After => {
            let breaker = CircuitBreaker::builder().name("processor").build()?;
            let layer = CircuitBreakerLayer::per_key(breaker, limits()?, String::clone);
            let service = ServiceBuilder::new()
                .layer(&layer)
                .map_err(Error::<Infallible>::Service)
                .service_fn(async |_: String| Ok(()));
            each(count, async |key| Ok(service.clone().oneshot(key).await?)).await?;
            measured(layer.selector().store().len(), before)
        }
    };
    Ok(Summary { succeeded: count, measured: Some(keys), ..Summary::default() })
}

/// Limits of 10,000 keys and 16 MiB, with a time to idle of one hour.
fn limits() -> Result<KeyedLimits, InvalidConfig> {
    KeyedLimits::new(10_000, 16 << 20, Duration::from_secs(3_600))
}

/// Makes one call for each key, one after the other.
async fn each(
    count: usize,
    call: impl AsyncFn(String) -> Result<(), BoxError>,
) -> Result<(), BoxError> {
    for nth in 0..count {
        if nth % CHUNK == 0 {
            Message::Progress(Progress { done: nth, of: count }).send()?;
            tokio::task::yield_now().await;
        }
        call(key(nth)?).await?;
    }
    Message::Progress(Progress { done: count, of: count }).send()
}

const FIRST: Date = date(2012, 10, 30);
const CLASSES: usize = 41;
const DAYS: usize = 5_000;

/// Returns the `nth` key.
fn key(nth: usize) -> Result<String, BoxError> {
    let class = nth % CLASSES;
    let nth = nth / CLASSES;
    let start = i64::try_from(nth % DAYS)?;
    let length = i64::try_from(nth / DAYS)?;
    let start = FIRST.checked_add(start.days())?;
    Ok(format!("processor_{class}:{start}:{}", start.checked_add(length.days())?))
}

fn measured(keys: usize, before: Option<u64>) -> Measured {
    let grown = |before| resident().map(|now| now.saturating_sub(before));
    Measured::Memory { keys, resident: before.and_then(grown) }
}

/// Returns this process's resident memory in bytes, or `None` where `/proc` does not exist.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn keys_are_distinct() {
        let some = [0, 1, CLASSES, CLASSES * DAYS - 1, CLASSES * DAYS, 999_999];
        let keys: HashSet<_> = some.into_iter().map(|nth| key(nth).unwrap()).collect();
        assert_eq!(keys.len(), some.len());
        assert_eq!(key(0).unwrap(), "processor_0:2012-10-30:2012-10-30");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_is_measured() {
        assert!(resident().is_some_and(|bytes| bytes > 100_000));
    }
}
