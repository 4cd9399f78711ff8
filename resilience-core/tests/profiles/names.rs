//! Keys of a profile have the names of the builder methods that they set.

use std::collections::BTreeSet;
use std::path::Path;

use super::fields::{FIELDS, INSTEAD};

fn source(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the signature of a function of this name.
fn signature(source: &str, name: &str) -> Option<String> {
    let functions = source.match_indices("fn ").map(|(at, keyword)| &source[at + keyword.len()..]);
    let rests = functions.filter_map(|function| function.strip_prefix(name));
    let mut rests = rests.filter(|rest| rest.starts_with(['(', '<']));
    rests.next().map(|rest| rest.split('{').next().unwrap_or_default().to_owned())
}

/// Returns `true` if `key` is a method of this file, or an argument of its method `method`.
fn declares(file: &str, method: Option<&str>, key: &str) -> bool {
    let source = source(file);
    match method {
        None => signature(&source, key).is_some(),
        Some(method) => {
            signature(&source, method).is_some_and(|it| it.contains(&format!("{key}: ")))
        }
    }
}

/// Returns `true` if the builder of the part has the setting of this path.
fn is_setting(path: &str) -> bool {
    let stack = |part| declares("stack/builder.rs", None, part);
    let breaker = |method, key| declares("breaker/builder/mod.rs", method, key);
    match *path.split('.').collect::<Vec<_>>() {
        [part] => stack(part),
        ["bulkhead", key] => declares("bulkhead/builder.rs", None, key),
        ["retry", key] => declares("retry/builder.rs", None, key),
        ["retry", "budget", key] => declares("retry/budget/builder.rs", None, key),
        // One of the constructors of a backoff.
        ["retry", "backoff" | "throttled_backoff", "jitter"] => true,
        ["retry", "backoff" | "throttled_backoff", "factor"] => {
            declares("retry/backoff.rs", Some("with_factor"), "factor")
        }
        ["retry", "backoff" | "throttled_backoff", key] => {
            declares("retry/backoff.rs", Some("decorrelated_jitter"), key)
        }
        ["rate_limit", key @ ("per_second" | "per_minute")] => declares("rate/quota.rs", None, key),
        ["rate_limit", key @ ("count" | "period")] => declares("rate/quota.rs", Some("per"), key),
        ["rate_limit", "burst"] => declares("rate/quota.rs", None, "with_burst"),
        ["rate_limit", key] => declares("rate/builder.rs", None, key),
        // The argument of the rates, made by one of two constructors.
        ["circuit_breaker", "window", key] => declares("breaker/window/mod.rs", None, key),
        ["circuit_breaker", method @ ("slow_calls" | "growing_break"), key] => {
            breaker(Some(method), key)
        }
        ["circuit_breaker", key] => breaker(None, key),
        _ => false,
    }
}

#[test]
fn a_key_is_called_as_its_builder_method() {
    let paths: BTreeSet<&str> = FIELDS
        .iter()
        .map(|field| field.0)
        .chain(INSTEAD.iter().map(|(field, _)| field.0))
        .collect();
    let unknown: Vec<_> = paths.iter().filter(|path| !is_setting(path)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let parts: BTreeSet<&str> = paths.iter().filter_map(|path| path.split('.').next()).collect();
    assert!(parts.iter().all(|part| declares("stack/builder.rs", None, part)), "{parts:?}");
    assert!(!is_setting("rate_limit.wait_for") && !is_setting("retry.attempts"));
}

/// Every key that the reader reads is one of the tables of `fields.rs`, and so checked above.
#[test]
fn every_key_of_the_reader_is_tested() {
    let spec = source("profiles/spec.rs");
    let reads = ["duration", "count", "number", "share", "flag", "word", "table"];
    let mut keys = BTreeSet::new();
    for read in reads {
        let call = format!(".{read}(\"");
        let calls = spec.split(call.as_str()).skip(1);
        keys.extend(calls.filter_map(|rest| rest.split('"').next()));
    }
    // `set!(reader, builder, key: type, ..)` and `set_flags!(reader, builder, key, ..)`.
    let lists = spec.split(" set").skip(1).filter_map(|rest| rest.split_once("!(reader, "));
    for (_, list) in lists {
        let items = list.split(')').next().unwrap().split(',').skip(1);
        keys.extend(items.filter_map(|item| item.split(':').next()).map(str::trim));
    }
    let tested: BTreeSet<&str> = FIELDS
        .iter()
        .map(|field| field.0)
        .chain(INSTEAD.iter().map(|(field, _)| field.0))
        .flat_map(|path| path.split('.'))
        .collect();
    let missing: Vec<_> = keys.difference(&tested).collect();
    assert!(keys.len() > 40 && missing.is_empty(), "{missing:?} of {} keys", keys.len());
}
