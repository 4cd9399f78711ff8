//! A lap of one subject: concurrent calls over all connections.

use std::time::Duration;

use cpu_time::ThreadTime;
use resilience_core::clock;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tower::BoxError;

use super::subjects::Subject;
use crate::stats::float;

/// Measurements of one lap.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    /// Calls per second of wall time.
    pub(super) per_second: f64,
    /// CPU time of the client's thread for each call, in nanoseconds.
    pub(super) cpu_ns: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) p999_us: f64,
}

/// Makes at least `calls` calls, from one task for each connection.
///
/// # Errors
/// Fails if a call fails, a task panics, or the CPU clock cannot be read.
pub(super) fn run(
    runtime: &Runtime,
    subject: &Subject,
    connections: usize,
    calls: usize,
) -> Result<Round, BoxError> {
    let each = calls.div_ceil(connections);
    let (wall, cpu) = (clock::now(), ThreadTime::try_now()?);
    let mut took = runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for _ in 0..connections {
            let call = subject.call.clone();
            tasks.spawn(async move {
                let mut took = Vec::with_capacity(each);
                for _ in 0..each {
                    let began = clock::now();
                    call().await?;
                    took.push(clock::now().saturating_duration_since(began));
                }
                Ok::<_, BoxError>(took)
            });
        }
        let mut all = Vec::with_capacity(connections * each);
        while let Some(took) = tasks.join_next().await {
            all.extend(took??);
        }
        Ok::<_, BoxError>(all)
    })?;
    let cpu = cpu.try_elapsed()?.as_secs_f64();
    let wall = clock::now().saturating_duration_since(wall).as_secs_f64();
    took.sort_unstable();
    let made = float(took.len());
    Ok(Round {
        per_second: made / wall,
        cpu_ns: cpu * 1e9 / made,
        p50_us: quantile(&took, 500),
        p99_us: quantile(&took, 990),
        p999_us: quantile(&took, 999),
    })
}

/// Returns a quantile of sorted durations in microseconds, by the nearest-rank method; 0 if there
/// are none.
fn quantile(sorted: &[Duration], thousandths: usize) -> f64 {
    let rank = (sorted.len() * thousandths).div_ceil(1_000);
    rank.checked_sub(1).map_or(0.0, |at| sorted[at].as_secs_f64() * 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let all: Vec<Duration> = (1..=1_000).map(Duration::from_micros).collect();
        assert!((quantile(&all, 990) - 990.0).abs() < 1e-6);
        assert!((quantile(&all[..1], 999) - 1.0).abs() < 1e-9);
        assert_eq!(quantile(&[], 500), 0.0);
    }
}
