//! The subjects of `resilience-benches compare`, under criterion: for following one of them over
//! time.

#![expect(clippy::expect_used, reason = "criterion takes no errors")]

use criterion::{Criterion, criterion_group, criterion_main};
use resilience_benches::cost::cpu_time;
use resilience_benches::figures;

fn success_path(criterion: &mut Criterion) {
    let figures = figures::all().expect("every configuration is valid");
    for figure in &figures {
        for subject in &figure.subjects {
            let mut batch = subject.handle().expect("a runtime can be built");
            let name = format!("{}/{}, {}", figure.name, subject.name, subject.inner.name());
            criterion.bench_function(&name, |bencher| {
                bencher.iter_custom(|calls| {
                    cpu_time(|| batch(calls)).expect("the service never fails")
                });
            });
        }
    }
}

criterion_group!(benches, success_path);
criterion_main!(benches);
