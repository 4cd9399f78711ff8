//! Formats the rows and targets as `report.json`.

use serde_json::{Value, json};

use super::row::Row;
use crate::target::{self, Target};
use crate::{calls, flow};

pub(super) fn report(
    rows: &[Row],
    real: &[calls::Row],
    durable: &[flow::Row],
    targets: &[Target],
) -> Value {
    json!({
        "rows": rows.iter().map(row).chain(calls::json(real)).chain(flow::json(durable)).collect::<Vec<_>>(),
        "targets": target::json(targets),
    })
}

fn row(row: &Row) -> Value {
    json!({
        "figure": row.figure,
        "subject": row.subject,
        "ours": row.role == crate::cost::Role::Ours,
        "inner": row.inner.name(),
        "threads": row.mode.threads(),
        "mode": row.mode.name(),
        "ns": row.median(),
        "spread": row.ns.map(|ns| [ns.low, ns.high]),
        "wall_ns": row.wall_ns,
        "allocs": row.allocs,
        "ratio_to_floor": row.ratio_to_floor,
        "lacks": row.lacks,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::row::tests::{ns, row};

    /// Other programs read the report, so a renamed field must fail this test.
    #[test]
    fn the_shape_of_a_report() {
        let row = ns(row("stack", "ours"), 50.0);
        let target = Target::timed("stack", "to the floor", 1.5, Some(1.25));
        let expected = json!({
            "rows": [{
                "figure": "stack", "subject": "ours", "ours": true, "inner": "ready", "threads": 1,
                "mode": "one thread", "ns": 50.0, "spread": [43.75, 56.25], "wall_ns": 50.0, "allocs": 0.0,
                "ratio_to_floor": null, "lacks": "",
            }],
            "targets": [{
                "figure": "stack", "target": "to the floor ≤ 1.5", "measured": 1.25, "holds": true,
                "floor": null, "exact": false,
            }],
        });
        assert_eq!(report(&[row], &[], &[], &[target]), expected);
    }
}
