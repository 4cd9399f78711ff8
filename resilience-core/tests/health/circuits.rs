//! Dependencies with the state of their circuit.

use crate::SECOND;
use resilience_core::breaker::{CircuitBreaker, CircuitState};
use resilience_core::health::{CheckState, Criticality, FailureKind, Health, Readiness};

fn watched(criticality: Criticality) -> (CircuitBreaker, Health) {
    let breaker = CircuitBreaker::builder().name("odds").build().unwrap();
    let health = Health::builder().circuit_breaker("odds", breaker.clone(), criticality);
    (breaker, health.build().unwrap())
}

#[tokio::test(start_paused = true)]
async fn every_state_has_its_meaning() {
    use CheckState::{Down, Impaired, Up};
    type Act = fn(&CircuitBreaker);
    let cases: [(Act, CircuitState, CheckState); 6] = [
        (|_| (), CircuitState::Closed, Up),
        (|it| it.force_closed(), CircuitState::ForcedClosed, Up),
        (|it| it.disable(), CircuitState::Disabled, Up),
        (|it| it.open(), CircuitState::Open, Down),
        (|it| it.half_open().unwrap(), CircuitState::HalfOpen, Impaired),
        (|it| it.force_open(), CircuitState::ForcedOpen, Down),
    ];
    let (optional, degraded) = watched(Criticality::Optional);
    let (critical, not_ready) = watched(Criticality::Critical);
    for (act, circuit, state) in cases {
        act(&optional);
        act(&critical);
        for (health, down) in [(&degraded, Readiness::Degraded), (&not_ready, Readiness::NotReady)]
        {
            let report = health.ready().await;
            let check = report.check("odds").unwrap();
            assert_eq!((check.circuit, check.state), (Some(circuit), state));
            let expected = match state {
                Up => Readiness::Ready,
                Impaired => Readiness::Degraded,
                _ => down,
            };
            assert_eq!(report.readiness, expected, "{circuit}");
        }
    }
    assert_eq!((optional.snapshot().calls, optional.snapshot().not_permitted), (0, 0));
}

/// A half-open circuit needs some requests, or it would never close.
#[tokio::test(start_paused = true)]
async fn a_ramp_is_impaired() {
    let breaker = CircuitBreaker::builder().probes(1).ramp([0.5], SECOND).build().unwrap();
    let health = Health::builder().circuit_breaker("odds", breaker.clone(), Criticality::Critical);
    let health = health.build().unwrap();
    breaker.open();
    breaker.half_open().unwrap();
    breaker.try_admit().unwrap().success();
    let report = health.ready().await;
    let check = report.check("odds").unwrap();
    assert_eq!((check.circuit, check.state), (Some(CircuitState::Ramping), CheckState::Impaired));
    assert_eq!(report.readiness, Readiness::Degraded);
}

/// Otherwise no request would come that could close it.
#[tokio::test(start_paused = true)]
async fn a_break_that_is_over_is_ready_though_there_was_no_call_since() {
    let (breaker, health) = watched(Criticality::Critical);
    breaker.open();
    let report = health.ready().await;
    assert_eq!(report.readiness, Readiness::NotReady);
    let rest = report.retry_after.unwrap();
    let failure = report.check("odds").unwrap().failure.as_ref().unwrap();
    assert_eq!(failure.kind(), FailureKind::CircuitOpen(Some(rest)));
    tokio::time::advance(rest + SECOND).await;
    let report = health.ready().await;
    assert_eq!((report.readiness, report.retry_after), (Readiness::Degraded, None));
    assert_eq!(report.to_string(), "degraded: odds is impaired");
}
