//! Every snippet of the documents that belong to no crate, as a test.

macro_rules! documents {
    ($($name:ident: $path:literal)+) => {
        $(#[doc = include_str!(concat!("../../../", $path))] mod $name {})+
    };
}

documents! {
    readme: "README.md"
    introduction: "docs/src/introduction.md"
    outcomes: "docs/src/outcomes.md"
    retry: "docs/src/retry.md"
    budgets: "docs/src/budgets.md"
    deadlines: "docs/src/deadlines.md"
    testing: "docs/src/testing.md"
    pipeline: "docs/src/pipeline.md"
}
