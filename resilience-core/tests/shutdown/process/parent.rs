//! Starts a child, sends it signals, and measures its end.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use resilience_core::clock;

use super::children::LONG;
use super::{CHILD, Signals};
use crate::MS;

/// Treatment of a child's stderr.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Stderr {
    Read,
    Unread,
    Closed,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Scenario {
    pub(super) child: &'static str,
    /// Sent one after the other; the next one when the child has printed this, or after a while.
    pub(super) signals: Signals,
    pub(super) stderr: Stderr,
    /// Writes a line to the child's stdin this time after the signals.
    pub(super) released_after: Option<Duration>,
    /// The exit code; none if a signal ended it.
    pub(super) code: Option<i32>,
    pub(super) at_least: Duration,
    pub(super) at_most: Duration,
    pub(super) printed: &'static [&'static str],
}

#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: Option<i32>,
    /// Since before the first signal.
    pub(super) took: Duration,
    pub(super) stderr: String,
}

impl Scenario {
    pub(super) const DEFAULT: Scenario = Scenario {
        child: "",
        signals: super::TERM,
        stderr: Stderr::Read,
        released_after: None,
        code: Some(0),
        at_least: Duration::ZERO,
        at_most: Duration::ZERO,
        printed: &[],
    };

    pub(super) fn start(self) -> JoinHandle<Ended> {
        thread::spawn(move || self.run())
    }

    fn run(self) -> Ended {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["process::child", "--exact", "--nocapture"]).env(CHILD, self.child);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let pid = child.id();
        let stdin = child.stdin.take().unwrap();
        let stdout = wait_until_ready(child.stdout.take().unwrap(), pid);
        let stderr = child.stderr.take().unwrap();
        let (lines, unread) = match self.stderr {
            Stderr::Read => (lines(stderr), None),
            Stderr::Unread => (mpsc::channel().1, Some(stderr)),
            Stderr::Closed => {
                drop(stderr);
                (mpsc::channel().1, None)
            }
        };
        let exited = wait(child);
        let mut printed = String::new();
        let began = clock::now();
        for (signal, line) in self.signals {
            send(signal, pid);
            read_until(&lines, line, &mut printed);
        }
        let status = self.release(stdin, &exited).or_else(|| exited.recv_timeout(LONG).ok());
        let took = clock::now() - began;
        if status.is_none() {
            send("KILL", pid);
        }
        printed.extend(lines);
        drop((stdout, unread));
        let (status, ended) = status.unwrap_or_else(|| panic!("{} stays: {printed}", self.child));
        Ended { status, took: took.min(ended - began), stderr: printed }
    }

    /// Lets the child go on, if it waits for that. Returns its status if it has ended before.
    fn release(&self, mut stdin: ChildStdin, exited: &Receiver<Exit>) -> Option<Exit> {
        let ended = self.released_after.and_then(|after| exited.recv_timeout(after).ok());
        // It may have ended.
        let _gone = stdin.write_all(b"go\n");
        ended
    }
}

type Exit = (Option<i32>, Instant);

fn wait(mut child: Child) -> Receiver<Exit> {
    let (exit, exited) = mpsc::channel();
    thread::spawn(move || {
        let status = child.wait().unwrap();
        let _gone = exit.send((status.code(), clock::now()));
    });
    exited
}

/// Reads stdout until the child is ready, and not after that.
fn wait_until_ready(stdout: ChildStdout, pid: u32) -> ChildStdout {
    let (ready, is_ready) = mpsc::channel();
    let reading = thread::spawn(move || {
        let mut stdout = stdout;
        let (mut line, mut byte) = (Vec::new(), [0]);
        while !line.ends_with(b"ready\n") {
            stdout.read_exact(&mut byte).unwrap();
            line.extend(byte);
        }
        ready.send(()).unwrap();
        stdout
    });
    if is_ready.recv_timeout(LONG).is_err() {
        send("KILL", pid);
        panic!("the child does not start");
    }
    reading.join().unwrap()
}

fn lines(stderr: ChildStderr) -> Receiver<String> {
    let (line, lines) = mpsc::channel();
    thread::spawn(move || {
        for read in BufReader::new(stderr).lines() {
            let _gone = line.send(read.unwrap() + "\n");
        }
    });
    lines
}

/// Reads until there is this line; an empty one stands for a moment.
fn read_until(lines: &Receiver<String>, wanted: &str, printed: &mut String) {
    let bound = if wanted.is_empty() { MS * 100 } else { LONG };
    let end = clock::now() + bound;
    while let Ok(line) = lines.recv_timeout(end.saturating_duration_since(clock::now())) {
        printed.push_str(&line);
        if line.trim_end() == wanted {
            return;
        }
    }
}

fn send(signal: &str, pid: u32) {
    let sent = Command::new("kill").args([format!("-{signal}"), pid.to_string()]).status();
    assert!(sent.unwrap().success());
}
