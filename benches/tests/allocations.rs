//! The success path of the layers allocates nothing.

use resilience_benches::cost::{Role, allocations};
use resilience_benches::figures;

#[test]
fn ours_allocate_nothing() {
    for figure in figures::all().unwrap() {
        for subject in figure.subjects.iter().filter(|subject| subject.role == Role::Ours) {
            let found = allocations(&mut subject.handle().unwrap(), 1_000).unwrap();
            assert_eq!(found, 0.0, "{}, {}: allocations per call", figure.name, subject.name);
        }
    }
}

/// A counter that counts nothing would pass everything.
#[test]
fn the_counter_sees_a_boxed_future() {
    let figures = figures::all().unwrap();
    let mut subjects = figures.iter().flat_map(|figure| &figure.subjects);
    let boxed = subjects.find(|subject| subject.name == "tower-resilience").unwrap();
    let found = allocations(&mut boxed.handle().unwrap(), 1_000).unwrap();
    assert!(found >= 1.0, "{found}");
}
