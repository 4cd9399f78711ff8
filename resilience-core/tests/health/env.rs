//! The environment, read at once.

use std::collections::HashMap;
use std::ffi::OsString;
use std::time::Duration;

use resilience_core::health::config::{Declared, Env, EnvReport, ProblemKind, Var};

fn read<D: Declared>(vars: &[(&str, &str)], declared: D) -> Result<D::Value, EnvReport> {
    let vars: HashMap<_, _> = vars.iter().map(|&(name, value)| (name, value)).collect();
    Env::from_fn(|name| vars.get(name).map(OsString::from)).read(declared)
}

#[test]
fn values_come_out_typed() {
    let declared = (
        Var::parsed::<u16>("PORT").at_least(1024).at_most(49_151),
        Var::one_of("MODE", ["daily", "overnight"]),
        (Var::text("KEY").secret(), Var::text("REGION").optional()),
        Var::parsed::<f64>("RATIO").default(0.5),
        Var::parsed::<bool>("DRY_RUN").optional(),
    );
    let vars = [("PORT", "8080"), ("MODE", "overnight"), ("KEY", "hunter2"), ("DRY_RUN", "true")];
    let (port, mode, (key, region), ratio, dry_run) = read(&vars, declared).unwrap();
    assert_eq!((port, mode, region, ratio, dry_run), (8080, "overnight", None, 0.5, Some(true)));
    assert_eq!((key.expose().as_str(), format!("{key:?}").as_str()), ("hunter2", "Secret(***)"));
}

#[test]
fn everything_that_is_wrong_is_named_at_once() {
    let seconds = |text: &str| text.parse().map(Duration::from_secs);
    let declared = (
        Var::parsed::<u16>("PORT"),
        (Var::one_of("MODE", ["daily", "overnight"]), Var::text("KEY").secret()),
        Var::parsed::<u8>("WORKERS").at_most(16).default(4),
        Var::with("TIMEOUT", "whole seconds", seconds).optional(),
        Var::text("FINE"),
        Var::parsed::<u32>("BATCH").that("even", |batch| batch % 2 == 0),
    );
    let vars = [
        ("PORT", "http"),
        ("MODE", "weekly"),
        ("WORKERS", "17"),
        ("TIMEOUT", "soon"),
        ("FINE", "yes"),
        ("BATCH", "3"),
    ];
    let report = read(&vars, declared).unwrap_err();
    let lines = [
        "6 environment variables are invalid:",
        "  PORT is `http`, must be u16 (invalid digit found in string)",
        "  MODE is `weekly`, must be one of `daily`, `overnight`",
        "  KEY is missing, must be text",
        "  WORKERS is `17`, must be u8, at most 16",
        "  TIMEOUT is `soon`, must be whole seconds (invalid digit found in string)",
        "  BATCH is `3`, must be u32, even",
    ];
    assert_eq!(report.to_string(), lines.join("\n"));
    assert_eq!(format!("{report:?}"), report.to_string(), "what a main prints");
    let names: Vec<_> = report.problems().iter().map(|problem| problem.name.as_str()).collect();
    assert_eq!(names, ["PORT", "MODE", "KEY", "WORKERS", "TIMEOUT", "BATCH"]);
}

#[test]
fn secrets_and_their_parser_errors_are_not_reported() {
    let tell = |text: &str| Err::<u32, _>(format!("`{text}` is no number"));
    let declared = (
        Var::with("PIN", "a number", tell).secret(),
        Var::parsed::<u32>("LONG_PIN").at_least(1_000).secret(),
    );
    let report = read(&[("PIN", "hunter2"), ("LONG_PIN", "77")], declared).unwrap_err();
    let lines = [
        "2 environment variables are invalid:",
        "  PIN is malformed (secret), must be a number",
        "  LONG_PIN is malformed (secret), must be u32, at least 1000",
    ];
    assert_eq!(report.to_string(), lines.join("\n"));
    for problem in report.problems() {
        let ProblemKind::Malformed { value, error, .. } = &problem.kind else {
            panic!("{problem:?}")
        };
        assert_eq!((value, error), (&None, &None));
    }
}

#[test]
fn empty_is_missing() {
    let vars = [("KEY", ""), ("REGION", ""), ("RATIO", "")];
    let declared = (Var::text("REGION").optional(), Var::parsed::<f64>("RATIO").default(0.5));
    assert_eq!(read(&vars, declared).unwrap(), (None, 0.5));
    let report = read(&vars, Var::text("KEY")).unwrap_err();
    assert_eq!(report.problems()[0].kind, ProblemKind::Missing);
}

#[test]
fn values_are_reported_in_one_bounded_line() {
    let long = format!("first\nsecond {}", "x".repeat(10_000));
    let report = read(&[("PORT", &long)], Var::parsed::<u16>("PORT")).unwrap_err();
    let text = report.to_string();
    assert_eq!(text.lines().count(), 2);
    assert!(text.len() < 300 && text.contains("first\\nsecond"), "{text}");
}

#[cfg(unix)]
#[test]
fn what_is_not_unicode_is_named() {
    use std::os::unix::ffi::OsStringExt;
    let env = Env::from_fn(|_| Some(OsString::from_vec(vec![0xff])));
    let report = env.read((Var::text("KEY").secret(), Var::text("NAME"))).unwrap_err();
    let kinds: Vec<_> = report.problems().iter().map(|problem| &problem.kind).collect();
    assert_eq!(kinds, [&ProblemKind::NotUnicode; 2]);
}

#[test]
fn the_process_has_an_environment() {
    assert!(!Env::process().read(Var::text("CARGO_MANIFEST_DIR")).unwrap().is_empty());
    assert!(Env::process().read(Var::text("NO_SUCH_VARIABLE_AT_ALL")).is_err());
}
