//! Cost of an admission and a success, by the number of calls in the window of the breaker.

use std::cell::RefCell;
use std::time::Duration;

use resilience_core::Outcome;
use resilience_core::breaker::{Circuit, CircuitBreaker, CircuitConfig, SlidingWindow};
use resilience_core::clock;
use tower::BoxError;

use super::figure::Figure;
use super::sweep::{At, Sweep};
use super::{Group, tenfolds};
use crate::cost::{Effort, Role, Subject};

pub(super) const GROUP: Group = Group { names: &[NAME], measure };

const NAME: &str = "window occupancy";
const BY_COUNT: &str = "our handle, count window";
const BY_TIME: &str = "our handle, time window (at least so many)";
const ENGINE_COUNT: &str = "our engine, count window";
const ENGINE_TIME: &str = "our engine, time window that moves";

const LENGTH: Duration = Duration::from_secs(10);
/// The most calls in a window.
const MOST: u64 = 1_000_000;

fn measure(quick: bool) -> Result<Vec<Figure>, BoxError> {
    let mut points = Vec::new();
    for size in tenfolds(10, MOST) {
        let calls = u32::try_from(size)?;
        let (count, time) = (SlidingWindow::count(calls), SlidingWindow::time(LENGTH));
        points.push(At::new(size, handle(BY_COUNT, count, size)?));
        points.push(At::new(size, handle(BY_TIME, SlidingWindow::time(DAY), size)?));
        points.push(At::new(size, engine(ENGINE_COUNT, count, calls)?));
        points.push(At::new(size, engine(ENGINE_TIME, time, calls)?));
    }
    let sweep = Sweep::measure(points, Effort::new(quick))?;
    let mut figure = Figure::new(NAME, "calls in the window", "CPU ns of admit and success");
    sweep.draw(&mut figure);
    let growth = |name| sweep.ratio((name, MOST), (name, 10));
    figure.timed("handle, count window: a million calls / ten", 1.2, growth(BY_COUNT));
    figure.timed("handle, time window: a million calls / ten", 1.2, growth(BY_TIME));
    figure.timed("engine, count window: a million calls / ten", 1.2, growth(ENGINE_COUNT));
    figure.timed("engine, time window: a million calls / ten", 1.2, growth(ENGINE_TIME));
    Ok(vec![figure])
}

/// The length of a window that no call leaves during a run.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Creates a subject over the handle, which reads the clock.
fn handle(name: &'static str, window: SlidingWindow, calls: u64) -> Result<Subject, BoxError> {
    let breaker = CircuitBreaker::builder().failure_rate(0.5, window).build()?;
    let call = move || {
        if let Ok(admitted) = breaker.try_admit() {
            admitted.success();
        }
    };
    (0..calls).for_each(|_| call());
    Ok(Subject::function(Role::Ours, name, call))
}

/// Creates a subject over the engine at given instants: a window passes after `calls` calls.
fn engine(name: &'static str, window: SlidingWindow, calls: u32) -> Result<Subject, BoxError> {
    let config = CircuitConfig::builder().failure_rate(0.5, window).config()?;
    Ok(Subject::function_each(Role::Ours, name, move || {
        let config = config.clone();
        let state = RefCell::new((Circuit::new(), clock::now()));
        let call = move || {
            let (circuit, now) = &mut *state.borrow_mut();
            *now += LENGTH / calls;
            circuit.advance(&config, *now, || 0.5);
            if let Ok(admission) = circuit.admit(&config, *now, || 0.5) {
                circuit.record(&config, admission, Outcome::Success, *now, || 0.5);
            }
        };
        (0..calls).for_each(|_| call());
        call
    }))
}
