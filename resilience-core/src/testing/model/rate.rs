//! Model of the token bucket: a list of grants, checked in every window.

use std::time::{Duration, Instant};

use arbitrary::Arbitrary;

use crate::clock;
use crate::model_input::{Rest, parse};
use crate::rate::{Decision, Quota, Shaping, Taken, TokenBucket};

#[derive(Debug, Arbitrary)]
struct RateInput {
    count: u8,
    period: u16,
    burst: u8,
    min_gap: u8,
    warm_up: u8,
    operations: Rest<RateOperation>,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum RateOperation {
    Advance(u8),
    Take(u8),
    /// Waits until the instant that the bucket returns. A nanosecond less must be too short.
    TakeLater(u8),
    /// Gives a grant back, unless it is sent.
    GiveBack(u8),
    Send(u8),
    Pause(u8),
    /// Sets another burst; count and period stay.
    Burst(u8),
}

/// The grants that were not given back.
struct Reference {
    start: Instant,
    shaping: Shaping,
    largest_burst: u32,
    /// Time, cost, and the grant unless it is sent, in order.
    taken: Vec<(Instant, u32, Option<Taken>)>,
    paused_until: Instant,
}

impl Reference {
    /// Checks that no window of length w has more than burst + rate · w tokens, in exact
    /// arithmetic.
    fn check(&self) {
        let quota = self.shaping.quota();
        for (first, (from, ..)) in self.taken.iter().enumerate() {
            let mut sum = 0;
            for (to, cost, _) in &self.taken[first..] {
                sum += u128::from(*cost);
                let allowed = u128::from(self.largest_burst) * quota.period().as_nanos()
                    + to.duration_since(*from).as_nanos() * u128::from(quota.count());
                assert!(
                    sum * quota.period().as_nanos() <= allowed,
                    "{sum} within {:?}: {:?}",
                    *to - *from,
                    self.taken
                );
            }
        }
    }

    fn took(&mut self, now: Instant, cost: u32, taken: Taken, gap: Duration) {
        assert!(now >= self.paused_until, "within a pause");
        if let Some((before, ..)) = self.taken.last() {
            assert!(now - *before >= gap, "{:?} after the last", now - *before);
        }
        self.taken.push((now, cost, Some(taken)));
    }

    fn pick(&mut self, which: u8) -> Option<usize> {
        let open: Vec<_> = (0..self.taken.len()).filter(|&i| self.taken[i].2.is_some()).collect();
        (!open.is_empty()).then(|| open[usize::from(which) % open.len()])
    }
}

/// Asserts that no window exceeds its bound, also after tokens were given back; that a wait until
/// the returned instant is enough and a nanosecond less is not; and that an unused bucket is full
/// again.
pub fn rate(bytes: &[u8]) {
    let Some(input) = parse::<RateInput>(bytes) else { return };
    let period = Duration::from_nanos(u64::from(input.period) + 1);
    let Ok(quota) = Quota::per(u32::from(input.count) + 1, period) else { return };
    let Ok(quota) = quota.with_burst(u32::from(input.burst % 12) + 1) else { return };
    let gap = Duration::from_nanos(u64::from(input.min_gap / 16));
    let warm_up = Duration::from_nanos(u64::from(input.warm_up));
    let paced = |quota| Shaping::new(quota).with_min_gap(gap)?.with_warm_up(warm_up);
    let Ok(shaping) = paced(quota) else { return };
    let start = clock::now();
    let mut now = start;
    let mut bucket = TokenBucket::new(shaping);
    let largest_burst = quota.burst();
    let mut model =
        Reference { start, shaping, largest_burst, taken: Vec::new(), paused_until: start };
    for operation in input.operations.0.into_iter().take(80) {
        match operation {
            RateOperation::Advance(ns) => now += Duration::from_nanos(ns.into()) * 4,
            RateOperation::Take(cost) => {
                let cost = u32::from(cost % 14);
                if let Ok(taken) = bucket.try_take(now, cost) {
                    model.took(now, cost, taken, gap);
                }
            }
            RateOperation::TakeLater(cost) => {
                let cost = u32::from(cost % 14);
                match bucket.try_take(now, cost) {
                    Ok(taken) => model.took(now, cost, taken, gap),
                    Err(Decision::NotUntil(then)) => {
                        assert!(then > now, "a wait of no time");
                        let early = then - Duration::from_nanos(1);
                        assert_eq!(bucket.take(early, cost), Decision::NotUntil(then));
                        now = then;
                        let taken = bucket.try_take(now, cost);
                        assert!(taken.is_ok(), "waited, and rejected");
                        taken.into_iter().for_each(|taken| model.took(now, cost, taken, gap));
                    }
                    Err(decision) => {
                        assert_eq!(decision, Decision::Never);
                        assert!(cost > model.shaping.quota().burst());
                    }
                }
            }
            RateOperation::GiveBack(which) => {
                if let Some(index) = model.pick(which)
                    && let (_, _, Some(taken)) = model.taken.remove(index)
                {
                    bucket.give_back(taken);
                }
            }
            RateOperation::Send(which) => {
                if let Some(index) = model.pick(which) {
                    model.taken[index].2 = None;
                }
            }
            RateOperation::Pause(ns) => {
                let until = now + Duration::from_nanos(ns.into());
                bucket.pause_until(now, until);
                model.paused_until = model.paused_until.max(until);
            }
            RateOperation::Burst(burst) => {
                let Ok(quota) = quota.with_burst(u32::from(burst % 12) + 1) else { return };
                let Ok(shaping) = paced(quota) else { return };
                bucket.set_shaping(now, shaping);
                model.shaping = shaping;
                model.largest_burst = model.largest_burst.max(quota.burst());
            }
        }
    }
    model.check();
    assert!(now >= model.start);
    let rested = now + Duration::from_secs(1);
    let free = if model.paused_until > rested { 0 } else { model.shaping.quota().burst() };
    assert_eq!(bucket.available(rested), free);
    // Exactly the available tokens are granted.
    for at in [now, rested] {
        let free = bucket.available(at);
        let over = bucket.take(at, free + 1);
        assert_ne!(over, Decision::Conforms, "{free} available");
        assert!(free == 0 || bucket.take(at, free) == Decision::Conforms, "{free} available");
    }
}
