//! The engines beside their reference models, on random bytes and on those that once found something.

use std::path::Path;

use proptest::prelude::*;
use resilience_core::testing::model;

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..1_024)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn backoff(bytes in bytes()) {
        model::backoff(&bytes);
    }

    #[test]
    fn budget(bytes in bytes()) {
        model::budget(&bytes);
    }

    #[test]
    fn config(bytes in bytes()) {
        model::config(&bytes);
    }

    #[test]
    fn policy(bytes in bytes()) {
        model::policy(&bytes);
    }
}

/// `fuzz/corpus/<model>/*`, so that what a fuzzer found is replayed on stable, without one.
#[test]
fn corpus() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    if !fuzz.exists() {
        println!("skipped: the corpus is in the repository, not in the package");
        return;
    }
    let corpus = fuzz.join("corpus");
    type Model = (&'static str, fn(&[u8]));
    let models: [Model; 4] = [
        ("backoff", model::backoff),
        ("budget", model::budget),
        ("config", model::config),
        ("policy", model::policy),
    ];
    for (name, drive) in models {
        let files: Vec<_> = corpus.join(name).read_dir().unwrap().collect();
        assert!(!files.is_empty(), "no corpus for {name}");
        for file in files {
            drive(&std::fs::read(file.unwrap().path()).unwrap());
        }
    }
}
