//! A wrong type gets a compile error that names the remedy.

use std::process::Command;

/// The compiler version of the `.stderr` files. Another version has other texts.
const PINNED: &str = "rustc 1.95";

#[test]
fn compile_errors_name_the_remedy() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().unwrap().stdout;
    if !version.starts_with(PINNED.as_bytes()) {
        println!("skipped: compile errors are compared on {PINNED} only");
        return;
    }
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
