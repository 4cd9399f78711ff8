//! Each event in series: names, labels, values.

use metrics::Unit;
use resilience_core::observe::{Gauges, KeyLabels, Listen, Metrics, names};
use resilience_core::retry::RetryBudget;
use resilience_core::testing::each_event;

use crate::recorder::Notebook;

fn series_of_each(metrics: &Metrics) -> Vec<(String, Vec<f64>)> {
    let notebook = Notebook::default();
    notebook.during(|| each_event(|event| metrics.event(event)));
    notebook.read()
}

/// Names are shortened: `LAYER` and `KEY` are labels, `KEY` the one that the key has.
fn expected(key: &str, status_of_key: bool) -> Vec<(String, Vec<f64>)> {
    let changed = |state, previous, reason| {
        format!(
            "resilience.circuit.state={state},resilience.circuit.previous_state={previous},\
             resilience.circuit.reason={reason}"
        )
    };
    let over = changed("half_open", "open", "break_over");
    let failures = changed("open", "closed", "consecutive_failures");
    let hint = changed("open", "closed", "hint");
    let counters = [
        &format!("circuit.transitions{{LAYER,{over}}}"),
        &format!("circuit.transitions{{LAYER,{failures}}}"),
        &format!("circuit.transitions{{LAYERKEY,{hint}}}"),
        "evictions{LAYER,resilience.eviction.reason=capacity}",
        "pool.create_failures{LAYER}",
        "pool.retired{LAYER,resilience.pool.reason=broken}",
        "profile.reloads{resilience.profile.result=accepted}",
        "profile.reloads{resilience.profile.result=rejected}",
        "rate.pauses{LAYERKEY}",
        "rejections{LAYERKEY,resilience.rejection.kind=rate_limited}",
        "retries{LAYER,resilience.outcome=timed_out}",
        "retry.recoveries{LAYER}",
        "retry.stops{LAYER,resilience.retry.stop_reason=out_of_time}",
        "unknown_errors{LAYER}",
        "shutdown.transitions{LAYER,resilience.shutdown.phase=forced}",
        "would_reject{LAYERKEY,resilience.rejection.kind=rate_limited}",
    ];
    let mut all: Vec<_> = counters.map(|name| (name.to_owned(), vec![1.0])).to_vec();
    all.push(("retry.delay{LAYER}".to_owned(), vec![1.5]));
    all.push(("rate.pause_duration{LAYERKEY}".to_owned(), vec![1.5]));
    all.extend(status("LAYER", "half_open"));
    if status_of_key {
        // It was open, and then evicted.
        all.extend(status("LAYERKEY", "closed"));
    }
    for (name, _) in &mut all {
        let labels = name.replace("LAYER", "resilience.layer.name=layer").replace("KEY", key);
        *name = format!("resilience.{labels}");
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn status(of: &str, now: &str) -> Vec<(String, Vec<f64>)> {
    let states =
        ["closed", "open", "half_open", "ramping", "forced_open", "forced_closed", "disabled"];
    let series = states.map(|state| {
        let name = format!("circuit.status{{{of},resilience.circuit.state={state}}}");
        (name, vec![if state == now { 1.0 } else { 0.0 }])
    });
    series.to_vec()
}

#[test]
fn every_event_without_keys() {
    assert_eq!(series_of_each(&Metrics::default()), expected("", false));
}

#[test]
fn every_event_with_keys() {
    let first = Metrics::new(KeyLabels::first(10).unwrap());
    assert_eq!(series_of_each(&first), expected(",resilience.key=key", true));
    let mapped = Metrics::new(KeyLabels::map(|key| if key == "key" { "gold" } else { "rest" }));
    assert_eq!(series_of_each(&mapped), expected(",resilience.key=gold", false));
}

/// One state is 1 at every moment. tower-resilience sets the new state and never resets the old
/// one.
#[test]
fn a_circuit_is_in_one_state() {
    let (notebook, metrics) = (Notebook::default(), Metrics::new(KeyLabels::first(1).unwrap()));
    let (mut seen, mut changes) = (Vec::new(), 0);
    notebook.during(|| {
        each_event(|event| {
            metrics.event(event);
            changes += usize::from(event.name() == "circuit_changed");
            let status = notebook.read().into_iter().filter(|(name, value)| {
                name.starts_with("resilience.circuit.status") && value[0] == 1.0
            });
            let states = status
                .map(|(name, _)| name.rsplit('=').next().unwrap().trim_end_matches('}').to_owned());
            seen.push(states.collect::<Vec<_>>().join(" "));
        });
    });
    seen.dedup();
    assert_eq!(changes, 3);
    // The breaker without keys, and after it the one of the key, closed when it is evicted.
    assert_eq!(seen, ["", "open", "half_open", "half_open open", "half_open closed"]);
}

/// Adding a series without describing it fails here.
#[test]
fn every_series_is_described_once_to_each_recorder() {
    let metrics = Metrics::default();
    let notebooks = [Notebook::default(), Notebook::default()];
    for notebook in &notebooks {
        notebook.during(|| {
            each_event(|event| metrics.event(event));
            each_event(|event| metrics.event(event));
        });
        let described = notebook.described();
        assert!(described.len() > 15, "{described:?}");
        let mut once: Vec<_> = described.iter().map(|(name, _)| name).collect();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), described.len());
        for (series, _) in notebook.read() {
            let name = series.split('{').next().unwrap();
            let unit = described.iter().find(|(known, _)| known == name).map(|(_, unit)| *unit);
            let seconds = [names::RETRY_DELAY, names::RATE_PAUSE_DURATION].contains(&name);
            let expected = if seconds { Unit::Seconds } else { Unit::Count };
            assert_eq!(unit, Some(Some(expected)), "{name}");
        }
    }
}

/// Recorders are installed late, and replaced in tests.
#[test]
fn what_happened_before_there_was_a_recorder_does_not_silence_it() {
    let metrics = Metrics::default();
    each_event(|event| metrics.event(event));
    let notebooks = [Notebook::default(), Notebook::default()];
    for notebook in &notebooks {
        notebook.during(|| each_event(|event| metrics.event(event)));
        assert_eq!(notebook.read(), expected("", false));
    }
}

#[test]
fn a_series_is_registered_once() {
    let (notebook, metrics) = (Notebook::default(), Metrics::default());
    notebook.during(|| {
        each_event(|event| metrics.event(event));
        let before = notebook.registered();
        for _ in 0..9 {
            each_event(|event| metrics.event(event));
        }
        assert_eq!(notebook.registered(), before);
    });
    let series = "resilience.retry.recoveries{resilience.layer.name=layer}";
    assert_eq!(notebook.value(series), Some(10.0));
}

#[test]
fn counting_again_allocates_nothing() {
    for metrics in [Metrics::default(), Metrics::new(KeyLabels::first(1).unwrap())] {
        each_event(|event| metrics.event(event));
        let samples = allocation_counter::measure(|| each_event(|_| {}));
        let told = allocation_counter::measure(|| each_event(|event| metrics.event(event)));
        assert_eq!(told.count_total, samples.count_total, "{metrics:?}");
    }
}

#[test]
fn gauges_are_read_where_they_are_kept() {
    let budget = RetryBudget::builder().reserve(7).build().unwrap();
    let (notebook, metrics) = (Notebook::default(), Metrics::new(KeyLabels::first(1).unwrap()));
    notebook.during(|| {
        metrics.record(&budget, "odds", None);
        metrics.record(&budget, "per tenant", Some("a"));
        metrics.record(&budget, "per tenant", Some("b"));
    });
    let series = |labels: &str| (format!("resilience.budget.available{{{labels}}}"), vec![7.0]);
    // `b` has no label of its own, and `a`'s value is not overwritten with it.
    assert_eq!(
        notebook.read(),
        [
            series("resilience.layer.name=odds"),
            series("resilience.layer.name=per tenant,resilience.key=a"),
        ]
    );
    assert!(notebook.described().iter().any(|(name, _)| name == names::BUDGET_AVAILABLE));
}

/// Whatever else implements it may call its numbers as it likes.
#[test]
fn gauges_of_others() {
    struct Pool;
    impl Gauges for Pool {
        fn gauges(&self, visit: &mut dyn FnMut(&'static str, f64)) {
            visit("pool.idle", 3.0);
        }
    }
    let (notebook, metrics) = (Notebook::default(), Metrics::default());
    notebook.during(|| metrics.record(&Pool, "db", None));
    assert_eq!(notebook.value("pool.idle{resilience.layer.name=db}"), Some(3.0));
}
