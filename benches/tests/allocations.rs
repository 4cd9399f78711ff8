//! The success path of the layers allocates nothing.

use resilience_benches::cost::allocations;
use resilience_benches::subjects;

#[test]
fn ours_allocate_nothing() {
    for subject in subjects().unwrap().iter().filter(|subject| subject.ours) {
        let found = allocations(&mut subject.handle().unwrap(), 1_000).unwrap();
        assert_eq!(found, 0.0, "{}: allocations per call", subject.name);
    }
}

/// A counter that counts nothing would pass everything.
#[test]
fn the_counter_sees_a_boxed_future() {
    let subjects = subjects().unwrap();
    let boxed = subjects.iter().find(|subject| subject.name == "tower-resilience").unwrap();
    let found = allocations(&mut boxed.handle().unwrap(), 1_000).unwrap();
    assert!(found >= 1.0, "{found}");
}
