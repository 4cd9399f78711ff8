//! The primitive operations of the floors, each alone.

use super::floor::{Lines, each};
use super::{Figure, names};
use crate::cost::{Role, Subject};

pub(super) fn figure() -> Figure {
    let shared = |name, work: fn(&Lines)| {
        let lines = Lines::default();
        Subject::function(Role::Scale, name, move || work(&lines))
    };
    let own = |name, work: fn(&Lines)| each(Role::Scale, name, work);
    let subjects = vec![
        each(Role::Floor, "clock::now", Lines::clock),
        own("read-modify-write, own line", |lines| lines.add(0)),
        shared("read-modify-write, shared line", |lines| lines.add(0)),
        own("gauge up and down, own line", |lines| lines.gauge(0)),
        shared("gauge up and down, shared line", |lines| lines.gauge(0)),
        own("compare-and-swap loop, own line", |lines| lines.swap(0)),
        shared("compare-and-swap loop, shared line", |lines| lines.swap(0)),
        own("parking_lot lock, own", Lines::lock),
        shared("parking_lot lock, shared", Lines::lock),
        own("Arc clone and drop, own count", Lines::clone_and_drop),
        shared("Arc clone and drop, shared count", Lines::clone_and_drop),
    ];
    Figure::new(names::PRIMITIVES, "one clock read", subjects)
}
