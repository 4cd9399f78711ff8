//! Bounds on the library's cost.
//!
//! **To add a target**, add a row to [`stack`] or [`layers`]: the figure, the quotient, and its
//! bound.

use super::row::Row;
use crate::cost::{Inner, Mode};
use crate::figures::names::*;
use crate::target::Target;

/// Name and mode of a subject. Its inner service is ready at once.
type Of = (&'static str, Mode);

fn one(subject: &'static str) -> Of {
    (subject, Mode::One)
}

fn two(subject: &'static str) -> Of {
    (subject, Mode::Two)
}

fn workers(subject: &'static str) -> Of {
    (subject, Mode::Workers)
}

/// Cost of five stages over that of an empty pipeline in Polly v8's published benchmarks: 766.3 ns
/// and 28.2 ns. The quotient is used because the machine was a different one.
const POLLY: f64 = 766.3 / 28.2;

/// Returns the targets of the figures that this run measured.
pub(super) fn all(rows: &[Row]) -> Vec<Target> {
    let ratio = |figure, what, above: Of, below: Of, at_most| {
        let below_ns = find(rows, figure, below);
        let over = |row: Of| find(rows, figure, row).zip(below_ns).map(|(a, b)| a / b);
        // The floor is that of one thread in every mode: a call on two threads costs no less.
        Target::timed(figure, what, at_most, over(above)).above(over(one(FLOOR)))
    };
    let mut targets = stack(&ratio);
    targets.push(allocations(rows));
    targets.extend(layers(&ratio));
    targets.retain(|target| rows.iter().any(|row| row.figure == target.figure));
    targets
}

type Ratio<'a> = &'a dyn Fn(&'static str, &'static str, Of, Of, f64) -> Target;

fn stack(ratio: Ratio<'_>) -> Vec<Target> {
    vec![
        ratio(STACK, "one thread / floor", one(OURS), one(FLOOR), 1.7),
        ratio(STACK, "two runtimes / one thread", two(OURS), one(OURS), 3.5),
        ratio(STACK, "two workers / one thread", workers(OURS), one(OURS), 3.5),
        ratio(STACK, "ours / tower-resilience's five", one(OURS), one(TOWER_RESILIENCE), 0.1),
        ratio(STACK, "ours / seatbelt's four", one(OURS), one(SEATBELT), 0.5),
        ratio(STACK, "the same four / seatbelt's", one(OUR_FOUR), one(SEATBELT), 0.5),
        ratio(
            STACK,
            "ours / a boxed service (Polly, published: 27.2)",
            one(OURS),
            one(BOXED),
            POLLY,
        ),
        ratio(STACK, "ours / tower's five", one(OURS), one(TOWER_FIVE), 0.9),
        ratio(TELEMETRY, "with a listener / without", one(LISTENER), one(OURS), 1.5),
    ]
}

fn layers(ratio: Ratio<'_>) -> Vec<Target> {
    vec![
        ratio(BREAKER, "handle, closed / floor", one(TRY_ADMIT), one(FLOOR), 1.2),
        ratio(BREAKER_LAYER, "layer, closed / floor", one(LAYER_BY_TIME), one(FLOOR), 1.9),
        ratio(REFUSAL, "a refusal / floor", one(REFUSED), one(FLOOR), 1.5),
        ratio(PERMIT, "ours / tokio's try_acquire", one(TRY_ACQUIRE), one(SEMAPHORE), 1.0),
        ratio(PERMIT, "the same at two threads", two(TRY_ACQUIRE), two(SEMAPHORE), 0.5),
        // No target against governor on its own clock, a processor counter that tests cannot pause.
        // No target at two threads: a limiter with a queue, refunds and pauses takes a lock.
        ratio(
            CHECK,
            "ours / governor on the same clock",
            one(OUR_CHECK),
            one(GOVERNOR_INSTANT),
            1.4,
        ),
        ratio(
            KEYED,
            "ours / governor keyed on the same clock",
            one(OUR_KEYED),
            one(GOVERNOR_KEYED_INSTANT),
            1.3,
        ),
        ratio(LOOKUP, "two threads / one thread", two(OUR_WITH), one(OUR_WITH), 2.0),
        // No target against tower's bare Retry, which has no deadline, no hints and no stop reason.
        ratio(
            RETRY_BUDGET,
            "default / tower's Retry with TpsBudget",
            one(OUR_RETRY_DEFAULT),
            one(TOWER_RETRY_BUDGET),
            1.2,
        ),
        ratio(POOL, "ours / deadpool's own path", one(OUR_POOL), one(DEADPOOL), 1.15),
        ratio(POOL, "the same at two threads", two(OUR_POOL), two(DEADPOOL), 1.15),
        ratio(PICK, "a pick and its return / one read-modify-write", one(OUR_PICK), one(ADD), 3.0),
        ratio(PICK, "two threads / one thread", two(OUR_PICK), one(OUR_PICK), 2.0),
        // No target for a deposit against TpsBudget's, which keeps fewer counts.
    ]
}

/// Returns the target for allocations. Load on the machine does not change this count, so a miss
/// fails the run.
fn allocations(rows: &[Row]) -> Target {
    let ours = rows.iter().filter(|row| row.figure == STACK && row.subject == OURS);
    let most = ours.map(|row| row.allocs).reduce(f64::max);
    Target::exact(STACK, "allocations of a call", 0.0, most)
}

fn find(rows: &[Row], figure: &str, (subject, mode): Of) -> Option<f64> {
    rows.iter()
        .find(|row| {
            row.figure == figure
                && row.subject == subject
                && row.mode == mode
                && row.inner == Inner::Ready
        })?
        .median()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::row::tests::{ns, row};

    #[test]
    fn a_target_is_met_missed_or_unknown() {
        let rows = [ns(row(STACK, OURS), 75.0), ns(row(STACK, FLOOR), 50.0), row(STACK, SEATBELT)];
        let targets = all(&rows);
        let of = |what: &str| targets.iter().find(|target| target.what == what).unwrap();
        assert_eq!(of("one thread / floor").measured, Some(1.5));
        assert_eq!(of("one thread / floor").holds(), Some(true));
        assert_eq!(of("ours / seatbelt's four").holds(), None);
        assert_eq!(of("allocations of a call").holds(), Some(true));
        assert!(targets.iter().all(|target| target.figure == STACK));
    }

    /// A target with a misspelled subject name would never be measured, and never missed.
    #[test]
    fn targets_are_about_subjects_that_exist() {
        let figures = crate::figures::all().unwrap();
        let rows: Vec<Row> = figures
            .iter()
            .flat_map(|figure| figure.subjects.iter().map(|subject| (figure.name, subject.name)))
            .flat_map(|(figure, subject)| {
                [Mode::One, Mode::Two, Mode::Workers]
                    .map(|mode| Row { mode, ..ns(row(figure, subject), 1.0) })
            })
            .collect();
        let unknown: Vec<Target> =
            all(&rows).into_iter().filter(|target| target.measured.is_none()).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
