//! The engines beside their reference models, on random bytes and on those that once found
//! something.

use std::path::Path;

use proptest::prelude::*;
use resilience_core::testing::model;

macro_rules! on_random_bytes {
    ($($model:ident),+) => {
        $(proptest! {
            #![proptest_config(ProptestConfig::with_cases(4_000))]

            #[test]
            fn $model(bytes in prop::collection::vec(any::<u8>(), 0..2_048)) {
                model::$model(&bytes);
            }
        })+

        #[test]
        fn none_is_left_out() {
            let driven = [$(stringify!($model)),+];
            assert_eq!(model::ALL.map(|(name, _)| name), driven);
        }
    };
}
on_random_bytes!(
    backfill,
    backoff,
    batch,
    breaker,
    budget,
    bulkhead,
    config,
    health,
    idempotency,
    keyed,
    lease,
    ledger,
    limiter,
    outbox,
    policy,
    rate,
    shutdown
);

/// Replays `fuzz/corpus/<model>/*` on stable; in Miri two short inputs of each model.
#[test]
fn corpus() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    if !fuzz.exists() {
        println!("skipped: the corpus is in the repository, not in the package");
        return;
    }
    let corpus = fuzz.join("corpus");
    for (name, drive) in model::ALL {
        let files = corpus.join(name).read_dir().unwrap();
        let mut inputs: Vec<_> =
            files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
        assert!(!inputs.is_empty(), "no corpus for {name}");
        if cfg!(miri) {
            inputs.retain(|input| input.len() >= 32);
            inputs.sort_by_key(Vec::len);
            inputs.truncate(2);
        }
        for input in inputs {
            drive(&input);
        }
    }
}
