//! Other processes, read from `/proc`.

use std::fs;
use std::time::Duration;

use tokio::process::Command;

use crate::Outcome;

pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// Returns a process's id, its parent's id, and `true` if it has not ended.
fn process(pid: &str) -> Option<(u32, u32, bool)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut after_name = stat.rsplit_once(") ")?.1.split(' ');
    let lives = after_name.next()? != "Z";
    Some((pid.parse().ok()?, after_name.next()?.parse().ok()?, lives))
}

pub(crate) fn children(of: u32) -> Outcome<Vec<u32>> {
    let all = fs::read_dir("/proc")?.filter_map(Result::ok);
    let processes = all.filter_map(|entry| process(entry.file_name().to_str()?));
    Ok(processes.filter(|(_, parent, _)| *parent == of).map(|(pid, ..)| pid).collect())
}

pub(crate) async fn all_end(pids: &[u32]) -> Outcome {
    let lives = |pid: &u32| process(&pid.to_string()).is_some_and(|(_, _, lives)| lives);
    let ended = async {
        while pids.iter().any(lives) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    Ok(tokio::time::timeout(TIMEOUT, ended).await?)
}

/// Returns the ids of a process's children, of their children, and so on.
pub(crate) fn descendants(of: u32) -> Outcome<Vec<u32>> {
    let mut all = children(of)?;
    for child in all.clone() {
        all.extend(descendants(child)?);
    }
    Ok(all)
}

/// Sends a signal to a child that has not been waited for, so that no other process has its id.
pub(crate) async fn signal(name: &str, pid: u32) -> Outcome {
    let sent = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().await?;
    assert!(sent.success());
    Ok(())
}
