//! Gauges of circuits with late events.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use resilience_core::Outcome;
use resilience_core::breaker::{CircuitBreaker, CircuitState, SavedCircuit};
use resilience_core::observe::{Event, Listen, Metrics};

use crate::recorder::Notebook;

fn state(notebook: &Notebook, labels: &str) -> String {
    let prefix = format!("resilience.circuit.status{{resilience.layer.name={labels}");
    let read = notebook.read();
    let states = read.iter().filter(|(name, value)| name.starts_with(&prefix) && value[0] == 1.0);
    let names: Vec<_> = states.filter_map(|(name, _)| name.rsplit('=').next()).collect();
    names.join(" ").replace('}', "")
}

/// A listener that takes its time for the first change: meanwhile the circuit is closed again,
/// and that change is reported first.
#[test]
fn a_late_event_does_not_bring_an_old_state_back() {
    let (notebook, metrics) = (Notebook::default(), Metrics::default());
    let own: Arc<Mutex<Option<CircuitBreaker>>> = Arc::default();
    let (inside, told) = (own.clone(), metrics.clone());
    let sequences = Arc::new(Mutex::new(Vec::new()));
    let (sink, late) = (sequences.clone(), AtomicBool::new(true));
    let slow = move |event: &Event<'_>| {
        if late.swap(false, Ordering::Relaxed) {
            let breaker = inside.lock().clone().unwrap();
            breaker.close();
        }
        if let Event::CircuitChanged { sequence, to, .. } = event {
            sink.lock().push((*sequence, *to));
        }
        told.event(event);
    };
    let builder = CircuitBreaker::builder().name("odds").consecutive_failures(1);
    let breaker = builder.listen(slow).build().unwrap();
    *own.lock() = Some(breaker.clone());
    notebook.during(|| breaker.try_admit().unwrap().outcome(Outcome::transient()));
    own.lock().take();

    assert_eq!(breaker.state(), CircuitState::Closed);
    assert_eq!(state(&notebook, "odds"), "closed");
    let sequences = sequences.lock();
    let states: Vec<_> = sequences.iter().map(|&(_, to)| to).collect();
    assert_eq!(states, [CircuitState::Closed, CircuitState::Open], "told in this order");
    assert!(sequences[0].0 > sequences[1].0, "{sequences:?}");
    // Both are counted.
    let transitions = notebook.read().into_iter().filter(|(name, _)| name.contains("transitions"));
    assert_eq!(transitions.count(), 2);
}

/// The next circuit of the name, or of a key that was forgotten, begins anew; its changes are the
/// later ones none the less.
#[test]
fn a_circuit_that_is_made_anew_is_shown() {
    let (notebook, metrics) = (Notebook::default(), Metrics::default());
    let make = || {
        let builder = CircuitBreaker::builder().name("odds").consecutive_failures(1);
        builder.listen(metrics.clone()).build().unwrap()
    };
    notebook.during(|| {
        let old = make();
        for _ in 0..100 {
            old.force_open();
            old.close();
        }
        drop(old);
        let new = make();
        new.force_open();
    });
    assert_eq!(state(&notebook, "odds"), "forced_open");
}

/// A late event affects only its own circuit.
#[test]
fn each_circuit_has_its_own_latest_change() {
    let (notebook, metrics) = (Notebook::default(), Metrics::default());
    let odds = CircuitBreaker::builder().name("odds").listen(metrics.clone()).build().unwrap();
    let other = odds.clone();
    let listener = move |event: &Event<'_>| {
        other.force_open();
        metrics.event(event);
    };
    let scores = CircuitBreaker::builder().name("scores").listen(listener).build().unwrap();
    notebook.during(|| scores.force_open());
    assert_eq!(
        (state(&notebook, "odds"), state(&notebook, "scores")),
        ("forced_open".into(), "forced_open".into())
    );
}

/// A restart that finds an open circuit shows an open circuit.
#[tokio::test(start_paused = true)]
async fn a_restored_state_is_reported() {
    let (notebook, metrics) = (Notebook::default(), Metrics::default());
    let breaker = CircuitBreaker::builder().name("odds").listen(metrics).build().unwrap();
    let mut saved = SavedCircuit::default();
    saved.state = CircuitState::Open;
    saved.open_for = Some(std::time::Duration::from_secs(9));
    notebook.during(|| breaker.restore(saved));
    assert_eq!(state(&notebook, "odds"), "open");
    // The same again is no change.
    notebook.during(|| breaker.restore(saved));
    let change = "resilience.circuit.transitions{resilience.layer.name=odds,\
                  resilience.circuit.state=open,resilience.circuit.previous_state=closed,\
                  resilience.circuit.reason=manual}";
    assert_eq!(notebook.value(change), Some(1.0));
}
