//! Checks how comments and documents are written, and draws samples for readers.

mod lines;
mod sample;
mod style;
mod text;

use std::{fs, process::Command, process::ExitCode};

use lines::Known;
use style::Figures;

const HELP: &str = "usage: prose [check | comments [COMMIT] | files [COMMIT]]

check      Checks all tracked files (the default): first words of doc comments and paragraphs
           (at most 4 % vague), banned words (at most 2 in 1,000), lines of prose over
           100 characters, references to files and numbers that are not in the repository.
           Prints FILE:LINE and a reason; exits with 1 if anything is found.
comments   Draws 100 doc comments of COMMIT (default HEAD), with its hash as the seed. Prints a
           page with each comment and its signature; their places go to standard error.
           Two readers mark each: clear, takes effort, cryptic.
files      Draws 20 source files the same way. For each, a reader notes after one reading:
           what does it do, who calls it, what may be changed.

Run it from the root of the repository.";

/// Paths for which the two figures are limited, each path by itself.
const MEASURED: &[&str] = &[
    "resilience-core/src/",
    "resilience-core/stores/src/",
    "resilience-http/src/",
    "resilience-gcp/src/",
    "examples/reference-pipeline/src/",
    "benches/src/",
    "docs/src/",
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
];

type Outcome<T> = Result<T, String>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let clean = match args.as_slice() {
        [] | ["check"] => check(),
        ["comments"] => comments("HEAD").map(|()| true),
        ["comments", commit] => comments(commit).map(|()| true),
        ["files"] => files("HEAD").map(|()| true),
        ["files", commit] => files(commit).map(|()| true),
        ["-h" | "--help"] => {
            println!("{HELP}");
            Ok(true)
        }
        _ => Err(HELP.to_owned()),
    };
    match clean {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn git(args: &[&str]) -> Outcome<String> {
    let output = Command::new("git").args(args).output();
    let output = output.map_err(|error| format!("git {}: {error}", args.join(" ")))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(format!("git {}: {}", args.join(" "), reason.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn read(path: &str) -> Outcome<String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

/// Prints every fault, and returns `true` if there is none.
fn check() -> Outcome<bool> {
    let listed = git(&["ls-files", "--cached", "--others", "--exclude-standard"])?;
    let present = listed.lines().filter(|path| fs::exists(path).unwrap_or(false));
    let known = Known::new(present.map(str::to_owned).collect(), &read("ARCHITECTURE.md")?);
    let prose = known.files.iter().filter(|path| path.ends_with(".rs") || path.ends_with(".md"));
    let texts = prose.map(|path| Ok((path.as_str(), read(path)?)));
    let texts: Vec<(&str, String)> = texts.collect::<Outcome<_>>()?;

    let mut clean = true;
    for measured in MEASURED {
        clean &= measure(measured, &texts);
    }
    for (path, text) in &texts {
        // The samples of this check's own tests are faults on purpose.
        if path.starts_with(".ci/prose/") {
            continue;
        }
        for (line, reason) in lines::faults(path, text, &known) {
            clean = false;
            println!("{path}:{line}: {reason}");
        }
    }
    Ok(clean)
}

/// Prints the two figures of a path, and each fault in it if a figure is over its limit.
fn measure(measured: &str, texts: &[(&str, String)]) -> bool {
    let mut figures = Figures::default();
    let mut faults = Vec::new();
    for (path, text) in texts.iter().filter(|(path, _)| path.starts_with(measured)) {
        for block in text::blocks(path, text) {
            let reasons = figures.add(&block).into_iter();
            faults.extend(reasons.map(|reason| format!("{path}:{}: {reason}", block.line)));
        }
    }
    // A path that was moved is not one that passes.
    let pass = figures.pass() && figures.blocks > 0;
    if !pass {
        faults.iter().for_each(|fault| println!("{fault}"));
    }
    println!(
        "{measured}: {} blocks, openers {:.1} % (at most {}), dialect {:.1} per 1,000 words (at most {})",
        figures.blocks,
        figures.openers(),
        style::MAX_OPENERS,
        figures.dialect(),
        style::MAX_DIALECT,
    );
    pass
}

/// Returns the full hash of a commit, and its source files with their texts.
fn sources(commit: &str) -> Outcome<(String, Vec<(String, String)>)> {
    let hash = git(&["rev-parse", "--verify", &format!("{commit}^{{commit}}")])?.trim().to_owned();
    let listed = git(&["ls-tree", "-r", "--name-only", "--full-tree", &hash])?;
    let of_crates = listed.lines().filter(|path| {
        path.ends_with(".rs") && MEASURED.iter().any(|measured| path.starts_with(measured))
    });
    let texts =
        of_crates.map(|path| Ok((path.to_owned(), git(&["show", &format!("{hash}:{path}")])?)));
    let texts = texts.collect::<Outcome<_>>()?;
    Ok((hash, texts))
}

fn comments(commit: &str) -> Outcome<()> {
    let (hash, texts) = sources(commit)?;
    let all = texts.iter().flat_map(|(path, text)| sample::comments(path, text)).collect();
    println!("# 100 doc comments of {hash}\n\nMark each: clear, takes effort, cryptic.\n");
    for (index, comment) in sample::draw(all, 100, &hash).iter().enumerate() {
        println!("{}", comment.section(index + 1));
        eprintln!("{} {}", index + 1, comment.place);
    }
    Ok(())
}

fn files(commit: &str) -> Outcome<()> {
    let (hash, texts) = sources(commit)?;
    println!(
        "# 20 files of {hash}\n\nFor each: what does it do, who calls it, what may be changed?\n"
    );
    for (index, (path, text)) in sample::draw(texts, 20, &hash).iter().enumerate() {
        println!("## {}: {path}\n\n~~~rust\n{text}~~~\n", index + 1);
    }
    Ok(())
}
