//! Reader of the keys of one profile into builders.
//!
//! A key has the name of the builder method that it calls, and a part that of the method of
//! [`StackBuilder`](crate::stack::StackBuilder).

use std::cell::RefCell;
use std::time::Duration;

use toml::de::DeTable;

use super::error::ProfilesError;
use super::reader::{KeyLines, Reader, SourceText};
use crate::breaker::{CircuitBreaker, CircuitBreakerBuilder, ProbeRule, SlidingWindow};
use crate::bulkhead::{Bulkhead, BulkheadBuilder, QueueOrder};
use crate::config::InvalidConfig;
use crate::rate::{Quota, RateLimiter, RateLimiterBuilder};
use crate::retry::{Backoff, RetryBudget, RetryBudgetBuilder, RetryPolicy, RetryPolicyBuilder};

type Read<T> = Result<T, ProfilesError>;

/// Calls the methods of `$builder` that have the names of the keys, if the text has the keys.
macro_rules! set {
    ($reader:expr, $builder:ident, $($key:ident: $type:ident),+) => {
        $(if let Some(value) = $reader.$type(stringify!($key))? {
            $builder = $builder.$key(value);
        })+
    };
}

/// Calls the methods of `$builder` that have the names of the flags, if the flags are `true`.
macro_rules! set_flags {
    ($reader:expr, $builder:ident, $($key:ident),+) => {
        $(if $reader.flag(stringify!($key))? {
            $builder = $builder.$key();
        })+
    };
}

/// A profile that was read but not built.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) name: String,
    line: usize,
    lines: KeyLines,
    pub(super) deadline: Duration,
    pub(super) bulkhead: Option<BulkheadBuilder>,
    /// The policy, and the budget that it will have.
    pub(super) retry: Option<(RetryPolicyBuilder, Option<RetryBudgetBuilder>)>,
    pub(super) rate_limit: Option<RateLimiterBuilder>,
    pub(super) circuit_breaker: Option<CircuitBreakerBuilder>,
    pub(super) attempt_timeout: Option<Duration>,
}

impl Spec {
    pub(super) fn read(
        text: SourceText<'_>,
        name: &str,
        table: &DeTable<'_>,
        line: usize,
    ) -> Read<Spec> {
        let lines = RefCell::default();
        let reader = Reader::new(text, name, table, line, &lines);
        let deadline = reader.required("deadline", reader.duration("deadline")?)?;
        let attempt_timeout = reader.duration("attempt_timeout")?;
        let bulkhead = reader.table("bulkhead")?.map(bulkhead).transpose()?;
        let retry = reader.table("retry")?.map(retry).transpose()?;
        let rate_limit = reader.table("rate_limit")?.map(rate_limit).transpose()?;
        let circuit_breaker = reader.table("circuit_breaker")?.map(circuit_breaker).transpose()?;
        reader.finish()?;
        Ok(Spec {
            name: name.to_owned(),
            line,
            lines: lines.into_inner(),
            deadline,
            bulkhead,
            retry,
            rate_limit,
            circuit_breaker,
            attempt_timeout,
        })
    }

    /// Converts an error of `part`, or of the plan (which names the part itself), and adds the line
    /// of the text.
    pub(super) fn rejected(&self, part: &str, error: &InvalidConfig) -> ProfilesError {
        let field = toml_path(part, error.field());
        let at = |path: &str| self.lines.iter().find(|(it, _)| it == path).map(|&(_, line)| line);
        let outer = field.split('.').next().unwrap_or_default();
        let line = at(&field).or_else(|| at(outer)).unwrap_or(self.line);
        let rejected = ProfilesError::out_of_bounds(error.value(), error.bound());
        rejected.at(Some(line)).of(&self.name).field_is(field)
    }
}

/// Returns the path in the text of a field that `part`, or the plan, names in an error. The two
/// differ for parts that are a value and not a table.
fn toml_path(part: &str, field: &str) -> String {
    let path = if part.is_empty() { field.to_owned() } else { format!("{part}.{field}") };
    match path.as_str() {
        "deadline.limit" => "deadline".to_owned(),
        "attempt_timeout.limit" => "attempt_timeout".to_owned(),
        "circuit_breaker.slow_calls" => "circuit_breaker.slow_calls.slow".to_owned(),
        _ => path,
    }
}

fn bulkhead(reader: Reader<'_>) -> Read<BulkheadBuilder> {
    let max = reader.count("max_concurrent")?;
    let mut builder = Bulkhead::builder().max_concurrent(reader.required("max_concurrent", max)?);
    let order = reader.word("order", "\"fifo\" or \"newest_first\"", |word| match word {
        "fifo" => Some(QueueOrder::Fifo),
        "newest_first" => Some(QueueOrder::NewestFirst),
        _ => None,
    });
    if let Some(wait) = reader.duration("wait_at_most")? {
        builder = builder.wait_at_most(wait);
        builder = order?.into_iter().fold(builder, BulkheadBuilder::order);
        set!(reader, builder, max_queued: count);
    } else {
        reader.reject("order", "left out where no call waits")?;
        reader.reject("max_queued", "left out where no call waits")?;
    }
    set_flags!(reader, builder, observe_only);
    reader.finish()?;
    Ok(builder)
}

fn rate_limit(reader: Reader<'_>) -> Read<RateLimiterBuilder> {
    let quota = quota(&reader)?;
    let mut builder = RateLimiter::builder().quota(quota);
    set!(reader, builder, min_gap: duration, warm_up: duration, longest_hint: duration);
    if let Some(wait) = reader.duration("wait_at_most")? {
        builder = builder.wait_at_most(wait);
        set!(reader, builder, max_queued: count);
    } else {
        reader.reject("max_queued", "left out where no call waits")?;
        builder = builder.reject();
    }
    set_flags!(reader, builder, observe_only);
    reader.finish()?;
    Ok(builder)
}

/// Reads the quota, which has one of several keys.
fn quota(reader: &Reader<'_>) -> Read<Quota> {
    const ONE_OF: &str = "the only one of `per_second`, `per_minute` and `count`";
    let second = Duration::from_secs(1);
    let periods = [("per_second", second), ("per_minute", second * 60)];
    let mut given = Vec::new();
    for (key, period) in periods {
        given.extend(reader.count(key)?.map(|count| (key, count, period)));
    }
    if let Some(count) = reader.count("count")? {
        let period = reader.duration("period")?;
        given.push(("count", count, reader.required("period", period)?));
    } else {
        reader.reject("period", "used with `count`")?;
    }
    if let [_, (second, ..), ..] = given[..] {
        reader.reject(second, ONE_OF)?;
    }
    let Some(&(key, count, period)) = given.first() else {
        let message = "has none of `per_second`, `per_minute` and `count`";
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
            other => other,
        };
        reader.invalid(key, &error)
    })
}

fn retry(reader: Reader<'_>) -> Read<(RetryPolicyBuilder, Option<RetryBudgetBuilder>)> {
    let attempts = reader.count("max_attempts")?;
    let usual = reader.table("backoff")?;
    let mut builder = RetryPolicy::builder()
        .max_attempts(reader.required("max_attempts", attempts)?)
        .backoff(backoff(reader.required("backoff", usual)?)?);
    // Without a limit of its own, since the profile's deadline limits the call.
    builder = match reader.duration("max_elapsed")? {
        Some(elapsed) => builder.max_elapsed(elapsed),
        None => builder.unlimited_elapsed(),
    };
    if let Some(throttled) = reader.table("throttled_backoff")? {
        builder = builder.throttled_backoff(backoff(throttled)?);
    }
    set!(reader, builder, attempt_time: duration);
    set_flags!(reader, builder, wait_when_not_ready, without_unknown_retries);
    let budget = budget(&reader)?;
    reader.finish()?;
    Ok((builder.without_budget(), budget))
}

/// Reads the budget: by default a tenth of the calls.
fn budget(reader: &Reader<'_>) -> Read<Option<RetryBudgetBuilder>> {
    let table = reader.table("budget")?;
    if reader.flag("without_budget")? {
        return match table {
            Some(_) => reader.reject("without_budget", "left out with a `budget`").map(|()| None),
            None => Ok(None),
        };
    }
    let mut budget = RetryBudget::builder();
    let Some(reader) = table else { return Ok(Some(budget)) };
    set!(reader, budget, ratio: share, reserve: count, window: duration);
    reader.finish()?;
    Ok(Some(budget))
}

/// Kind of jitter, "decorrelated" by default. A percentage is that of an exponential backoff.
#[derive(Debug, Clone, Copy)]
enum Jitter {
    Decorrelated,
    Full,
    Equal,
    Percent(f64),
}

fn backoff(reader: Reader<'_>) -> Read<Backoff> {
    const JITTER: &str =
        "\"decorrelated\", \"full\", \"equal\", \"none\" or a percentage such as \"30%\"";
    let base = reader.required("base", reader.duration("base")?)?;
    let cap = reader.required("cap", reader.duration("cap")?)?;
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
    let backoff = backoff.map_err(|error| {
        let key = if error.field() == "percent" { "jitter" } else { error.field() };
        reader.invalid(key, &error)
    })?;
    reader.finish()?;
    Ok(backoff)
}

fn circuit_breaker(reader: Reader<'_>) -> Read<CircuitBreakerBuilder> {
    let mut builder = CircuitBreaker::builder();
    set!(reader, builder, consecutive_failures: count);
    set_flags!(reader, builder, throttled_in_rates_only);
    builder = rates(&reader, builder)?;
    builder = breaks(&reader, builder)?;
    set!(reader, builder, probes: count);
    if let Some(share) = reader.share("probes_succeed_by")? {
        builder = builder.probes_succeed_by(ProbeRule::Ratio(share));
    }
    set!(reader, builder, max_half_open: duration);
    set_flags!(reader, builder, observe_only);
    reader.finish()?;
    Ok(builder)
}

/// Reads the shares of failed and slow calls that open the circuit.
fn rates(reader: &Reader<'_>, mut builder: CircuitBreakerBuilder) -> Read<CircuitBreakerBuilder> {
    let failures = reader.share("failure_rate")?;
    let slow = reader.table("slow_calls")?;
    if failures.is_none() && slow.is_none() {
        for key in ["window", "minimum_calls"] {
            reader.reject(key, "used with `failure_rate` or `slow_calls`")?;
        }
        return Ok(builder);
    }
    let table = reader.table("window")?;
    let window = window(reader.required("window", table)?)?;
    if let Some(share) = failures {
        builder = builder.failure_rate(share, window);
    }
    if let Some(reader) = slow {
        let slow = reader.required("slow", reader.duration("slow")?)?;
        let share = reader.share("share")?;
        builder = builder.slow_calls(slow, reader.required("share", share)?, window);
        reader.finish()?;
    }
    set!(reader, builder, minimum_calls: count);
    Ok(builder)
}

fn window(reader: Reader<'_>) -> Read<SlidingWindow> {
    let window = match reader.count("count")? {
        Some(calls) => {
            reader.reject("time", "left out with `count`")?;
            SlidingWindow::count(calls)
        }
        None => {
            let missing = || reader.missing("has none of `time` and `count`");
            SlidingWindow::time(reader.duration("time")?.ok_or_else(missing)?)
        }
    };
    reader.finish()?;
    Ok(window)
}

/// Reads the settings of the break.
fn breaks(reader: &Reader<'_>, mut builder: CircuitBreakerBuilder) -> Read<CircuitBreakerBuilder> {
    if let Some(growing) = reader.table("growing_break")? {
        reader.reject("break_for", "left out with `growing_break`")?;
        let first = growing.required("first", growing.duration("first")?)?;
        let factor = growing.required("factor", growing.number("factor")?)?;
        let max = growing.required("max", growing.duration("max")?)?;
        builder = builder.growing_break(first, factor, max);
        growing.finish()?;
    } else if let Some(length) = reader.duration("break_for")? {
        builder = builder.break_for(length);
    }
    set!(reader, builder, break_jitter: share, break_memory: duration, longest_hint: duration);
    set_flags!(reader, builder, open_on_hint);
    Ok(builder)
}
