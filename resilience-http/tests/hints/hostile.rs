//! Any hint field is read or ignored, and the result is bounded.

use std::path::Path;

use proptest::prelude::*;

use crate::drive::headers;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        headers(&bytes);
    }

    #[test]
    fn what_looks_like_fields(bytes in r#"([\x00-\x0d]("[a-z]{0,3}"(;(r|t|q|w|qu)=[-0-9.]{0,20}){0,3},? ?|[-+0-9., ]{0,24}|[A-Za-z0-9+/=]{0,40})\n){0,5}"#) {
        headers(bytes.as_bytes());
    }
}

/// The fuzzer's corpus, replayed on stable.
#[test]
fn the_fuzz_corpus_is_handled() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/headers");
    if !corpus.exists() {
        println!("skipped: the corpus is in the repository, not in the package");
        return;
    }
    let files: Vec<_> = corpus.read_dir().unwrap().collect();
    assert!(!files.is_empty());
    for file in files {
        headers(&std::fs::read(file.unwrap().path()).unwrap());
    }
}
