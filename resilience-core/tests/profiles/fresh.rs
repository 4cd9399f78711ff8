//! The rules of a profile, with a state for each key.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use resilience_core::breaker::CircuitState;
use resilience_core::keyed::{Entry, Keyed, KeyedLimits};
use resilience_core::observe::Event;
use resilience_core::profiles::{Profile, Profiles};
use resilience_core::{CarriesRejection, RejectionKind, clock};
use tower::{BoxError, ServiceBuilder, service_fn};

const TEXT: &str = r#"
[a]
deadline = "10s"
bulkhead = { max_concurrent = 2 }
retry = { max_attempts = 2, backoff = { base = "10ms", cap = "10ms" }, budget = { ratio = "10%", reserve = 5 } }
rate_limit = { per_minute = 10, burst = 10 }
circuit_breaker = { consecutive_failures = 2, break_for = "1m" }
"#;

async fn fail(profile: &Profile) -> BoxError {
    let down = || BoxError::from(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
    let service = ServiceBuilder::new()
        .layer(profile.layer())
        .service(service_fn(async |_: u64| Err::<u64, BoxError>(down())));
    service.oneshot(1).await.unwrap_err()
}

fn state(profile: &Profile) -> CircuitState {
    profile.snapshot().circuit_breaker.unwrap().state
}

#[tokio::test(start_paused = true)]
async fn each_has_permits_tokens_circuit_and_budget_of_its_own() {
    let profiles = Profiles::from_toml(TEXT).unwrap();
    let model = profiles.profile("a").unwrap();
    let (one, other) = (model.fresh(), model.fresh());
    let _layers = (other.layer(), model.layer());
    fail(&one).await;
    assert_eq!(state(&one), CircuitState::Open);
    let refused = fail(&one.clone()).await;
    assert_eq!(refused.rejection().unwrap().kind(), RejectionKind::CircuitOpen);
    let (spent, whole) = (one.snapshot(), other.snapshot());
    assert_eq!(spent.rate_limit.unwrap().available, 8);
    assert!(spent.budget.unwrap() < whole.budget.unwrap());
    for untouched in [&other, &model] {
        assert_eq!(state(untouched), CircuitState::Closed);
        assert_eq!(untouched.snapshot().rate_limit.unwrap().available, 10);
        assert_eq!(untouched.snapshot().budget, whole.budget);
    }
    assert_eq!(one.budget().unwrap().available(clock::now()), spent.budget.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_reload_reaches_all_and_leaves_each_its_state() {
    let profiles = Profiles::from_toml(TEXT).unwrap();
    let model = profiles.profile("a").unwrap();
    let (one, other) = (model.fresh(), model.fresh().fresh());
    let _layer = other.layer();
    fail(&one).await;
    let left = one.snapshot().budget.unwrap();
    let text = TEXT.replace("max_concurrent = 2", "max_concurrent = 7");
    profiles.reload(&text).unwrap();
    assert_eq!(state(&one), CircuitState::Open);
    assert_eq!(one.snapshot().budget, Some(left));
    for profile in [&one, &other] {
        assert_eq!(profile.snapshot().bulkhead.unwrap().limit, 7);
    }

    // What is taken away is gone; what comes anew begins anew, for each.
    profiles.reload("[a]\ndeadline = \"3s\"").unwrap();
    assert!(one.circuit_breaker().is_none() && one.budget().is_none());
    let refused = fail(&one).await;
    assert!(refused.rejection().is_none(), "{refused}");
    profiles.reload(TEXT).unwrap();
    assert_eq!(state(&one), CircuitState::Closed);
    fail(&one).await;
    assert_eq!((state(&one), state(&other)), (CircuitState::Open, CircuitState::Closed));
}

#[tokio::test(start_paused = true)]
async fn services_that_are_made_follow() {
    let profiles = Profiles::from_toml(TEXT).unwrap();
    let one = profiles.profile("a").unwrap().fresh();
    let service = ServiceBuilder::new().layer(one.layer()).service(service_fn(async |_: u64| {
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok::<_, BoxError>(())
    }));
    service.clone().oneshot(1).await.unwrap();
    profiles.reload(&TEXT.replace("deadline = \"10s\"", "deadline = \"4s\"")).unwrap();
    let late = service.oneshot(1).await.unwrap_err();
    assert_eq!(late.rejection().unwrap().kind(), RejectionKind::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn calls_of_services_that_are_made_for_them_follow() {
    let profiles = Profiles::from_toml(TEXT).unwrap();
    let calls = profiles.profile("a").unwrap().fresh().layer().calls();
    let call = || {
        let service = service_fn(async |_: u64| {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Ok::<_, BoxError>(())
        });
        calls.call(service, 1_u64)
    };
    let (begun, unpolled) = (call(), call());
    let begun = tokio::spawn(begun);
    tokio::task::yield_now().await;
    profiles.reload(&TEXT.replace("deadline = \"10s\"", "deadline = \"4s\"")).unwrap();
    for _ in 0..2 {
        let late = call().await.unwrap_err();
        assert_eq!(late.rejection().unwrap().kind(), RejectionKind::DeadlineExceeded);
    }
    // By what was in force when they were made.
    begun.await.unwrap().unwrap();
    unpolled.await.unwrap();
    profiles.reload(TEXT).unwrap();
    call().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_stays_in_a_store_and_a_closed_one_goes() {
    let model = Profiles::from_toml(TEXT).unwrap().profile("a").unwrap();
    let limits = KeyedLimits::new(4, 1 << 20, Duration::from_secs(600)).unwrap();
    let store = Keyed::new(limits, move |_: &u32| model.fresh());
    let open = store.get(&0, clock::now());
    fail(&open).await;
    assert!(open.is_pinned(clock::now()));
    drop(open);
    for key in 1..1_000 {
        assert!(!store.get(&key, clock::now()).is_pinned(clock::now()));
    }
    assert!(store.len() <= 4);
    assert_eq!(state(&store.get(&0, clock::now())), CircuitState::Open);
}

/// All events of a key's profile name the key: those of calls, of manual changes, and those
/// after a reload.
#[tokio::test(start_paused = true)]
async fn events_name_the_key() {
    let told = Arc::<Mutex<Vec<(&str, Option<String>)>>>::default();
    let heard = told.clone();
    let profiles = Profiles::builder()
        .listen(move |event: &Event<'_>| {
            heard.lock().push((event.name(), event.key().map(str::to_owned)));
        })
        .from_toml(TEXT)
        .unwrap();
    let model = profiles.profile("a").unwrap();
    let everything = async |profile: &Profile| {
        let _layer = profile.layer();
        profile.circuit_breaker().unwrap().reset();
        fail(profile).await;
        let open = fail(profile).await;
        let (bulkhead, breaker) = (profile.bulkhead().unwrap(), profile.circuit_breaker().unwrap());
        breaker.close();
        let all = bulkhead.try_acquire(2).unwrap();
        let full = fail(profile).await;
        drop(all);
        profile.pause_for(Duration::from_secs(600));
        let limited = fail(profile).await;
        profile.rate_limit().unwrap().resume();
        let key = |error: &BoxError| error.rejection().unwrap().key().map(str::to_owned);
        let mut all = std::mem::take(&mut *told.lock());
        all.extend([&open, &full, &limited].map(|refused| ("refusal", key(refused))));
        all
    };
    let one = model.fresh_for("one");
    for (profile, key) in [(&one, Some("one")), (&model.fresh(), None), (&model, None)] {
        let all = everything(profile).await;
        assert!(all.iter().all(|(_, whose)| whose.as_deref() == key), "{key:?}: {all:?}");
        let names: BTreeSet<_> = all.iter().map(|(name, _)| *name).collect();
        let expected = [
            "circuit_changed",
            "rate_paused",
            "refusal",
            "rejected",
            "retry_scheduled",
            "retry_stopped",
        ];
        assert_eq!(names.into_iter().collect::<Vec<_>>(), expected);
    }
    profiles.reload("[a]\ndeadline = \"3s\"").unwrap();
    assert!(one.circuit_breaker().is_none());
    profiles.reload(TEXT).unwrap();
    told.lock().clear();
    let all = everything(&one).await;
    assert!(all.iter().all(|(_, whose)| whose.as_deref() == Some("one")), "{all:?}");
}

fn limits(keys: usize) -> KeyedLimits {
    KeyedLimits::new(keys, 1 << 22, Duration::from_secs(60)).unwrap()
}

/// The store of the profile itself: one state for a key, shared by all clones of the profile.
#[tokio::test(start_paused = true)]
async fn a_key_has_one_state_in_its_profile() {
    let profiles = Profiles::from_toml(TEXT).unwrap();
    let profile = || profiles.profile("a").unwrap();
    let of = |profile: &Profile, key: &'static str| {
        profile.per_key::<&'static str>(limits(10)).unwrap().get(&key, clock::now())
    };
    fail(&of(&profile(), "one")).await;
    assert_eq!(state(&of(&profile(), "one")), CircuitState::Open);
    let refused = fail(&of(&profile(), "one")).await;
    assert_eq!(refused.rejection().unwrap().key(), Some("one"));
    for untouched in [&of(&profile(), "two"), &of(&profile().fresh(), "one")] {
        assert_eq!(state(untouched), CircuitState::Closed);
    }
    assert!(profile().circuit_breaker().is_none(), "the model has no calls");
    // It follows reloads, also when nothing else of the profile is held.
    profiles.reload(&TEXT.replace("max_concurrent = 2", "max_concurrent = 7")).unwrap();
    let one = of(&profile(), "one");
    assert_eq!(one.snapshot().bulkhead.unwrap().limit, 7);
    assert_eq!(state(&one), CircuitState::Open);
}

#[test]
fn other_limits_for_the_keys_of_one_profile_are_named() {
    let profile = Profiles::from_toml(TEXT).unwrap().profile("a").unwrap();
    let _first = profile.per_key::<u64>(limits(10)).unwrap();
    let _again = profile.clone().per_key::<u64>(limits(10)).unwrap();
    let error = profile.per_key::<u64>(limits(11)).unwrap_err();
    assert_eq!(error.field(), "authorities");
    // Keys of another type are another store.
    let _other = profile.per_key::<String>(limits(11)).unwrap();
}

/// A store that stood in its profile and held it would keep both for ever.
#[test]
fn the_store_of_a_profile_does_not_hold_it() {
    let profiles = Profiles::from_toml(&format!("{TEXT}\n[b]\ndeadline = \"1s\"")).unwrap();
    let store = profiles.profile("a").unwrap().per_key::<u64>(limits(10)).unwrap();
    let held = store.get(&7, clock::now());
    let fresh = held.fresh();
    let _layer = fresh.layer();
    profiles.reload("[b]\ndeadline = \"1s\"").unwrap();
    // What is kept of it goes on by the last text.
    assert_eq!(fresh.snapshot().bulkhead.unwrap().limit, 2);
    // A fresh profile that its user made holds it, as ever.
    let fresh = profiles.profile("b").unwrap().fresh();
    profiles.reload("[c]\ndeadline = \"1s\"").unwrap_err();
    drop(fresh);
    profiles.reload("[c]\ndeadline = \"1s\"").unwrap();
}

/// A state that is held stays, however many keys come after it.
#[tokio::test(start_paused = true)]
async fn a_state_that_is_held_is_not_made_again() {
    let profile = Profiles::from_toml(TEXT).unwrap().profile("a").unwrap();
    let store = profile.per_key::<u64>(limits(10)).unwrap();
    let held = store.get(&0, clock::now());
    held.rate_limit().unwrap().check(3).unwrap();
    for round in 1..1_000 {
        store.get(&round, clock::now());
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let again = store.get(&0, clock::now());
    assert_eq!(again.snapshot().rate_limit, held.snapshot().rate_limit);
    assert!(store.len() <= 20);
    held.rate_limit().unwrap().pause_for(Duration::from_secs(9));
    let paused = again.rate_limit().unwrap().snapshot().paused_for;
    assert_eq!(paused, Some(Duration::from_secs(9)), "one state");
}

#[tokio::test(start_paused = true)]
async fn a_hint_pauses_for_as_long_as_the_text_lets_it() {
    let pause = |line: &str, hint| {
        let text = TEXT.replace("burst = 10 }", &format!("burst = 10 {line} }}"));
        let profile = Profiles::from_toml(&text).unwrap().profile("a").unwrap();
        let _layer = profile.layer();
        profile.follow_hint(Duration::from_secs(hint));
        profile.snapshot().rate_limit.unwrap().paused_for
    };
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(pause("", 7), seconds(7));
    assert_eq!(pause("", 7_000), seconds(300));
    assert_eq!(pause(", longest_hint = \"1h\"", 7_000), seconds(3_600));
    let text = TEXT.replace("burst = 10 }", "burst = 10, longest_hint = \"0s\" }");
    let error = Profiles::from_toml(&text).unwrap_err().to_string();
    assert!(error.contains("`rate_limit.longest_hint`") && error.contains("line 6"), "{error}");
}
