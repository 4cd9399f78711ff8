//! `serve`, `smoke` and `restart`.

use std::net::TcpListener;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::{Outcome, program, said, text};

/// A worker whose configuration is whole but for where it listens.
fn worker(store: &str, listen: &str) -> Command {
    let mut serve = program(&["serve"]);
    serve.envs([("PIPELINE_LISTEN", listen), ("PIPELINE_STORE", store), ("PIPELINE_SYSTEMS", "6")]);
    serve
}

/// One that listens, and where.
async fn listening(store: &str) -> Outcome<(Child, String)> {
    let mut worker = worker(store, "127.0.0.1:0").stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(worker.stdout.take().ok_or("no stdout")?).lines();
    let line = lines.next_line().await?.ok_or("it ended")?;
    let address = line.strip_prefix("listening ").ok_or("not an address")?.to_owned();
    Ok((worker, address))
}

#[tokio::test]
async fn every_variable_that_is_wrong_is_named() -> Outcome {
    let mut serve = program(&["serve"]);
    serve.envs([("PIPELINE_LISTEN", "nowhere"), ("PIPELINE_SYSTEMS", "65")]);
    let said = said(2, serve.env_remove("PIPELINE_STORE")).await?;
    for named in ["PIPELINE_LISTEN is `nowhere`", "PIPELINE_STORE is missing", "at most 64"] {
        assert!(said.contains(named), "{named} in {said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_port_in_use_is_named() -> Outcome {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let said = said(1, &mut worker("anywhere", &address)).await?;
    assert!(said.contains(&address), "{said}");
    Ok(())
}

/// A store that is not there is the balancer's to hear of, and the deployer's by its name.
#[tokio::test]
async fn a_smoke_test_names_what_is_wrong() -> Outcome {
    let folder = TempDir::new()?;
    let (_worker, address) = listening(text(&folder.path().join("none.sqlite"))?).await?;
    let url = format!("http://{address}");
    let about = said(1, &mut program(&["smoke", &url])).await?;
    assert!(about.contains("store"), "{about}");
    let prediction =
        ["smoke", &url, "--no-probes", "--get", "/predictions/57", "--json", "/player=57"];
    said(0, &mut program(&prediction)).await?;

    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let about = said(1, &mut program(&["smoke", &format!("http://{closed}")])).await?;
    assert!(about.contains("failed: 3 of 3: "), "{about}");
    said(2, &mut program(&["smoke", "nothing"])).await?;
    Ok(())
}

#[tokio::test]
async fn no_request_is_lost_behind_our_own_balancer() -> Outcome {
    let few = ["restart", "--rounds", "1", "--rate", "60", "--balancer", "built-in"];
    let said = said(0, &mut program(&few)).await?;
    assert!(said.contains("after: 0 of "), "{said}");
    Ok(())
}

#[cfg(target_os = "linux")]
mod signals {
    use super::*;
    use crate::processes::{PATIENCE, all_end, descendants, signal};
    use std::time::Duration;
    use tokio::time::{sleep, timeout};

    #[tokio::test]
    async fn a_worker_that_is_told_to_ends_well() -> Outcome {
        let folder = TempDir::new()?;
        let (mut worker, _) = listening(text(folder.path())?).await?;
        signal("TERM", worker.id().ok_or("it ended")?).await?;
        assert_eq!(timeout(PATIENCE, worker.wait()).await??.code(), Some(0));
        Ok(())
    }

    /// Workers, the balancer, and whatever the balancer started.
    #[tokio::test]
    async fn a_restart_that_is_killed_leaves_nobody_behind() -> Outcome {
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
        let all = timeout(PATIENCE, all).await??;
        restart.kill().await?;
        all_end(&all).await
    }
}
