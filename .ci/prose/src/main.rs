//! Checks how comments and documents read, and draws samples of them for readers.
//!
//! ```text
//! resilience-prose                  checks the repository
//! resilience-prose comments SEED    prints 100 doc comments with their signatures
//! resilience-prose files SEED       prints the paths of 20 source files
//! ```
//!
//! A check fails if in one of the [`PARTS`] more than 4 % of the blocks begin with a banned word, or there are more than 2
//! banned words in 1,000; if a line of prose has more than 100 characters; or if a text names a file that is not in the
//! repository, or a rule that ARCHITECTURE.md does not define.

mod blocks;
mod files;
mod lines;
mod references;
mod sample;
mod words;

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use files::Text;
use words::Count;

/// The parts of the repository, each of which is measured alone.
const PARTS: [&str; 12] = [
    "resilience-core/src",
    "resilience-core/stores/src",
    "resilience-http/src",
    "resilience-gcp/src",
    "examples/reference-pipeline/src",
    "benches/src",
    ".ci/prose/src",
    "docs",
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let texts = match files::read(&root) {
        Ok(texts) => texts,
        Err(error) => {
            eprintln!("the repository cannot be read: {error}");
            return ExitCode::FAILURE;
        }
    };
    match arguments[..] {
        [] => check(&texts),
        ["comments", seed] => {
            print!("{}", sample::comments(&texts, seed, 100));
            ExitCode::SUCCESS
        }
        ["files", seed] => {
            print!("{}", sample::files(&texts, seed, 20));
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!(
                "usage: resilience-prose [comments SEED | files SEED]; SEED: the commit that is judged"
            );
            ExitCode::FAILURE
        }
    }
}

fn check(texts: &[Text]) -> ExitCode {
    let mut report = String::new();
    let mut faults = Vec::new();
    for part in PARTS {
        let of_part: Vec<&Text> = texts.iter().filter(|text| text.is_in(part)).collect();
        let mut count = Count::default();
        for text in &of_part {
            count.add(text);
        }
        let _ = writeln!(report, "{part}: {count}");
        if count.is_too_many() {
            faults.extend(count.found);
        }
    }
    for text in texts {
        faults.extend(lines::too_long(text));
        faults.extend(references::dangling(text, texts));
    }
    print!("{report}");
    for fault in &faults {
        println!("{fault}");
    }
    if faults.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("{} faults: see the style guide in CONTRIBUTING.md", faults.len());
    ExitCode::FAILURE
}
