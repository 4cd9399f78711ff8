//! Tests of `demo`.

use std::process::{Output, Stdio};
use std::time::Duration;

use reference_pipeline::league::League;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr};

use crate::{Outcome, output, program, text};

/// A demo that has reported the progress of its herd, so that its child processes exist.
struct Running {
    demo: Child,
    /// Lines of stderr before that report.
    preface: String,
    stderr: Lines<BufReader<ChildStderr>>,
}

async fn running(arguments: &[&str]) -> Outcome<Running> {
    let mut demo = program(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut stderr = BufReader::new(demo.stderr.take().ok_or("no stderr")?).lines();
    let mut preface = String::new();
    while let Some(line) = stderr.next_line().await? {
        if line.starts_with("before: herd") {
            return Ok(Running { demo, preface, stderr });
        }
        preface.push_str(&line);
        preface.push('\n');
    }
    Err(format!("the demo ended: {preface}").into())
}

async fn rejected(arguments: &[&str]) -> Outcome<String> {
    output(2, &mut program(arguments)).await
}

#[tokio::test]
async fn every_assertion_holds_and_is_in_the_report() -> Outcome {
    let out = TempDir::new()?;
    let arguments = ["demo", "--json", "--quick", "--seed", "7", "--out", text(out.path())?];
    let Output { status, stdout, stderr } = program(&arguments).output().await?;
    let printed: Value = serde_json::from_slice(&stdout)?;
    let written: Value = serde_json::from_slice(&std::fs::read(out.path().join("report.json"))?)?;
    assert_eq!(printed, written);
    assert_eq!(status.code(), Some(0), "{printed:#}\n{}", String::from_utf8_lossy(&stderr));
    let assertions = printed["assertions"].as_array().ok_or("no assertions")?;
    // The assertion on memory is absent where the system does not report it.
    assert_eq!(assertions.len(), if cfg!(target_os = "linux") { 22 } else { 21 });
    for assertion in assertions {
        assert!(assertion["before"].is_number() && assertion["after"].is_number(), "{assertion}");
        assert!(assertion["name"].is_string() && assertion["target"].is_string(), "{assertion}");
        assert_eq!(assertion["holds"], true, "{assertion}");
    }
    assert_eq!(printed["seed"], 7);
    let after = &printed["after"];
    assert_eq!(after["odds"]["failed"], 0);
    assert_eq!(after["restarts"]["restarts"], 6);
    assert_eq!(after["deploys"]["good_rejected"], false);
    assert_eq!(after["keys"]["measured"]["memory"]["keys"], 10_000);
    Ok(())
}

#[tokio::test]
async fn problems_of_a_folder_are_printed_and_good_rows_are_used() -> Outcome {
    let folder = TempDir::new()?;
    let write =
        |name: &str, lines: &[&str]| std::fs::write(folder.path().join(name), lines.join("\n"));
    write("dateless.csv", &["GAME_ID,TEAM_ID,TEAM_NAME,WL,PTS", "1,1,Otters,W,90"])?;
    write(
        "games.csv",
        &[
            "GAME_DATE,GAME_ID,TEAM_ID,TEAM_NAME,WL,PTS",
            "2031-10-21,0001,1,Otters,W,90",
            "2031-10-21,0001,2,Herons,L,ninety",
            "2031-10-21,0001,1,Otters,W,90",
            "someday,0002,1,Otters,W,90",
            "2031-10-22,0003,1,Otters",
            "2031-10-22,0003,2,Herons,L,80",
        ],
    )?;
    let out = TempDir::new()?;
    let folder = text(folder.path())?;
    let out_dir = text(out.path())?;
    let demo = running(&["demo", "--quick", "--league-data", folder, "--out", out_dir]).await?;
    for line in [
        "skipped dateless.csv: missing column GAME_DATE\n",
        "skipped games.csv:3: PTS: ninety: invalid digit found in string\n",
        "skipped games.csv:5: GAME_DATE: someday: ",
        "skipped games.csv:6: 4 fields, must be 6\n",
        "skipped 1 duplicate rows\n",
    ] {
        assert!(demo.preface.contains(line), "{line:?} in {}", demo.preface);
    }
    let league: League = serde_json::from_slice(&std::fs::read(out.path().join("league.json"))?)?;
    assert_eq!((league.days().len(), league.rows()), (2, 2));
    Ok(())
}

#[tokio::test]
async fn errors_name_bad_usage_and_bad_input() -> Outcome {
    assert!(rejected(&["demo", "--seed", "many"]).await?.contains("--seed"));
    assert!(rejected(&["demo", "--spede", "7"]).await?.contains("--spede"));
    assert!(rejected(&["demo", "--league-data", "/no/such/folder"]).await?.contains("/no/such"));
    let empty = TempDir::new()?;
    let error = rejected(&["demo", "--league-data", text(empty.path())?]).await?;
    assert!(error.contains(text(empty.path())?) && error.contains("no *.csv"), "{error}");
    let file = tempfile::NamedTempFile::new()?;
    assert!(rejected(&["demo", "--out", text(file.path())?]).await?.contains(text(file.path())?));
    Ok(())
}

#[tokio::test]
async fn errors_of_profiles_name_file_and_key() -> Outcome {
    let out = TempDir::new()?;
    let good = include_str!("../../profiles.toml");
    let texts: [(&[u8], &str); 5] = [
        (b"\x00\xff\xfe", "UTF-8"),
        (b"[odds\n", "line 1"),
        (good.as_bytes().split_at(good.find("[odds]").ok_or("no odds")?).0, "`odds`"),
        (
            &good.replace("max_attempts = 4", "max_attempts = \"four\"").into_bytes(),
            "retry.max_attempts",
        ),
        (&good.replace("probes", "probe").into_bytes(), "did you mean `probes`?"),
    ];
    for (content, named) in texts {
        let file = out.path().join("garbage.toml");
        std::fs::write(&file, content)?;
        let arguments = ["demo", "--profiles", text(&file)?, "--out", text(out.path())?];
        let error = rejected(&arguments).await?;
        assert!(error.contains("garbage.toml") && error.contains(named), "{error}");
    }
    let error = rejected(&["demo", "--profiles", "/no/such", "--out", text(out.path())?]).await?;
    assert!(error.contains("/no/such"), "{error}");
    Ok(())
}

#[cfg(target_os = "linux")]
mod signals {
    use super::*;
    use crate::processes::{TIMEOUT, all_end, children, signal};

    async fn demo_with_children(out: &TempDir) -> Outcome<(Running, u32, Vec<u32>)> {
        let demo = running(&["demo", "--quick", "--out", text(out.path())?]).await?;
        let pid = demo.demo.id().ok_or("the demo ended")?;
        // An upstream and a scraper. Progress is reported a moment before the scraper is started.
        let both = async {
            loop {
                let children = children(pid)?;
                if children.len() >= 2 {
                    return Ok((demo, pid, children));
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(TIMEOUT, both).await?
    }

    #[tokio::test]
    async fn a_killed_demo_leaves_no_process_behind() -> Outcome {
        let out = TempDir::new()?;
        let (mut running, _, children) = demo_with_children(&out).await?;
        running.demo.kill().await?;
        all_end(&children).await
    }

    #[tokio::test]
    async fn an_interrupted_demo_ends_at_once() -> Outcome {
        interrupted(1).await
    }

    #[tokio::test]
    async fn a_demo_interrupted_twice_ends_at_once() -> Outcome {
        interrupted(2).await
    }

    async fn interrupted(times: usize) -> Outcome {
        let out = TempDir::new()?;
        let (mut running, pid, children) = demo_with_children(&out).await?;
        for _ in 0..times {
            // This test's own child: until it has been waited for, no other process has its id.
            signal("INT", pid).await?;
        }
        let status = tokio::time::timeout(TIMEOUT, running.demo.wait()).await??;
        assert_eq!(status.code(), Some(130));
        while let Some(line) = running.stderr.next_line().await? {
            assert!(!line.contains("error"), "{line}");
        }
        all_end(&children).await
    }
}
