//! The checks of a draft.

use std::time::Duration;

use super::Draft;
use crate::breaker::config::{
    AbandonedPolicy, Break, CircuitConfig, Detector, Goal, Hints, ProbeRule, Ramp, Share, Watches,
};
use crate::breaker::window::{SlidingWindow, WindowSpan};
use crate::config::{self, InvalidConfig};

/// Rates, and the windows that they are of.
#[derive(Debug, Default)]
struct Watched {
    windows: Vec<SlidingWindow>,
    detectors: Vec<Detector>,
}

impl Draft {
    pub(super) fn check(&self) -> Result<CircuitConfig, InvalidConfig> {
        let consecutive = self.consecutive.map(|n| within("consecutive_failures", n, 65_535));
        let Watched { windows, detectors } = self.watched()?;
        if self.abandoned == AbandonedPolicy::Slow && self.slow.is_none() {
            return Err(InvalidConfig::new("abandoned", "Slow", "used with `slow_calls`"));
        }
        let slow_after = self.slow.map(|(after, ..)| config::wait("slow_calls", after));
        let probes = within("probes", self.probes, 1_000)?;
        Ok(CircuitConfig {
            consecutive: consecutive.transpose()?,
            windows: windows.into(),
            detectors: detectors.into(),
            slow_after: slow_after.transpose()?,
            permanent_fails: self.permanent_fails,
            throttled_in_rates_only: self.throttled_in_rates_only,
            counted_rejections: self.counted_rejections.clone().into(),
            abandoned: self.abandoned,
            break_: self.checked_break()?,
            hints: self.hints()?,
            probes,
            goal: goal(self.rule, probes)?,
            max_half_open: config::wait("max_half_open", self.max_half_open)?,
            close_when_too_long: self.close_when_too_long,
            ramp: self.ramp.clone().map(checked_ramp).transpose()?,
            observe_only: self.observe_only,
        })
    }

    /// Returns the rates that are watched, and their windows, each once.
    fn watched(&self) -> Result<Watched, InvalidConfig> {
        let by_default = Some((0.5, SlidingWindow::time(Duration::from_secs(10))));
        let rates = match self.failure_rates {
            [None, None] if self.consecutive.is_none() && self.slow.is_none() => [by_default, None],
            rates => rates,
        };
        let failures = rates.iter().flatten();
        let failures = failures.map(|&(share, window)| ("failure_rate", share, window));
        let slow = self.slow.iter().map(|&(_, share, window)| ("slow_calls.share", share, window));
        let mut watched = Watched::default();
        let Watched { windows, detectors } = &mut watched;
        for (field, share, window) in failures.chain(slow) {
            let window = window.check()?;
            let index = windows.iter().position(|&it| it == window).unwrap_or(windows.len());
            if index == windows.len() {
                windows.push(window);
            }
            let slow = field == "slow_calls.share";
            detectors.push(Detector {
                window: index,
                watches: if slow { Watches::Slow } else { Watches::Failures },
                share: checked_share(field, share)?,
                minimum: self.minimum(window)?,
            });
        }
        Ok(watched)
    }

    fn minimum(&self, window: SlidingWindow) -> Result<u32, InvalidConfig> {
        let most = match window.0 {
            WindowSpan::Calls(calls) => calls,
            WindowSpan::Time { .. } => 1_000_000,
        };
        let Some(minimum) = self.minimum_calls else { return Ok(most.min(20)) };
        if (1..=most).contains(&minimum) {
            return Ok(minimum);
        }
        let bound = format_args!("between 1 and {most}, what the window holds").to_string();
        Err(InvalidConfig::new("minimum_calls", minimum, bound))
    }

    fn checked_break(&self) -> Result<Break, InvalidConfig> {
        let Break { first, factor, max, jitter, memory } = self.break_;
        if self.growing {
            config::wait("growing_break.first", first)?;
            config::wait("growing_break.max", max)?;
            config::number("growing_break.factor", factor, 1.0, 100.0)?;
            if max < first {
                let bound = format_args!("at most `growing_break.max` ({max:?})").to_string();
                let first = format_args!("{first:?}").to_string();
                return Err(InvalidConfig::new("growing_break.first", first, bound));
            }
        } else {
            config::wait("break_for", first)?;
        }
        config::number("break_jitter", jitter, 0.0, 1.0)?;
        if let Some(memory) = memory {
            config::wait("break_memory", memory)?;
        }
        Ok(self.break_)
    }

    fn hints(&self) -> Result<Hints, InvalidConfig> {
        let longest = match self.longest_hint {
            None if self.open_on_hint => {
                return Err(InvalidConfig::new("open_on_hint", "set", "unset to ignore hints"));
            }
            None => Duration::ZERO,
            Some(longest) => config::wait("longest_hint", longest)?,
        };
        Ok(Hints { longest, open: self.open_on_hint })
    }
}

/// Checks that `value` is from 1 to `most`.
fn within(field: &'static str, value: u32, most: u16) -> Result<u16, InvalidConfig> {
    let checked = u16::try_from(value).ok().filter(|value| (1..=most).contains(value));
    checked.ok_or_else(|| InvalidConfig::new(field, value, format_args!("between 1 and {most}")))
}

/// Checks that `value` is more than 0, at most 1, and a whole number of millionths, the unit of
/// rates.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the bounds")]
fn checked_share(field: &'static str, value: f64) -> Result<Share, InvalidConfig> {
    let scaled = value * 1e6;
    if !(value.is_finite() && scaled >= 0.5 && value <= 1.0) {
        return Err(InvalidConfig::new(field, value, "more than 0 and at most 1"));
    }
    if (scaled - scaled.round()).abs() > 1e-6 {
        return Err(InvalidConfig::new(field, value, "a whole number of millionths"));
    }
    Ok(Share(scaled.round() as u32))
}

fn goal(rule: ProbeRule, probes: u16) -> Result<Goal, InvalidConfig> {
    match rule {
        ProbeRule::Ratio(share) => {
            let needed = checked_share("probes_succeed_by", share)?.of(probes.into());
            // At least 1, since the share is more than 0.
            Ok(Goal { needed: u16::try_from(needed).unwrap_or(probes), of: probes })
        }
        ProbeRule::InARow(n) => {
            let n = within("probes_succeed_by", n, 1_000)?;
            Ok(Goal { needed: n, of: n })
        }
    }
}

fn checked_ramp(ramp: Ramp) -> Result<Ramp, InvalidConfig> {
    config::wait("ramp.each", ramp.each)?;
    if ramp.shares.is_empty() || ramp.shares.len() > 32 {
        return Err(InvalidConfig::new(
            "ramp.shares",
            ramp.shares.len(),
            "between 1 and 32 of them",
        ));
    }
    let mut before = 0.0;
    for &share in &ramp.shares {
        if !(share > before && share < 1.0) {
            let bound = format_args!("more than {before} and less than 1").to_string();
            return Err(InvalidConfig::new("ramp.shares", share, bound));
        }
        before = share;
    }
    Ok(ramp)
}
