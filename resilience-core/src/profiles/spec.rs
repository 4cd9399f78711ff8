//! One profile: which keys it has, and what they are told to.

use std::cell::RefCell;
use std::time::Duration;

use toml::de::DeTable;

use super::error::ProfilesError;
use super::reader::{Places, Reader, Text};
use crate::breaker::{CircuitBreaker, CircuitBreakerBuilder, ProbeRule, SlidingWindow};
use crate::bulkhead::{Bulkhead, BulkheadBuilder, QueueOrder};
use crate::config::InvalidConfig;
use crate::rate::{Quota, RateLimiter, RateLimiterBuilder};
use crate::retry::{Backoff, RetryBudget, RetryBudgetBuilder, RetryPolicy, RetryPolicyBuilder};

type Read<T> = Result<T, ProfilesError>;

/// A profile that was read, and not built yet.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) name: String,
    line: usize,
    places: Places,
    pub(super) deadline: Duration,
    pub(super) bulkhead: Option<BulkheadBuilder>,
    /// The policy, and the budget that it is to have.
    pub(super) retry: Option<(RetryPolicyBuilder, Option<RetryBudgetBuilder>)>,
    pub(super) rate: Option<RateLimiterBuilder>,
    pub(super) breaker: Option<CircuitBreakerBuilder>,
    pub(super) attempt_timeout: Option<Duration>,
}

impl Spec {
    pub(super) fn read(text: Text<'_>, name: &str, table: &DeTable<'_>, line: usize) -> Read<Spec> {
        let places = RefCell::default();
        let reader = Reader::new(text, name, table, line, &places);
        let deadline = reader.duration("deadline")?;
        let deadline = reader.required("deadline", deadline)?;
        let attempt_timeout = reader.duration("attempt_timeout")?;
        let bulkhead = reader.table("bulkhead")?.map(bulkhead).transpose()?;
        let retry = reader.table("retry")?.map(retry).transpose()?;
        let rate = reader.table("rate")?.map(rate).transpose()?;
        let breaker = reader.table("breaker")?.map(breaker).transpose()?;
        reader.finish()?;
        Ok(Spec {
            name: name.to_owned(),
            line,
            places: places.into_inner(),
            deadline,
            bulkhead,
            retry,
            rate,
            breaker,
            attempt_timeout,
        })
    }

    /// A refusal of `part`, or of the plan (which names the part itself), where the text says what it
    /// refuses.
    pub(super) fn refused(&self, part: &str, error: &InvalidConfig) -> ProfilesError {
        let field = toml_name(part, error.field());
        let at = |path: &str| self.places.iter().find(|(it, _)| it == path).map(|&(_, line)| line);
        let outer = field.split('.').next().unwrap_or_default();
        let line = at(&field).or_else(|| at(outer)).unwrap_or(self.line);
        let refused = ProfilesError::out_of_bounds(error.value(), &toml_bound(error.bound()));
        refused.at(Some(line)).of(&self.name).field_is(field)
    }
}

/// What the text calls a field that a builder calls otherwise.
fn toml_name(part: &str, field: &str) -> String {
    const NAMES: [(&str, &str); 21] = [
        ("bulkhead.wait_at_most", "bulkhead.wait"),
        ("rate_limit.wait_at_most", "rate.wait"),
        ("rate_limit.wait", "rate.wait"),
        ("rate_limit.max_queued", "rate.max_queued"),
        ("rate.wait_at_most", "rate.wait"),
        ("retry.max_attempts", "retry.attempts"),
        ("retry.budget.ratio", "retry.budget"),
        ("retry.ratio", "retry.budget"),
        ("retry.window", "retry.budget_window"),
        ("circuit_breaker.minimum_calls", "breaker.minimum_calls"),
        ("circuit_breaker.slow_calls", "breaker.slow_after"),
        ("breaker.slow_calls", "breaker.slow_after"),
        ("breaker.slow_calls.share", "breaker.slow_rate"),
        ("breaker.window.time", "breaker.window"),
        ("breaker.window.count", "breaker.window_calls"),
        ("breaker.growing_break.first", "breaker.break_for"),
        ("breaker.growing_break.max", "breaker.break_max"),
        ("breaker.growing_break.factor", "breaker.break_factor"),
        ("breaker.probes_succeed_by", "breaker.probes_succeed"),
        ("deadline.limit", "deadline"),
        ("attempt_timeout.limit", "attempt_timeout"),
    ];
    let path = if part.is_empty() { field.to_owned() } else { format!("{part}.{field}") };
    NAMES.iter().find(|(name, _)| *name == path).map_or(path, |(_, name)| (*name).to_owned())
}

/// Replaces the name of another setting in a builder's bound by the one that the text uses.
fn toml_bound(bound: &str) -> String {
    bound.replace("`growing_break.max`", "`break_max`")
}

fn bulkhead(reader: Reader<'_>) -> Read<BulkheadBuilder> {
    let max = reader.count("max_concurrent")?;
    let mut builder = Bulkhead::builder().max_concurrent(reader.required("max_concurrent", max)?);
    let order = reader.word("order", "\"fifo\" or \"newest_first\"", |word| match word {
        "fifo" => Some(QueueOrder::Fifo),
        "newest_first" => Some(QueueOrder::NewestFirst),
        _ => None,
    });
    if let Some(wait) = reader.duration("wait")? {
        builder = builder.wait_at_most(wait);
        builder = order?.into_iter().fold(builder, BulkheadBuilder::order);
        let queued = reader.count("max_queued")?;
        builder = queued.into_iter().fold(builder, BulkheadBuilder::max_queued);
    } else {
        reader.refuse("order", "left out where no call waits")?;
        reader.refuse("max_queued", "left out where no call waits")?;
    }
    if reader.flag("observe_only")? {
        builder = builder.observe_only();
    }
    reader.finish()?;
    Ok(builder)
}

fn rate(reader: Reader<'_>) -> Read<RateLimiterBuilder> {
    let quota = quota(&reader)?;
    let mut builder = RateLimiter::builder().quota(quota);
    if let Some(gap) = reader.duration("min_gap")? {
        builder = builder.min_gap(gap);
    }
    if let Some(warm_up) = reader.duration("warm_up")? {
        builder = builder.warm_up(warm_up);
    }
    if let Some(longest) = reader.duration("longest_hint")? {
        builder = builder.longest_hint(longest);
    }
    if let Some(wait) = reader.duration("wait")? {
        builder = builder.wait_at_most(wait);
        let queued = reader.count("max_queued")?;
        builder = queued.into_iter().fold(builder, RateLimiterBuilder::max_queued);
    } else {
        reader.refuse("max_queued", "left out where no call waits")?;
        builder = builder.reject();
    }
    if reader.flag("observe_only")? {
        builder = builder.observe_only();
    }
    reader.finish()?;
    Ok(builder)
}

/// How many in how long, said in one way.
fn quota(reader: &Reader<'_>) -> Read<Quota> {
    const ONE_OF: &str = "the only one of `per_second`, `per_minute`, `per_hour` and `calls`";
    let second = Duration::from_secs(1);
    let periods =
        [("per_second", second), ("per_minute", second * 60), ("per_hour", second * 3_600)];
    let mut given = Vec::new();
    for (key, period) in periods {
        given.extend(reader.count(key)?.map(|count| (key, count, period)));
    }
    if let Some(calls) = reader.count("calls")? {
        let period = reader.duration("per")?;
        given.push(("calls", calls, reader.required("per", period)?));
    } else {
        reader.refuse("per", "used with `calls`")?;
    }
    if let [_, (second, ..), ..] = given[..] {
        reader.refuse(second, ONE_OF)?;
    }
    let Some(&(key, count, period)) = given.first() else {
        let message = "has none of `per_second`, `per_minute`, `per_hour` and `calls`";
        return Err(reader.missing(message));
    };
    let quota = Quota::per(count, period);
    let quota = match reader.count("burst")? {
        Some(burst) => quota.and_then(|quota| quota.with_burst(burst)),
        None => quota,
    };
    quota.map_err(|error| {
        let key = match error.field() {
            "count" => key,
            "period" => "per",
            other => other,
        };
        reader.invalid(key, &error)
    })
}

fn retry(reader: Reader<'_>) -> Read<(RetryPolicyBuilder, Option<RetryBudgetBuilder>)> {
    let attempts = reader.count("attempts")?;
    let mut builder = RetryPolicy::builder()
        .max_attempts(reader.required("attempts", attempts)?)
        .backoff(backoff(&reader)?);
    // The profile's deadline limits it.
    builder = match reader.duration("max_elapsed")? {
        Some(elapsed) => builder.max_elapsed(elapsed),
        None => builder.unlimited_elapsed(),
    };
    if let Some(throttled) = reader.table("throttled")? {
        builder = builder.throttled_backoff(backoff(&throttled)?);
        throttled.finish()?;
    }
    if let Some(usual) = reader.duration("attempt_time")? {
        builder = builder.attempt_time(usual);
    }
    if reader.flag("wait_when_not_ready")? {
        builder = builder.wait_when_not_ready();
    }
    if reader.flag("without_unknown_retries")? {
        builder = builder.without_unknown_retries();
    }
    let budget = budget(&reader)?;
    reader.finish()?;
    Ok((builder.without_budget(), budget))
}

/// A share of the calls, "none", or by default a tenth.
fn budget(reader: &Reader<'_>) -> Read<Option<RetryBudgetBuilder>> {
    let ratio = reader.word("budget", "a percentage such as \"10%\", or \"none\"", |word| {
        if word == "none" { Some(None) } else { super::reader::percent(word).map(Some) }
    })?;
    let mut budget = RetryBudget::builder();
    match ratio {
        Some(None) => {
            reader.refuse("reserve", "left out without a budget")?;
            reader.refuse("budget_window", "left out without a budget")?;
            return Ok(None);
        }
        Some(Some(ratio)) => budget = budget.ratio(ratio),
        None => {}
    }
    if let Some(reserve) = reader.count("reserve")? {
        budget = budget.reserve(reserve);
    }
    if let Some(window) = reader.duration("budget_window")? {
        budget = budget.window(window);
    }
    Ok(Some(budget))
}

/// "decorrelated" by default; a percentage is an exponential backoff of so much to either side.
#[derive(Debug, Clone, Copy)]
enum Jitter {
    Decorrelated,
    Full,
    Equal,
    Percent(f64),
}

fn backoff(reader: &Reader<'_>) -> Read<Backoff> {
    const JITTER: &str =
        "\"decorrelated\", \"full\", \"equal\", \"none\" or a percentage such as \"30%\"";
    let (base, cap) = (reader.duration("base")?, reader.duration("cap")?);
    let (base, cap) = (reader.required("base", base)?, reader.required("cap", cap)?);
    let jitter = reader.word("jitter", JITTER, |word| match word {
        "decorrelated" => Some(Jitter::Decorrelated),
        "full" => Some(Jitter::Full),
        "equal" => Some(Jitter::Equal),
        "none" => Some(Jitter::Percent(0.0)),
        other => super::reader::percent(other).map(Jitter::Percent),
    })?;
    let factor = reader.number("factor")?;
    let backoff = match jitter.unwrap_or(Jitter::Decorrelated) {
        Jitter::Decorrelated => Backoff::decorrelated_jitter(base, cap),
        Jitter::Full => Backoff::full_jitter(base, cap),
        Jitter::Equal => Backoff::equal_jitter(base, cap),
        Jitter::Percent(percent) => {
            Backoff::exponential(base, cap).and_then(|backoff| backoff.jittered(percent))
        }
    };
    let backoff = match factor {
        Some(factor) => backoff.and_then(|backoff| backoff.with_factor(factor)),
        None => backoff,
    };
    backoff.map_err(|error| {
        let key = if error.field() == "percent" { "jitter" } else { error.field() };
        reader.invalid(key, &error)
    })
}

fn breaker(reader: Reader<'_>) -> Read<CircuitBreakerBuilder> {
    let mut builder = CircuitBreaker::builder();
    if let Some(failures) = reader.count("consecutive_failures")? {
        builder = builder.consecutive_failures(failures);
    }
    if reader.flag("throttled_in_rates_only")? {
        builder = builder.throttled_in_rates_only();
    }
    builder = rates(&reader, builder)?;
    builder = breaks(&reader, builder)?;
    if let Some(probes) = reader.count("probes")? {
        builder = builder.probes(probes);
    }
    if let Some(share) = reader.share("probes_succeed")? {
        builder = builder.probes_succeed_by(ProbeRule::Ratio(share));
    }
    if let Some(longest) = reader.duration("max_half_open")? {
        builder = builder.max_half_open(longest);
    }
    if reader.flag("observe_only")? {
        builder = builder.observe_only();
    }
    reader.finish()?;
    Ok(builder)
}

/// When it opens by the share of calls that failed or were slow.
fn rates(reader: &Reader<'_>, mut builder: CircuitBreakerBuilder) -> Read<CircuitBreakerBuilder> {
    let (failures, slow) = (reader.share("failure_rate")?, reader.share("slow_rate")?);
    if failures.is_none() && slow.is_none() {
        for key in ["window", "window_calls", "minimum_calls"] {
            reader.refuse(key, "used with `failure_rate` or `slow_rate`")?;
        }
        reader.refuse("slow_after", "used with `slow_rate`")?;
        return Ok(builder);
    }
    let window = match reader.count("window_calls")? {
        Some(calls) => {
            reader.refuse("window", "left out with `window_calls`")?;
            SlidingWindow::count(calls)
        }
        None => {
            let window = reader.duration("window")?;
            SlidingWindow::time(reader.required("window", window)?)
        }
    };
    if let Some(share) = failures {
        builder = builder.failure_rate(share, window);
    }
    if let Some(share) = slow {
        let after = reader.duration("slow_after")?;
        builder = builder.slow_calls(reader.required("slow_after", after)?, share, window);
    } else {
        reader.refuse("slow_after", "used with `slow_rate`")?;
    }
    let minimum = reader.count("minimum_calls")?;
    Ok(minimum.into_iter().fold(builder, CircuitBreakerBuilder::minimum_calls))
}

/// How long it stays open.
fn breaks(reader: &Reader<'_>, mut builder: CircuitBreakerBuilder) -> Read<CircuitBreakerBuilder> {
    let first = reader.duration("break_for")?;
    let (factor, max) = (reader.number("break_factor")?, reader.duration("break_max")?);
    builder = match (first, factor, max) {
        (Some(first), None, None) => builder.break_for(first),
        (None, None, None) => builder,
        (first, factor, max) => {
            let first = reader.required("break_for", first)?;
            let factor = reader.required("break_factor", factor)?;
            builder.growing_break(first, factor, reader.required("break_max", max)?)
        }
    };
    if let Some(jitter) = reader.share("break_jitter")? {
        builder = builder.break_jitter(jitter);
    }
    if let Some(memory) = reader.duration("break_memory")? {
        builder = builder.break_memory(memory);
    }
    if let Some(longest) = reader.duration("longest_hint")? {
        builder = builder.longest_hint(longest);
    }
    if reader.flag("open_on_hint")? {
        builder = builder.open_on_hint();
    }
    Ok(builder)
}
