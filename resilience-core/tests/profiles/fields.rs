//! Every field of a profile, with every kind of bad value: the error names that very field, the
//! value and the bound.

use resilience_core::profiles::{Profiles, ProfilesError};

/// A type of value, with values that are bad for it wherever it stands.
#[derive(Clone, Copy)]
pub(super) enum Type {
    Duration,
    Count,
    Share,
    Number,
    Flag,
    Word,
}

use Type::{Count, Duration, Flag, Number, Share, Word};

impl Type {
    fn bad_values(self) -> &'static [&'static str] {
        match self {
            Duration => {
                &["5", "-1", "true", "[]", "''", "' '", "'-1s'", "'5M'", "'nan'", "'400 days'"]
            }
            Count => &["-1", "4294967296", "1.5", "nan", "'5'", "''", "true", "{}"],
            Share => &["0.5", "1", "''", "'10'", "'-1%'", "'nan%'", "'inf%'", "'1e9%'", "false"],
            Number => {
                &["nan", "inf", "-inf", "-1", "0", "1e9", "99999999999", "0xffff", "''", "'2'"]
            }
            Flag => &["1", "0", "''", "'yes'", "nan"],
            Word => &["1", "true", "''", "'lots'", "nan"],
        }
    }
}

/// Path, type, a good value, and what else is bad for it: zeros, what is too large, and what
/// contradicts other fields.
pub(super) type Field = (&'static str, Type, &'static str, &'static [&'static str]);

/// All fields that can stand in one profile.
pub(super) const FIELDS: &[Field] = &[
    ("deadline", Duration, "'60s'", &["'0s'"]),
    ("attempt_timeout", Duration, "'5s'", &["'0s'", "'60s'", "'61s'"]),
    ("bulkhead.max_concurrent", Count, "10", &["0"]),
    ("bulkhead.wait_at_most", Duration, "'1s'", &["'60s'", "'61s'"]),
    ("bulkhead.max_queued", Count, "50", &["0"]),
    ("bulkhead.order", Word, "'fifo'", &["'FIFO'"]),
    ("bulkhead.observe_only", Flag, "false", &[]),
    ("retry.max_attempts", Count, "3", &["0", "1001", "4294967295"]),
    ("retry.backoff.base", Duration, "'100ms'", &["'0s'", "'3s'"]),
    ("retry.backoff.cap", Duration, "'2s'", &["'0s'"]),
    ("retry.backoff.jitter", Word, "'full'", &["'-1%'", "'101%'", "'nan%'"]),
    ("retry.backoff.factor", Number, "2.0", &["0.99", "1001"]),
    ("retry.throttled_backoff.base", Duration, "'200ms'", &["'0s'", "'4s'"]),
    ("retry.throttled_backoff.cap", Duration, "'3s'", &["'0s'"]),
    ("retry.throttled_backoff.jitter", Word, "'equal'", &["'-1%'", "'101%'", "'nan%'"]),
    ("retry.throttled_backoff.factor", Number, "2", &["0.99", "1001"]),
    ("retry.budget.ratio", Share, "'10%'", &["'1001%'", "'0.01%'"]),
    ("retry.without_budget", Flag, "false", &[]),
    ("retry.budget.reserve", Count, "10", &["1000001", "4294967295"]),
    ("retry.budget.window", Duration, "'1m'", &["'0s'", "'25h'"]),
    ("retry.max_elapsed", Duration, "'50s'", &["'0s'"]),
    ("retry.attempt_time", Duration, "'1s'", &["'6s'"]),
    ("retry.wait_when_not_ready", Flag, "true", &[]),
    ("retry.without_unknown_retries", Flag, "true", &[]),
    ("rate_limit.count", Count, "100", &["0"]),
    ("rate_limit.period", Duration, "'1s'", &["'0s'"]),
    ("rate_limit.burst", Count, "5", &["0", "4294967295"]),
    ("rate_limit.min_gap", Duration, "'1ms'", &[]),
    ("rate_limit.warm_up", Duration, "'1s'", &[]),
    ("rate_limit.longest_hint", Duration, "'1m'", &["'0s'"]),
    ("rate_limit.wait_at_most", Duration, "'1s'", &["'60s'"]),
    ("rate_limit.max_queued", Count, "10", &["0"]),
    ("rate_limit.observe_only", Flag, "false", &[]),
    ("circuit_breaker.throttled_in_rates_only", Flag, "true", &[]),
    ("circuit_breaker.consecutive_failures", Count, "5", &["0", "65536"]),
    (
        "circuit_breaker.failure_rate",
        Share,
        "'50%'",
        &["'0%'", "'101%'", "'0.00001%'", "'12.34567%'"],
    ),
    (
        "circuit_breaker.slow_calls.share",
        Share,
        "'40%'",
        &["'0%'", "'101%'", "'0.00001%'", "'12.34567%'"],
    ),
    ("circuit_breaker.slow_calls.slow", Duration, "'1s'", &["'0s'", "'6s'"]),
    ("circuit_breaker.window.time", Duration, "'10s'", &["'0s'", "'25h'"]),
    ("circuit_breaker.minimum_calls", Count, "5", &["0", "1000001", "1900"]),
    ("circuit_breaker.growing_break.first", Duration, "'5s'", &["'0s'", "'61s'"]),
    ("circuit_breaker.growing_break.factor", Number, "2", &["0.99", "101"]),
    ("circuit_breaker.growing_break.max", Duration, "'60s'", &["'0s'"]),
    ("circuit_breaker.break_jitter", Share, "'10%'", &["'101%'"]),
    ("circuit_breaker.break_memory", Duration, "'60s'", &["'0s'"]),
    ("circuit_breaker.longest_hint", Duration, "'60s'", &["'0s'"]),
    ("circuit_breaker.open_on_hint", Flag, "true", &[]),
    ("circuit_breaker.probes", Count, "3", &["0", "1001"]),
    ("circuit_breaker.probes_succeed_by", Share, "'60%'", &["'0%'", "'101%'"]),
    ("circuit_breaker.max_half_open", Duration, "'1m'", &["'0s'"]),
    ("circuit_breaker.observe_only", Flag, "false", &[]),
];

/// Fields that stand in place of others, and those.
pub(super) const INSTEAD: &[(Field, &[&str])] = &[
    (("rate_limit.per_second", Count, "100", &["0"]), &["rate_limit.count", "rate_limit.period"]),
    (("rate_limit.per_minute", Count, "6000", &["0"]), &["rate_limit.count", "rate_limit.period"]),
    (
        ("circuit_breaker.window.count", Count, "100", &["0", "1000001"]),
        &["circuit_breaker.window.time"],
    ),
    (
        ("circuit_breaker.break_for", Duration, "'5s'", &["'0s'"]),
        &[
            "circuit_breaker.growing_break.first",
            "circuit_breaker.growing_break.factor",
            "circuit_breaker.growing_break.max",
        ],
    ),
    (
        ("retry.throttled_backoff", Flag, "{ base = '1s', cap = '2s' }", &[]),
        &[
            "retry.throttled_backoff.base",
            "retry.throttled_backoff.cap",
            "retry.throttled_backoff.jitter",
            "retry.throttled_backoff.factor",
        ],
    ),
    (
        ("bulkhead", Flag, "{ max_concurrent = 1 }", &[]),
        &[
            "bulkhead.max_concurrent",
            "bulkhead.wait_at_most",
            "bulkhead.max_queued",
            "bulkhead.order",
            "bulkhead.observe_only",
        ],
    ),
];

/// Fields that cannot stand without another, or beside it, with the value that they have here.
const CONTRADICTIONS: &[(&str, &[&str], &[&str])] = &[
    ("bulkhead.max_queued = 50", &[], &["bulkhead.wait_at_most", "bulkhead.order"]),
    ("bulkhead.order = 'fifo'", &[], &["bulkhead.wait_at_most"]),
    ("rate_limit.max_queued = 10", &[], &["rate_limit.wait_at_most"]),
    ("rate_limit.period = '1s'", &["rate_limit.per_second = 3"], &["rate_limit.count"]),
    (
        "rate_limit.per_minute = 4",
        &["rate_limit.per_second = 3"],
        &["rate_limit.count", "rate_limit.period"],
    ),
    ("rate_limit.count = 100", &["rate_limit.per_second = 3"], &[]),
    ("retry.without_budget = true", &[], &[]),
    (
        "retry.backoff.factor = 2.0",
        &["retry.backoff.jitter = 'decorrelated'"],
        &["retry.backoff.jitter"],
    ),
    (
        "retry.throttled_backoff.factor = 2",
        &["retry.throttled_backoff.jitter = 'decorrelated'"],
        &["retry.throttled_backoff.jitter"],
    ),
    (
        "retry.max_attempts = 3",
        &[
            "retry.backoff.jitter = 'none'",
            "retry.backoff.base = '30s'",
            "retry.backoff.cap = '30s'",
        ],
        &[
            "retry.backoff.jitter",
            "retry.backoff.base",
            "retry.backoff.cap",
            "retry.throttled_backoff.base",
            "retry.throttled_backoff.cap",
            "retry.throttled_backoff.jitter",
            "retry.throttled_backoff.factor",
        ],
    ),
    ("circuit_breaker.window.time = '10s'", &["circuit_breaker.window.count = 9"], &[]),
    (
        "circuit_breaker.window = { time = '10s' }",
        &[],
        &[
            "circuit_breaker.window.time",
            "circuit_breaker.failure_rate",
            "circuit_breaker.slow_calls.share",
            "circuit_breaker.slow_calls.slow",
        ],
    ),
    ("circuit_breaker.break_for = '5s'", &[], &[]),
    (
        "circuit_breaker.minimum_calls = 5",
        &[],
        &[
            "circuit_breaker.failure_rate",
            "circuit_breaker.slow_calls.share",
            "circuit_breaker.slow_calls.slow",
            "circuit_breaker.window.time",
        ],
    ),
    (
        "circuit_breaker.minimum_calls = 5",
        &["circuit_breaker.window.count = 4"],
        &["circuit_breaker.window.time"],
    ),
];

/// The profile of all [`FIELDS`] but those `without`, and these `lines`.
fn text(without: &[&str], lines: &[String]) -> String {
    let fields = FIELDS.iter().filter(|(path, ..)| !without.contains(path));
    let fields = fields.map(|(path, _, good, _)| format!("{path} = {good}"));
    let lines: Vec<String> = ["[a.b]".to_owned()]
        .into_iter()
        .chain(fields)
        .collect::<Vec<_>>()
        .into_iter()
        .chain(lines.iter().cloned())
        .collect();
    lines.join("\n")
}

/// Reads `text` in which `field = value` is bad, and checks what the error names.
fn check(text: &str, field: &str, value: &str) {
    let Err(error) = Profiles::from_toml(text) else {
        panic!("`{field} = {value}` is not refused")
    };
    let message = error.to_string();
    assert_eq!((error.profile(), error.field()), (Some("a.b"), Some(field)), "{value}: {message}");
    let line = 1 + text.lines().position(|line| line == format!("{field} = {value}")).unwrap_or(0);
    assert_eq!(error.line(), Some(line), "`{field} = {value}`: {message}");
    let (found, bound) = sentence(&error, field);
    assert!(!bound.is_empty() && shows(&found, value), "`{field} = {value}`: {message}");
}

/// The value and the bound of "…`field` is 5, must be at least 6".
fn sentence(error: &ProfilesError, field: &str) -> (String, String) {
    let message = error.to_string();
    let parts = message
        .split_once(&format!("`{field}` is "))
        .and_then(|(_, it)| it.split_once(", must be "));
    let (found, bound) =
        parts.unwrap_or_else(|| panic!("no value and bound of `{field}`: {message}"));
    (found.to_owned(), bound.to_owned())
}

/// Returns `true` if `found` is `value`: as the text has it, as its type, or as its meaning.
fn shows(found: &str, value: &str) -> bool {
    let plain = value.trim_matches('\'');
    let number = |text: &str| text.strip_suffix('%').unwrap_or(text).parse::<f64>().ok();
    let same =
        |a: f64, b: f64| a.to_bits() == b.to_bits() || (a - b).abs() < 1e-9 * b.abs().max(1.0);
    let scale = if plain.ends_with('%') { 100.0 } else { 1.0 };
    let amounts = number(plain)
        .zip(number(found))
        .is_some_and(|(a, b)| same(a / scale, b) || (a.is_nan() && b.is_nan()));
    let lasts = humantime(plain).is_some() && humantime(plain) == humantime(found);
    let hex = plain.strip_prefix("0x").and_then(|hex| i64::from_str_radix(hex, 16).ok());
    let typed =
        ["an integer", "a float", "a string", "a boolean", "an array", "a table"].contains(&found);
    found == plain
        || found == format!("{plain:?}")
        || amounts
        || lasts
        || typed
        || hex.is_some_and(|hex| found == hex.to_string())
}

/// Returns the milliseconds of a duration in one unit.
fn humantime(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let seconds = match text[digits..].trim() {
        _ if number == 0 => return Some(0),
        "ms" => return Some(number),
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "days" => 86_400,
        _ => return None,
    };
    number.checked_mul(seconds * 1_000)
}

#[test]
fn the_profile_of_all_fields_is_good() {
    Profiles::from_toml(&text(&[], &[])).unwrap();
    for ((path, _, good, _), without) in INSTEAD {
        Profiles::from_toml(&text(&[*without, &[*path]].concat(), &[format!("{path} = {good}")]))
            .unwrap();
    }
}

#[test]
fn a_bad_value_is_named_with_its_own_field() {
    let all = FIELDS.iter().map(|field| (field, &[] as &[&str]));
    let instead = INSTEAD.iter().map(|(field, without)| (field, *without));
    for ((path, kind, _, bad), without) in all.chain(instead) {
        for value in kind.bad_values().iter().chain(*bad) {
            let without = [without, &[*path]].concat();
            check(&text(&without, &[format!("{path} = {value}")]), path, value);
        }
    }
}

/// Of two bad values one is named, and never a third field that they would contradict.
#[test]
fn of_two_bad_values_one_is_named() {
    let bad = |field: &Field| field.3.first().copied().unwrap_or_else(|| field.1.bad_values()[0]);
    for (at, one) in FIELDS.iter().enumerate() {
        for other in &FIELDS[at + 1..] {
            let lines = [one, other].map(|field| format!("{} = {}", field.0, bad(field)));
            let error = Profiles::from_toml(&text(&[one.0, other.0], &lines)).unwrap_err();
            let named = error.field().unwrap();
            assert!(named == one.0 || named == other.0, "{lines:?}: {error}");
        }
    }
}

#[test]
fn a_contradiction_is_named_with_one_of_its_fields() {
    for (line, others, without) in CONTRADICTIONS {
        let (path, value) = line.split_once(" = ").unwrap();
        let without = [*without, &[path]].concat();
        let lines: Vec<String> = others.iter().chain([line]).map(|&line| line.to_owned()).collect();
        check(&text(&without, &lines), path, value);
    }
}

/// A missing key is named with its own path, though no line has it.
#[test]
fn a_missing_field_is_named() {
    let required = [
        "deadline",
        "bulkhead.max_concurrent",
        "retry.max_attempts",
        "retry.backoff.base",
        "retry.backoff.cap",
        "retry.throttled_backoff.base",
        "retry.throttled_backoff.cap",
        "rate_limit.period",
        "circuit_breaker.slow_calls.share",
        "circuit_breaker.slow_calls.slow",
        "circuit_breaker.growing_break.first",
        "circuit_breaker.growing_break.factor",
        "circuit_breaker.growing_break.max",
    ];
    for path in required {
        let error = Profiles::from_toml(&text(&[path], &[])).unwrap_err();
        assert_eq!(error.field(), Some(path), "{error}");
        assert!(error.to_string().ends_with(&format!("`{path}` is missing")), "{error}");
    }
    let tables = [
        ("circuit_breaker.window", &["circuit_breaker.window.time"][..]),
        (
            "retry.backoff",
            &[
                "retry.backoff.base",
                "retry.backoff.cap",
                "retry.backoff.jitter",
                "retry.backoff.factor",
            ],
        ),
    ];
    for (path, fields) in tables {
        let error = Profiles::from_toml(&text(fields, &[])).unwrap_err();
        assert_eq!(error.field(), Some(path), "{error}");
        assert!(error.to_string().ends_with(&format!("`{path}` is missing")), "{error}");
    }
}

/// The other setting that a bound names is called what the text calls it.
#[test]
fn a_bound_names_fields_of_the_text() {
    let cases = [
        ("circuit_breaker.growing_break.first = '61s'", "at most `growing_break.max` (60s)"),
        ("retry.backoff.base = '3s'", "at most `cap` (2s)"),
        ("retry.throttled_backoff.base = '4s'", "at most `cap` (3s)"),
        ("bulkhead.wait_at_most = '61s'", "less than `deadline` (60s)"),
        ("retry.attempt_time = '6s'", "at most `attempt_timeout` (5s)"),
    ];
    for (line, expected) in cases {
        let (path, _) = line.split_once(" = ").unwrap();
        let error = Profiles::from_toml(&text(&[path], &[line.to_owned()])).unwrap_err();
        let (_, bound) = sentence(&error, path);
        let names = |bound: &str| bound.split('`').nth(1).map(str::to_owned);
        assert_eq!(names(&bound), names(expected), "{error}");
    }
}
