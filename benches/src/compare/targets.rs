//! What the library is meant to cost. **Add a row to [`all`]**: a figure, what is divided by what, and the bound.

use super::row::Row;
use crate::cost::{Inner, Mode};
use crate::figures::names::*;
use crate::target::Target;

/// A row: a subject of a figure around a service that is ready, in a mode.
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

/// Polly v8's own benchmarks: five stages in 766.3 ns, an empty pipeline in 28.2, on another machine.
const POLLY: f64 = 766.3 / 28.2;

/// The targets that the rows of this run say something about.
pub(super) fn all(rows: &[Row]) -> Vec<Target> {
    let ratio = |figure, what, above: Of, below: Of, at_most| {
        let below_ns = find(rows, figure, below);
        let over = |row: Of| find(rows, figure, row).zip(below_ns).map(|(a, b)| a / b);
        // One thread's, whatever the mode: no two pay less.
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
        // No target beside governor's own clock, the processor's counter: no test can pause it. None at two threads: a
        // limit with a queue, refunds and pauses has a lock.
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
        // No target beside tower's bare Retry, which keeps no deadline, no hint and no reason.
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
        // No target for a deposit beside TpsBudget's, which counts fewer things.
    ]
}

/// The only one that a busy machine cannot move, and the only one that fails the run.
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

    /// A name that is spelled otherwise than the subject's would be a target that nobody misses.
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
