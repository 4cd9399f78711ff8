//! Rejected configurations, and the command line.

use std::time::Duration;

use resilience_core::InvalidConfig;
use resilience_core::clock::MAX_WAIT;
use resilience_http::smoke::{Smoke, SmokeCheck, USAGE};

use crate::{Reply, only_fault, serve};

fn rejected(check: SmokeCheck) -> InvalidConfig {
    Smoke::of("http://127.0.0.1:1").check(check).build().unwrap_err()
}

#[test]
fn values_out_of_bounds_are_named_with_their_check() {
    let check = || SmokeCheck::get("/a").named("a");
    let error = rejected(check().within(Duration::ZERO));
    assert_eq!(
        error.to_string(),
        "invalid configuration: `within` is 0ns (check `a`), must be more than zero and at most 365 days"
    );
    assert_eq!(rejected(check().within(Duration::MAX)).field(), "within");
    assert_eq!(rejected(check().status(99)).field(), "status");
    assert_eq!(rejected(check().json("player", 1)).field(), "json");
    assert_eq!(rejected(check().named("")).field(), "name");
    assert_eq!(rejected(SmokeCheck::get("a")).field(), "path");
    let twice = Smoke::of("http://127.0.0.1:1").check(check()).check(check());
    assert_eq!(twice.build().unwrap_err().field(), "name");
}

#[test]
fn suites_without_checks_or_with_an_invalid_url_are_rejected() {
    assert_eq!(Smoke::of("http://127.0.0.1:1").build().unwrap_err().field(), "checks");
    for base in ["", "127.0.0.1:1", "ftp://host", "http://", "file:///etc"] {
        let error = Smoke::of(base).probes().build().unwrap_err();
        assert_eq!(error.field(), "base", "{base}");
    }
    for base in ["http://127.0.0.1:1", "https://host/below/"] {
        assert!(Smoke::of(base).probes().build().is_ok(), "{base}");
    }
    let within = |timeout| Smoke::of("http://127.0.0.1:1").probes().timeout(timeout).build();
    for bad in [Duration::ZERO, MAX_WAIT + Duration::from_nanos(1)] {
        assert_eq!(within(bad).unwrap_err().field(), "timeout");
    }
    assert!(within(MAX_WAIT).is_ok());
}

fn from_line(line: &str) -> Result<Smoke, InvalidConfig> {
    Smoke::from_args(line.split_whitespace().map(str::to_owned))
}

#[tokio::test]
async fn a_command_line_is_a_suite() {
    let bad = r#"{"player":1,"points":null}"#;
    let base = serve(Reply::new(500, bad)).await;
    let report = async |options: &str| from_line(&format!("{base} {options}")).unwrap().run().await;

    let good =
        "--timeout 30.5 --no-probes --get /bad?q=1 --status 500 --json /player=1 --has /points";
    let good = report(good).await;
    assert!(good.passed(), "{good}");
    assert_eq!(good.results.len(), 1);

    let bad = report("--no-probes --get /ready --json /status=\"ready\" --get /bad").await;
    only_fault(&bad, "/bad");

    // This service responds `ready` instead of `alive`.
    let probes = report("").await;
    only_fault(&probes, "health");
    assert_eq!(probes.results.len(), 3);
}

#[test]
fn an_invalid_argument_is_named() {
    let url = "http://127.0.0.1:1";
    let cases = [
        (String::new(), "URL"),
        ("--no-probes --get /a".to_owned(), "URL"),
        (format!("{url} {url}"), "argument"),
        (format!("{url} --verbose"), "argument"),
        (format!("{url} --timeout"), "--timeout"),
        (format!("{url} --timeout soon"), "--timeout"),
        (format!("{url} --timeout -1"), "--timeout"),
        (format!("{url} --timeout 0"), "timeout"),
        (format!("{url} --get"), "--get"),
        (format!("{url} --status 404"), "--status"),
        (format!("{url} --get /a --status teapot"), "--status"),
        (format!("{url} --has /a"), "--has"),
        (format!("{url} --get /a --json /player"), "--json"),
        (format!("{url} --get /a --json /player=one"), "--json"),
        (format!("{url} --no-probes"), "checks"),
    ];
    for (line, field) in cases {
        assert_eq!(from_line(&line).unwrap_err().field(), field, "{line}");
    }
}

#[test]
fn every_option_is_in_the_usage() {
    for option in ["--timeout", "--no-probes", "--get", "--status", "--json", "--has"] {
        assert!(USAGE.contains(&format!("\n  {option} ")), "{option}");
    }
}
