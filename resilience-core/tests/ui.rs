//! A wrong type gets an error that says what to write.

use std::process::Command;

/// The compiler whose words `ui/*.stderr` are. Another one says the same in others.
const PINNED: &str = "rustc 1.95";

#[test]
fn compile_errors_tell_what_to_write() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().unwrap().stdout;
    if !version.starts_with(PINNED.as_bytes()) {
        println!("skipped: compile errors are compared on {PINNED} only");
        return;
    }
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
