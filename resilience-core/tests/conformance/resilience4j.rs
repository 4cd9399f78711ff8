//! resilience4j: the state machine of its circuit breaker and its sliding time window, by the rows
//! of their test suites.
//!
//! Deliberate differences: probes are decided as soon as the remaining ones cannot change the
//! result; a half-open circuit with no probe under way stays half-open, since no call waits for it;
//! and a breaker that only observes changes the state that it reports.

use std::time::{Duration, Instant};

use resilience_core::breaker::{
    Admission, Circuit, CircuitBreakerBuilder, CircuitConfig, CircuitRejection, CircuitState,
    ProbeRule, SlidingWindow, TransitionReason,
};
use resilience_core::{Outcome, RetryHint, clock};

use crate::ms;

/// A circuit on a clock that the test sets.
struct Scene {
    config: CircuitConfig,
    circuit: Circuit,
    start: Instant,
    now: Instant,
    changes: Vec<(CircuitState, TransitionReason)>,
}

/// The configuration of their tests. Theirs opens at a rate of failures, and so does half-open: at
/// 50 % of 4, three must go well.
fn e11() -> CircuitBreakerBuilder {
    let window = SlidingWindow::time_in(ms(20_000), 20);
    CircuitConfig::builder()
        .minimum_calls(5)
        .failure_rate(0.5, window)
        .slow_calls(ms(4_000), 0.5, window)
        .break_for(ms(5_000))
        .break_jitter(0.0)
        .probes(4)
        .probes_succeed_by(ProbeRule::Ratio(0.75))
        .max_half_open(ms(60_000))
}

impl Scene {
    fn new(builder: CircuitBreakerBuilder) -> Scene {
        let now = clock::now();
        let config = builder.config().unwrap();
        Scene { config, circuit: Circuit::new(), start: now, now, changes: Vec::new() }
    }

    fn pass(&mut self, time: Duration) -> &mut Scene {
        self.now += time;
        let changes = self.circuit.advance(&self.config, self.now, || 0.5);
        self.changes.extend(changes.iter().map(|change| (change.to, change.reason)));
        self
    }

    fn admit(&mut self) -> Result<Admission, CircuitRejection> {
        self.circuit.admit(&self.config, self.now, || 0.5)
    }

    fn end(&mut self, admission: Admission, outcome: Outcome) {
        let change = self.circuit.record(&self.config, admission, outcome, self.now, || 0.5);
        self.changes.extend(change.map(|change| (change.to, change.reason)));
    }

    /// Calls by letter, one after the other: F, S, I(gnored), or lower case after 5 s.
    fn calls(&mut self, letters: &str) -> &mut Scene {
        for letter in letters.chars() {
            let admission = self.admit().unwrap();
            if letter.is_lowercase() {
                self.pass(ms(5_000));
            }
            let outcome = match letter.to_ascii_uppercase() {
                'F' => Outcome::transient(),
                'S' => Outcome::Success,
                _ => Outcome::NotReady(RetryHint::None),
            };
            self.end(admission, outcome);
        }
        self
    }

    fn state(&self) -> CircuitState {
        self.circuit.state()
    }

    /// Half-open, as after a break.
    fn half_open(builder: CircuitBreakerBuilder) -> Scene {
        let mut scene = Scene::new(builder);
        scene.calls("FFFFF").pass(ms(5_001));
        assert_eq!(scene.state(), CircuitState::HalfOpen);
        scene.changes.clear();
        scene
    }
}

#[test]
fn opens_on_the_fifth_call_though_it_is_a_success() {
    let mut scene = Scene::new(e11());
    scene.calls("FFFS");
    let before = scene.circuit.snapshot(&scene.config, scene.now);
    // Theirs is -1 before the minimum of calls; ours is measured, and decides nothing before it.
    assert_eq!((before.state, before.failure_rate), (CircuitState::Closed, Some(0.75)));
    scene.calls("S");
    let after = scene.circuit.snapshot(&scene.config, scene.now);
    assert_eq!((after.state, after.failure_rate), (CircuitState::Open, Some(0.6)));
    assert_eq!((after.calls, after.failures), (5, 3));
}

#[test]
fn opens_at_the_threshold_and_not_before() {
    let mut scene = Scene::new(e11());
    for letter in ["S", "S", "S", "F", "F"] {
        scene.calls(letter).pass(ms(1_000));
    }
    assert_eq!(scene.state(), CircuitState::Closed);
    scene.calls("F");
    assert_eq!(scene.state(), CircuitState::Open);
}

#[test]
fn opens_by_slow_calls() {
    // Their calls last; ours end on a clock that stands still between them, in a window long
    // enough.
    let window = SlidingWindow::count(20);
    let mut scene = Scene::new(e11().slow_calls(ms(4_000), 0.5, window).failure_rate(0.5, window));
    scene.calls("fsFSs");
    let snapshot = scene.circuit.snapshot(&scene.config, scene.now);
    assert_eq!((snapshot.state, snapshot.slow_rate), (CircuitState::Open, Some(0.6)));
    assert_eq!(snapshot.reason, Some(TransitionReason::SlowCallRate));
}

#[test]
fn an_open_circuit_rejects_until_the_break_is_over() {
    let mut scene = Scene::new(e11());
    scene.calls("FFFFF").pass(ms(3_000));
    for _ in 0..2 {
        assert_eq!(scene.admit().unwrap_err().retry_after, Some(ms(2_000)));
    }
    assert_eq!(scene.circuit.snapshot(&scene.config, scene.now).not_permitted, 2);
    scene.pass(ms(2_001));
    assert!(scene.admit().is_ok());
    let snapshot = scene.circuit.snapshot(&scene.config, scene.now);
    assert_eq!((snapshot.state, snapshot.calls), (CircuitState::HalfOpen, 0));
}

#[test]
fn breaks_grow() {
    let mut scene = Scene::half_open(e11().growing_break(ms(5_000), 1.5, ms(60_000)));
    scene.calls("FF").pass(ms(6_000));
    assert_eq!(scene.state(), CircuitState::Open);
    scene.pass(ms(5_000));
    assert!(scene.admit().is_ok());
}

#[test]
fn forced_open() {
    let half_hour = ms(30 * 60_000);
    let mut scene = Scene::new(e11());
    scene.circuit.force_open(scene.now, Some(half_hour));
    scene.pass(half_hour / 2);
    assert_eq!(scene.admit().unwrap_err().retry_after, Some(half_hour / 2));
    let mut scene = Scene::new(e11());
    scene.circuit.force_open(scene.now, None);
    scene.pass(ms(6_000));
    assert!(scene.admit().is_err());
}

#[test]
fn half_open_admits_as_many_as_it_may() {
    let mut scene = Scene::half_open(e11());
    let mut probes: Vec<_> = (0..4).map(|_| scene.admit().unwrap()).collect();
    for _ in 0..2 {
        assert!(scene.admit().is_err());
    }
    scene.end(probes.remove(0), Outcome::NotReady(RetryHint::None));
    let reused = scene.admit().unwrap();
    assert!(scene.admit().is_err());
    // Half-open again: all of them again, and what is left of the first ones is nobody's.
    scene.end(reused, Outcome::transient());
    scene.end(probes.remove(0), Outcome::transient());
    scene.pass(ms(5_000));
    assert_eq!(scene.state(), CircuitState::HalfOpen);
    for probe in probes {
        scene.end(probe, Outcome::NotReady(RetryHint::None));
    }
    let again: Vec<_> = (0..5).map(|_| scene.admit().is_ok()).collect();
    assert_eq!(again, [true, true, true, true, false]);
}

#[test]
fn decisions_of_the_probes() {
    // Four at once; the letters are how they end.
    let rows = [
        ("FFSF", CircuitState::Open),
        ("sssS", CircuitState::Open),
        ("FSSS", CircuitState::Closed),
        // Theirs closes at 25 % after the fifth, ours as soon as it can be no more than that.
        ("SSSIF", CircuitState::Closed),
        ("IIIISSSS", CircuitState::Closed),
        // The ignored ones give back their places.
        ("SSIFS", CircuitState::Closed),
    ];
    for (letters, expected) in rows {
        let mut scene = Scene::half_open(e11());
        let mut out: Vec<_> = Vec::new();
        for letter in letters.chars() {
            if out.is_empty() {
                out.extend((0..4).map_while(|_| scene.admit().ok()));
            }
            let probe = out.remove(0);
            let took = if letter.is_lowercase() { ms(5_000) } else { ms(0) };
            scene.pass(took);
            let outcome = match letter.to_ascii_uppercase() {
                'F' => Outcome::transient(),
                'S' => Outcome::Success,
                _ => Outcome::NotReady(RetryHint::None),
            };
            scene.end(probe, outcome);
            if scene.state() != CircuitState::HalfOpen {
                break;
            }
        }
        assert_eq!(scene.state(), expected, "{letters}");
        if expected == CircuitState::Closed {
            assert_eq!(scene.circuit.snapshot(&scene.config, scene.now).calls, 0, "{letters}");
        }
    }
}

#[test]
fn disabled_counts_nothing() {
    let mut scene = Scene::new(e11());
    scene.circuit.disable();
    scene.calls("FFFFFFFFFF");
    let snapshot = scene.circuit.snapshot(&scene.config, scene.now);
    assert_eq!((snapshot.state, snapshot.calls), (CircuitState::Disabled, 0));
}

#[test]
fn manual_transitions() {
    let mut scene = Scene::new(e11());
    let error = scene.circuit.half_open().unwrap_err();
    assert_eq!(error.to_string(), "a circuit that is closed cannot become half-open");
    // To what it is already: no event.
    assert_eq!(scene.circuit.close(scene.now), None);
    assert!(scene.circuit.open_now(&scene.config, scene.now, 0.5).is_some());
    assert_eq!(scene.circuit.open_now(&scene.config, scene.now, 0.5), None);
    assert!(scene.circuit.force_open(scene.now, None).is_some());
    assert_eq!(scene.circuit.force_open(scene.now, Some(ms(1))), None);
    assert!(scene.circuit.disable().is_some());
    assert_eq!(scene.circuit.disable(), None);
    assert!(scene.circuit.force_closed().is_some());
    assert_eq!(scene.circuit.force_closed(), None);
}

#[test]
fn half_open_for_too_long() {
    let limited = || e11().max_half_open(ms(1_000));
    let mut idle = Scene::half_open(limited());
    idle.pass(ms(10_000));
    assert_eq!(idle.state(), CircuitState::HalfOpen, "nobody is kept waiting");

    let mut hung = Scene::half_open(limited());
    let probe = hung.admit().unwrap();
    hung.pass(ms(999));
    assert_eq!(hung.state(), CircuitState::HalfOpen);
    hung.pass(ms(1));
    assert_eq!(hung.changes, [(CircuitState::Open, TransitionReason::HalfOpenTooLong)]);
    hung.end(probe, Outcome::Success);
    assert_eq!(hung.state(), CircuitState::Open);

    let mut hung = Scene::half_open(limited().close_when_half_open_too_long());
    let _probe = hung.admit().unwrap();
    hung.pass(ms(1_000));
    assert_eq!(hung.state(), CircuitState::Closed);
}

/// The outcomes of calls at these times, and the contents of a window of five buckets of a
/// second after them.
#[test]
fn time_window() {
    let vectors: [&[(u64, &str, u64, u64)]; 2] = [
        &[
            (0, "F", 1, 1),
            (100, "S", 2, 1),
            (100, "S", 3, 1),
            (1_000, "S", 4, 1),
            (1_000, "S", 5, 1),
            (1_000, "F", 6, 2),
            (1_000, "S", 7, 2),
            (1_000, "S", 5, 1),
            (1_000, "S", 5, 1),
            (5_000, "S", 1, 0),
        ],
        &[(0, "F", 1, 1), (100, "S", 2, 1), (700, "F", 3, 2), (4_000, "", 3, 2), (1_000, "", 0, 0)],
    ];
    for vector in vectors {
        let window = SlidingWindow::time_in(ms(5_000), 5);
        let mut scene =
            Scene::new(CircuitConfig::builder().failure_rate(1.0, window).minimum_calls(1_000));
        for &(pass, letters, total, failed) in vector {
            scene.pass(ms(pass)).calls(letters);
            let seen = scene.circuit.snapshot(&scene.config, scene.now);
            let at = scene.now - scene.start;
            assert_eq!((seen.calls, seen.failures), (total, failed), "at {at:?}");
        }
    }
}

/// resilience4j never changes its state and reports an exceeded rate once. This crate reports
/// the change once, and rejects nothing.
#[test]
fn metrics_only() {
    use resilience_core::breaker::CircuitBreaker;
    use resilience_core::observe::Event;
    use std::sync::Arc;

    let notes = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let sink = notes.clone();
    let breaker = CircuitBreaker::builder()
        .consecutive_failures(3)
        .observe_only()
        .listen(move |event: &Event<'_>| {
            sink.lock().push(match event {
                Event::CircuitChanged { to, .. } => to.to_string(),
                Event::WouldReject(_) => "would reject".to_owned(),
                other => format!("{other:?}"),
            });
        })
        .build()
        .unwrap();
    for _ in 0..5 {
        breaker.try_admit().unwrap().outcome(Outcome::transient());
    }
    assert_eq!(*notes.lock(), ["open", "would reject", "would reject"]);
}
