//! The subjects of `resilience-benches retry` and `admission`, under criterion: for following one of them over time.

#![expect(clippy::expect_used, reason = "criterion takes no errors")]

use criterion::{Criterion, criterion_group, criterion_main};
use resilience_benches::cost::cpu_time;
use resilience_benches::subjects;

fn success_path(criterion: &mut Criterion) {
    let subjects = subjects().expect("every configuration is valid");
    for subject in &subjects {
        let mut batch = subject.handle().expect("a runtime can be built");
        let name = format!("{}/{}", subject.group, subject.name);
        criterion.bench_function(&name, |bencher| {
            bencher
                .iter_custom(|calls| cpu_time(|| batch(calls)).expect("the service never fails"));
        });
    }
}

criterion_group!(benches, success_path);
criterion_main!(benches);
