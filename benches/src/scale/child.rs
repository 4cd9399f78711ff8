//! Work in a process of its own, so that memory is measured without that of other work.

use std::process::{Command, Stdio};

use serde_json::Value;
use tower::BoxError;

use super::{hostile, memory};

/// Runs this program again for one name and a number of keys, and parses its output.
pub(super) fn ask(name: &str, keys: u64) -> Result<Value, BoxError> {
    let run = Command::new(std::env::current_exe()?)
        .args(["scale", "--one", name, "--calls", &keys.to_string()])
        .stderr(Stdio::inherit())
        .output()?;
    if !run.status.success() {
        return Err(format!("`{name}` ended with {}", run.status).into());
    }
    Ok(serde_json::from_slice(&run.stdout)?)
}

/// Returns the output of the child process.
pub(super) fn answer(name: &str, keys: u64) -> Result<Value, BoxError> {
    let (what, of) = name.split_once(' ').unwrap_or((name, ""));
    match what {
        memory::CHILD => memory::child(of, keys).map(Value::from),
        hostile::CHILD => hostile::child(of, keys),
        _ => Err(format!("unknown child process `{name}`").into()),
    }
}
