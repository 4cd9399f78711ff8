//! A read at a time is the truth at that time, whether or not anybody advanced the circuit.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use resilience_core::breaker::{
    Admission, Change, Circuit, CircuitBreaker, CircuitConfig, CircuitState, SlidingWindow,
    TransitionReason,
};
use resilience_core::{Outcome, clock};

use crate::{SECOND, builder, fail};

#[derive(Debug, Clone, Copy)]
enum Step {
    Advance(u16),
    Admit,
    End(u8, Outcome),
    Open,
    HalfOpen,
    Close,
    ForceOpen(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop::sample::select(vec![
        Outcome::Success,
        Outcome::transient(),
        Outcome::throttled(SECOND * 3),
        Outcome::Abandoned,
    ]);
    prop_oneof![
        4 => any::<u16>().prop_map(Step::Advance),
        6 => Just(Step::Admit),
        6 => (any::<u8>(), outcome).prop_map(|(which, outcome)| Step::End(which, outcome)),
        1 => Just(Step::Open),
        1 => Just(Step::HalfOpen),
        1 => Just(Step::Close),
        1 => any::<u16>().prop_map(Step::ForceOpen),
    ]
}

fn config(ramp: bool, closes: bool) -> CircuitConfig {
    let mut builder = CircuitConfig::builder()
        .consecutive_failures(3)
        .failure_rate(0.5, SlidingWindow::time(SECOND * 10))
        .growing_break(SECOND * 5, 2.0, SECOND * 60)
        .probes(2)
        .max_half_open(SECOND * 20);
    if ramp {
        builder = builder.ramp([0.25, 0.5], SECOND * 10);
    }
    if closes {
        builder = builder.close_when_half_open_too_long();
    }
    builder.config().unwrap()
}

/// A circuit that is advanced before each operation, and one that never is, with the same
/// calls.
struct Twins {
    config: CircuitConfig,
    now: Instant,
    advanced: Circuit,
    lazy: Circuit,
    calls: Vec<(Admission, Admission)>,
}

impl Twins {
    fn take(&mut self, step: Step) {
        let Twins { config, now, advanced, lazy, calls } = self;
        let u = || 0.5;
        if let Step::Advance(ms) = step {
            *now += Duration::from_millis(ms.into());
        }
        advanced.advance(config, *now, u);
        match step {
            Step::Advance(_) => {}
            Step::Admit => match (advanced.admit(config, *now, u), lazy.admit(config, *now, u)) {
                (Ok(one), Ok(other)) => calls.push((one, other)),
                (one, other) => assert_eq!(one.err(), other.err()),
            },
            Step::End(which, outcome) if !calls.is_empty() => {
                let (one, other) = calls.swap_remove(usize::from(which) % calls.len());
                let one = advanced.record(config, one, outcome, *now, u);
                assert_eq!(one, lazy.record(config, other, outcome, *now, u));
            }
            Step::End(..) => {}
            // What people do is done to what they see.
            Step::Open => self.by_hand(|circuit, config, now| circuit.open_now(config, now, 0.5)),
            Step::HalfOpen => self.by_hand(|circuit, _, _| circuit.half_open().ok().flatten()),
            Step::Close => self.by_hand(|circuit, _, now| circuit.close(now)),
            Step::ForceOpen(ms) => self.by_hand(|circuit, _, now| {
                circuit.force_open(now, Some(Duration::from_millis(ms.into())))
            }),
        }
    }

    fn by_hand(
        &mut self,
        change: impl Fn(&mut Circuit, &CircuitConfig, Instant) -> Option<Change>,
    ) {
        self.lazy.advance(&self.config, self.now, || 0.5);
        let [one, other] =
            [&mut self.advanced, &mut self.lazy].map(|it| change(it, &self.config, self.now));
        assert_eq!(one, other);
    }

    /// All that can be read, `ahead` of now.
    fn check(&self, ahead: Duration) {
        let (config, then) = (&self.config, self.now + ahead);
        let mut advanced = self.advanced.clone();
        advanced.advance(config, then, || 0.5);
        let before = format!("{:?}", self.lazy);
        assert_eq!(self.lazy.state_at(config, then), advanced.state());
        assert_eq!(self.lazy.snapshot(config, then), advanced.snapshot(config, then));
        assert_eq!(self.lazy.rejection(config, then), advanced.rejection(config, then));
        assert_eq!(format!("{:?}", self.lazy), before, "a read changes nothing");
        let admitted = self.lazy.clone().admit(config, then, || 0.5).err();
        assert_eq!(admitted, advanced.admit(config, then, || 0.5).err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_circuit_without_advances_is_as_one_that_is_advanced(
        steps in prop::collection::vec(step(), 1..80),
        ahead in any::<u16>(),
        ramp in any::<bool>(),
        closes in any::<bool>(),
    ) {
        let (config, now) = (config(ramp, closes), clock::now());
        let (advanced, lazy) = (Circuit::new(), Circuit::new());
        let mut twins = Twins { config, now, advanced, lazy, calls: Vec::new() };
        for step in steps {
            twins.take(step);
            twins.check(Duration::ZERO);
            twins.check(Duration::from_millis(ahead.into()));
        }
    }
}

#[test]
fn a_break_that_is_over_is_saved_as_half_open() {
    let (config, now) = (config(false, false), clock::now());
    let mut circuit = Circuit::new();
    circuit.open_now(&config, now, 0.5);
    assert_eq!(circuit.save(now + SECOND).state, CircuitState::Open);
    let saved = circuit.save(now + SECOND * 5);
    assert_eq!((saved.state, saved.open_for), (CircuitState::HalfOpen, None));
}

fn reason(breaker: &CircuitBreaker) -> (CircuitState, Option<TransitionReason>) {
    let seen = breaker.snapshot();
    (seen.state, seen.reason)
}

/// Every state that something led to has its reason.
#[tokio::test(start_paused = true)]
async fn every_state_has_its_reason() {
    use CircuitState::{Closed, Disabled, ForcedClosed, ForcedOpen, HalfOpen, Open, Ramping};
    use TransitionReason::{
        BreakOver, ConsecutiveFailures, HalfOpenTooLong, Manual, ProbesFailed, ProbesSucceeded,
        RampCompleted,
    };
    let breaker = builder().ramp([0.5, 0.75], SECOND).max_half_open(SECOND * 9).build().unwrap();
    assert_eq!(reason(&breaker), (Closed, None), "nothing led here");
    fail(&breaker, 2);
    assert_eq!(reason(&breaker), (Open, Some(ConsecutiveFailures)));
    tokio::time::advance(SECOND * 5).await;
    assert_eq!(reason(&breaker), (HalfOpen, Some(BreakOver)));
    let probe = breaker.try_admit().unwrap();
    breaker.set_config(builder().probes(2).max_half_open(SECOND * 9).config().unwrap());
    assert_eq!(reason(&breaker), (HalfOpen, Some(BreakOver)), "still, by other rules");
    drop(probe);
    let _probe = breaker.try_admit().unwrap();
    tokio::time::advance(SECOND * 9).await;
    assert_eq!(reason(&breaker), (Open, Some(HalfOpenTooLong)));
    let ramps = builder().ramp([0.5, 0.75], SECOND);
    breaker.set_config(ramps.config().unwrap());
    tokio::time::advance(SECOND * 5).await;
    fail(&breaker, 1);
    assert_eq!(reason(&breaker), (Open, Some(ProbesFailed)));
    tokio::time::advance(SECOND * 5).await;
    breaker.try_admit().unwrap().success();
    for _ in 0..2 {
        assert_eq!(reason(&breaker), (Ramping, Some(ProbesSucceeded)));
        tokio::time::advance(SECOND).await;
    }
    assert_eq!(reason(&breaker), (Closed, Some(RampCompleted)));
    breaker.open();
    assert_eq!(reason(&breaker), (Open, Some(Manual)));
    breaker.half_open().unwrap();
    assert_eq!(reason(&breaker), (HalfOpen, Some(Manual)));
    let saved = breaker.save();
    breaker.close();
    assert_eq!(reason(&breaker), (Closed, Some(Manual)));
    breaker.force_open();
    assert_eq!(reason(&breaker), (ForcedOpen, Some(Manual)));
    breaker.force_closed();
    assert_eq!(reason(&breaker), (ForcedClosed, Some(Manual)));
    breaker.disable();
    assert_eq!(reason(&breaker), (Disabled, Some(Manual)));
    breaker.restore(saved);
    assert_eq!(reason(&breaker), (HalfOpen, Some(Manual)));
    breaker.reset();
    assert_eq!(reason(&breaker), (Closed, None), "forgets everything");
}

#[tokio::test(start_paused = true)]
async fn rates_are_there_from_the_first_call_on() {
    let time = SlidingWindow::time(SECOND * 10);
    let breaker = CircuitBreaker::builder()
        .failure_rate(0.5, time)
        .slow_calls(SECOND, 0.5, time)
        .build()
        .unwrap();
    let rates = || {
        let seen = breaker.snapshot();
        (seen.failure_rate, seen.slow_rate)
    };
    assert_eq!(rates(), (None, None), "of nothing");
    fail(&breaker, 1);
    assert_eq!(rates(), (Some(1.0), Some(0.0)));
    let slow = breaker.try_admit().unwrap();
    tokio::time::advance(SECOND).await;
    slow.success();
    assert_eq!(rates(), (Some(0.5), Some(0.5)));
    assert_eq!(breaker.state(), CircuitState::Closed, "two calls decide nothing");
    tokio::time::advance(SECOND * 20).await;
    assert_eq!(rates(), (None, None), "gone by");
}
