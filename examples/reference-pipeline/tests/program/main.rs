//! Tests of the program from outside: arguments, streams, files, signals and exit codes.

mod contend;
mod demo;
mod deploy;
#[cfg(target_os = "linux")]
mod processes;

use std::path::Path;
use std::process::Output;

use tokio::process::Command;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reference-pipeline"));
    command.args(arguments).kill_on_drop(true);
    command
}

fn text(path: &Path) -> Outcome<&str> {
    Ok(path.to_str().ok_or("not UTF-8")?)
}

/// Runs a command that must end with this exit code. Returns its stdout and stderr.
async fn output(code: i32, command: &mut Command) -> Outcome<String> {
    let Output { status, stdout, stderr } = command.output().await?;
    let text = String::from_utf8(stdout)? + &String::from_utf8(stderr)?;
    assert_eq!(status.code(), Some(code), "{text}");
    Ok(text)
}
