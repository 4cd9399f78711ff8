//! Tests of `serve`, `smoke` and `restart`.

use std::net::TcpListener;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::{Outcome, output, program, text};

/// Returns a command for a worker with a valid configuration but for these values.
fn worker(store: &str, listen: &str) -> Command {
    let mut serve = program(&["serve"]);
    serve.envs([("PIPELINE_LISTEN", listen), ("PIPELINE_STORE", store), ("PIPELINE_SYSTEMS", "6")]);
    serve
}

/// Starts a worker. Returns it with its address.
async fn listening(store: &str) -> Outcome<(Child, String)> {
    let mut worker = worker(store, "127.0.0.1:0").stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(worker.stdout.take().ok_or("no stdout")?).lines();
    let line = lines.next_line().await?.ok_or("it ended")?;
    let address = line.strip_prefix("listening ").ok_or("not an address")?.to_owned();
    Ok((worker, address))
}

#[tokio::test]
async fn every_invalid_variable_is_named() -> Outcome {
    let mut serve = program(&["serve"]);
    serve.envs([("PIPELINE_LISTEN", "nowhere"), ("PIPELINE_SYSTEMS", "65")]);
    let error = output(2, serve.env_remove("PIPELINE_STORE")).await?;
    for named in ["PIPELINE_LISTEN is `nowhere`", "PIPELINE_STORE is missing", "at most 64"] {
        assert!(error.contains(named), "{named} in {error}");
    }
    Ok(())
}

#[tokio::test]
async fn a_port_in_use_is_named() -> Outcome {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let error = output(1, &mut worker("anywhere", &address)).await?;
    assert!(error.contains(&address), "{error}");
    Ok(())
}

/// Readiness reports a missing store, but the worker starts without it.
#[tokio::test]
async fn a_smoke_test_names_the_failed_check() -> Outcome {
    let folder = TempDir::new()?;
    let (_worker, address) = listening(text(&folder.path().join("none.sqlite"))?).await?;
    let url = format!("http://{address}");
    let report = output(1, &mut program(&["smoke", &url])).await?;
    assert!(report.contains("store"), "{report}");
    let prediction =
        ["smoke", &url, "--no-probes", "--get", "/predictions/57", "--json", "/player=57"];
    output(0, &mut program(&prediction)).await?;

    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let report = output(1, &mut program(&["smoke", &format!("http://{closed}")])).await?;
    assert!(report.contains("failed: 3 of 3: "), "{report}");
    output(2, &mut program(&["smoke", "nothing"])).await?;
    Ok(())
}

#[tokio::test]
async fn no_request_is_lost_behind_the_built_in_balancer() -> Outcome {
    let few = ["restart", "--rounds", "1", "--rate", "60", "--balancer", "built-in"];
    let text = output(0, &mut program(&few)).await?;
    assert!(text.contains("after: 0 of "), "{text}");
    Ok(())
}

#[cfg(target_os = "linux")]
mod signals {
    use super::*;
    use crate::processes::{TIMEOUT, all_end, descendants, signal};
    use std::time::Duration;
    use tokio::time::{sleep, timeout};

    #[tokio::test]
    async fn a_worker_ends_cleanly_at_sigterm() -> Outcome {
        let folder = TempDir::new()?;
        let (mut worker, _) = listening(text(folder.path())?).await?;
        signal("TERM", worker.id().ok_or("it ended")?).await?;
        assert_eq!(timeout(TIMEOUT, worker.wait()).await??.code(), Some(0));
        Ok(())
    }

    /// Covers the workers, the balancer, and the child of the balancer.
    #[tokio::test]
    async fn a_killed_restart_leaves_no_process_behind() -> Outcome {
        let mut restart = program(&["restart", "--rate", "20"]).stderr(Stdio::null()).spawn()?;
        let pid = restart.id().ok_or("it ended")?;
        let all = async {
            loop {
                let all = descendants(pid)?;
                if all.len() >= 4 {
                    return Outcome::Ok(all);
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        let all = timeout(TIMEOUT, all).await??;
        restart.kill().await?;
        all_end(&all).await
    }
}
