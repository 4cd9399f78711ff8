//! A bar chart of a figure: each subject on one thread and on two.

use super::row::Row;
use crate::cost::{Inner, Mode, Role};
use crate::svg::{self, Bar};

/// Returns a chart of the rows with an inner service that is ready at once, as SVG. Returns `None`
/// if the figure's floor has no row on one thread.
pub(super) fn chart(figure: &str, rows: &[Row]) -> Option<String> {
    let rows: Vec<&Row> =
        rows.iter().filter(|row| row.figure == figure && row.inner == Inner::Ready).collect();
    let floor = rows.iter().find(|row| row.role == Role::Floor && row.mode == Mode::One)?.median();
    let shown = rows.iter().filter(|row| row.mode != Mode::Workers && row.role != Role::Scale);
    let bars: Vec<Bar> = shown.filter_map(|row| bar(row)).collect();
    let title = format!("{figure}: CPU ns per call; pale: on each of two threads that share it");
    Some(svg::bars(&title, "ns", floor, &bars))
}

fn bar(row: &Row) -> Option<Bar> {
    let alone = row.mode == Mode::One;
    Some(Bar {
        label: if alone { row.subject.to_owned() } else { "two threads".to_owned() },
        colour: match (row.role, alone) {
            (Role::Ours, true) => "#0072b2",
            (Role::Ours, false) => "#8fc1e0",
            (Role::Floor, true) => "#d55e00",
            (Role::Floor, false) => "#f2b48f",
            (_, true) => "#777777",
            (_, false) => "#c4c4c4",
        },
        value: row.median()?,
    })
}
