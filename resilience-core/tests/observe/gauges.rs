//! The gauges that the book lists are the gauges that there are, up to a scrape by Prometheus.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::time::Duration;

use deadpool::managed::Manager;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use resilience_core::breaker::{CircuitBreaker, SlidingWindow};
use resilience_core::bulkhead::Bulkhead;
use resilience_core::clock;
use resilience_core::keyed::{Entry, Keyed, KeyedLimits};
use resilience_core::observe::{Gauges, KeyLabels, Metrics};
use resilience_core::pool::{ResilientManager, ResilientPool};
use resilience_core::profiles::{Profile, Profiles};
use resilience_core::rate::{Quota, RateLimiter};
use resilience_core::retry::{RetryBudget, RetryPolicy};
use resilience_core::shutdown::Shutdown;
use resilience_core::stack::Stack;
use tower::{BoxError, ServiceBuilder, service_fn};

const BOOK: &str = include_str!("../../../docs/src/observability.md");

/// The gauges of the book by the type that they are polled of.
fn book() -> BTreeMap<String, BTreeSet<String>> {
    let table = BOOK.split("| gauge | unit |").nth(1).unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut by_type: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let Some(types) = cells[3].strip_prefix("polled") else {
            assert!(cells[3].starts_with("event"), "neither by events nor polled: {row}");
            continue;
        };
        let types: Vec<&str> = quoted(types).collect();
        assert!(!types.is_empty(), "polled of nothing: {row}");
        let names: Vec<&str> = quoted(cells[1]).collect();
        let (prefix, _) = names[0].rsplit_once('.').unwrap();
        for name in &names {
            let name =
                if name.starts_with('.') { format!("{prefix}{name}") } else { (*name).into() };
            for of in &types {
                by_type.entry((*of).into()).or_default().insert(name.clone());
            }
        }
    }
    by_type
}

/// Returns the texts in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

struct Nothing;

impl Manager for Nothing {
    type Type = ();
    type Error = BoxError;

    async fn create(&self) -> Result<(), BoxError> {
        Ok(())
    }

    async fn recycle(
        &self,
        (): &mut (),
        _: &deadpool::managed::Metrics,
    ) -> deadpool::managed::RecycleResult<BoxError> {
        Ok(())
    }
}

const TEXT: &str = r#"
[a]
deadline = "10s"
bulkhead = { max_concurrent = 2 }
retry = { max_attempts = 2, backoff = { base = "10ms", cap = "10ms" }, budget = { reserve = 5 } }
rate_limit = { count = 10, period = "1h", burst = 10 }
circuit_breaker = { failure_rate = "50%", window = { count = 2 }, minimum_calls = 2, break_for = "1m" }
"#;

fn breaker() -> CircuitBreaker {
    let rate = CircuitBreaker::builder().failure_rate(0.5, SlidingWindow::count(2));
    rate.minimum_calls(2).build().unwrap()
}

fn down() -> BoxError {
    std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into()
}

fn profile() -> Profile {
    Profiles::from_toml(TEXT).unwrap().profile("a").unwrap()
}

fn seen(gauges: &dyn Gauges) -> BTreeMap<&'static str, f64> {
    let mut seen = BTreeMap::new();
    gauges.gauges(&mut |name, value| {
        assert!(seen.insert(name, value).is_none(), "`{name}` came twice");
    });
    seen
}

/// A value of each type, by the name that the book has for it.
fn every_type() -> Vec<(&'static str, Box<dyn Gauges>)> {
    let limiter = RateLimiter::builder().quota(Quota::per_minute(10)).build().unwrap();
    let stack = Stack::builder()
        .bulkhead(Bulkhead::builder())
        .retry(RetryPolicy::builder())
        .rate_limit(limiter.clone())
        .circuit_breaker(breaker())
        .build()
        .unwrap();
    let (model, circuit) = (profile(), breaker());
    let called = profile();
    drop(called.layer());
    vec![
        ("Bulkhead", Box::new(Bulkhead::builder().build().unwrap())),
        ("RetryBudget", Box::new(RetryBudget::default())),
        ("RateLimiter", Box::new(limiter)),
        ("CircuitBreaker", Box::new(breaker())),
        ("Keyed", Box::new(Keyed::new(KeyedLimits::default(), move |_: &u32| circuit.fresh()))),
        ("Keyed", Box::new(Keyed::new(KeyedLimits::default(), move |_: &u32| model.fresh()))),
        ("Profile", Box::new(called)),
        ("Stack", Box::new(stack)),
        (
            "ResilientPool",
            Box::new(
                ResilientPool::builder(ResilientManager::builder(Nothing).build()).build().unwrap(),
            ),
        ),
        ("ShutdownToken", Box::new(Shutdown::builder().build().unwrap().token())),
    ]
}

/// The names and values of a scrape that have this layer.
fn scrape(handle: &PrometheusHandle, layer: &str) -> BTreeMap<String, f64> {
    let label = format!("resilience_layer_name=\"{layer}\"");
    let text = handle.render();
    let lines = text.lines().filter(|line| line.contains(&label));
    let sample = |line: &str| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        (series.split('{').next().unwrap().to_owned(), value.parse().unwrap())
    };
    lines.map(sample).collect()
}

#[tokio::test(start_paused = true)]
async fn the_table_of_the_book_is_what_a_scrape_shows() {
    let book = book();
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let metrics = Metrics::new(KeyLabels::none());
    let types = every_type();
    let named: BTreeSet<&str> = types.iter().map(|(of, _)| *of).collect();
    assert_eq!(named, book.keys().map(String::as_str).collect());
    for (at, (of, gauges)) in types.iter().enumerate() {
        let layer = format!("{of}_{at}");
        metrics::with_local_recorder(&recorder, || metrics.record(&**gauges, &layer, None));
        let expected: BTreeSet<String> = book[*of].iter().map(|it| it.replace('.', "_")).collect();
        let scraped = scrape(&handle, &layer);
        assert_eq!(scraped.keys().cloned().collect::<BTreeSet<_>>(), expected, "{of}");
        let values: Vec<f64> = seen(&**gauges).into_values().collect();
        assert!(values.iter().all(|value| value.is_finite()), "{of}: {values:?}");
    }
    // Each has a unit and a description of its own.
    let text = handle.render();
    for name in book.values().flatten() {
        let help = format!("# HELP {} ", name.replace('.', "_"));
        assert!(text.contains(&help), "no description of `{name}`");
    }
}

/// The effects of calls show in a profile, in its handles, and in a stack, under one name each.
#[tokio::test(start_paused = true)]
async fn the_gauges_of_a_profile_are_those_of_its_calls() {
    let profile = profile();
    assert!(seen(&profile).is_empty(), "no call uses it yet");
    let service = service_fn(
        async |waits: bool| {
            if waits { pending().await } else { Err::<(), BoxError>(down()) }
        },
    );
    let service = ServiceBuilder::new().layer(profile.layer()).service(service);
    assert_eq!(seen(&profile)["resilience.circuit.open"], 0.0);
    tokio::spawn(service.clone().oneshot(true));
    tokio::task::yield_now().await;
    service.oneshot(false).await.unwrap_err();
    let now = seen(&profile);
    let expected = [
        ("resilience.budget.available", profile.budget().unwrap().available(clock::now())),
        ("resilience.bulkhead.in_use", 1.0),
        ("resilience.bulkhead.limit", 2.0),
        ("resilience.bulkhead.queued", 0.0),
        ("resilience.circuit.calls.abandoned", 0.0),
        ("resilience.circuit.calls.not_ready", 0.0),
        ("resilience.circuit.calls.permanent", 0.0),
        ("resilience.circuit.calls.success", 0.0),
        ("resilience.circuit.calls.throttled", 0.0),
        ("resilience.circuit.calls.timed_out", 0.0),
        ("resilience.circuit.calls.transient", 2.0),
        ("resilience.circuit.calls.unknown", 0.0),
        ("resilience.circuit.failure_rate", 1.0),
        ("resilience.circuit.open", 1.0),
        ("resilience.rate.available", 7.0),
        ("resilience.rate.queued", 0.0),
    ];
    assert_eq!(now, BTreeMap::from(expected));
    assert!(expected[0].1 < 5.0);
    let parts: [&dyn Gauges; 4] = [
        &profile.bulkhead().unwrap(),
        &profile.budget().unwrap(),
        &profile.rate_limit().unwrap(),
        &profile.circuit_breaker().unwrap(),
    ];
    assert_eq!(parts.into_iter().flat_map(seen).collect::<BTreeMap<_, _>>(), now);
    // A break that is over is over though nobody called since.
    tokio::time::sleep(Duration::from_secs(67)).await;
    assert_eq!(seen(&profile)["resilience.circuit.open"], 0.0);
}

/// The count is that of the circuits that reject calls, in the store and in its overflow state, at
/// any time.
#[tokio::test(start_paused = true)]
async fn a_store_counts_its_open_circuits() {
    type Act = fn(&CircuitBreaker);
    let acts: [(Act, bool); 7] = [
        (|_| (), false),
        (|it| it.open(), true),
        (|it| it.force_open(), true),
        (|it| it.force_open_for(Duration::from_secs(10)), true),
        (|it| it.disable(), false),
        (|it| it.force_closed(), false),
        (
            |it| {
                it.open();
                it.half_open().unwrap();
            },
            false,
        ),
    ];
    let model = CircuitBreaker::builder().break_for(Duration::from_secs(60)).break_jitter(0.0);
    let model = model.build().unwrap();
    let store = Keyed::new(KeyedLimits::default(), move |_: &usize| model.fresh());
    let count = || seen(&store)["resilience.circuit.open"];
    assert_eq!(count(), 0.0);
    let mut open = 0.0;
    for key in 0..5_000 {
        let (act, opens) = acts[key % acts.len()];
        act(&store.get(&key, clock::now()));
        open += f64::from(u8::from(opens));
    }
    assert_eq!(count(), open);
    tokio::time::sleep(Duration::from_secs(11)).await;
    let for_ten = (0..5_000).filter(|key| key % acts.len() == 3).count();
    assert_eq!(count(), open - f64::from(u32::try_from(for_ten).unwrap()));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let for_good = (0..5_000).filter(|key| key % acts.len() == 2).count();
    assert_eq!(count(), f64::from(u32::try_from(for_good).unwrap()));
}

#[tokio::test(start_paused = true)]
async fn keys_without_room_have_one_circuit_that_counts() {
    let model = breaker();
    let limits = KeyedLimits::new(4, 1 << 20, Duration::from_secs(600)).unwrap();
    let store = Keyed::new(limits, move |_: &u32| model.fresh());
    for key in 0..4 {
        store.get(&key, clock::now()).force_open();
    }
    store.get(&4, clock::now()).force_open();
    store.get(&5, clock::now()).force_open();
    assert_eq!(seen(&store)["resilience.circuit.open"], 5.0);
    assert_eq!(seen(&store)["resilience.keyed.keys"], 4.0);
}

/// One series for a store, and the first few keys for states of keys.
#[tokio::test(start_paused = true)]
async fn series_are_bounded() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let metrics = Metrics::new(KeyLabels::first(3).unwrap());
    let model = breaker();
    let store = Keyed::new(KeyedLimits::default(), move |_: &u32| model.fresh());
    metrics::with_local_recorder(&recorder, || {
        for key in 0..1_000 {
            let circuit = store.get(&key, clock::now());
            metrics.record(&circuit, "odds", Some(&key.to_string()));
        }
        metrics.record(&store, "odds.store", None);
    });
    let lines = |name: &str| {
        let text = handle.render();
        text.lines().filter(|line| line.starts_with(&format!("{name}{{"))).count()
    };
    assert_eq!(lines("resilience_circuit_open"), 3 + 1);
    assert_eq!(lines("resilience_keyed_keys"), 1);
}

/// A store of anything else has no gauge of open circuits.
#[test]
fn a_store_without_circuits_counts_none() {
    #[derive(Clone)]
    struct Other;
    impl Entry for Other {}
    let store = Keyed::new(KeyedLimits::default(), |_: &u32| Other);
    let names: Vec<_> = seen(&store).into_keys().collect();
    assert_eq!(names, ["resilience.keyed.bytes", "resilience.keyed.keys"]);
}
