//! This program again, in another part.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};

use crate::BoxError;

/// A process that ends when this is dropped, and when this process ends.
#[derive(Debug)]
pub(crate) struct Child {
    process: tokio::process::Child,
    /// The pipe whose end the child waits for. Not left in the process, which closes it to wait.
    _tie: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Child {
    /// Starts it with these arguments.
    pub(crate) fn start(arguments: Vec<OsString>) -> Result<Child, BoxError> {
        Child::spawn(Command::new(std::env::current_exe()?).args(arguments))
    }

    /// The same with these variables beside those of this process. What it says on its stderr is for us,
    /// if it ends too soon.
    pub(crate) fn start_heard(
        arguments: Vec<OsString>,
        variables: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<Child, BoxError> {
        let mut command = Command::new(std::env::current_exe()?);
        Child::spawn(command.args(arguments).envs(variables).stderr(Stdio::piped()))
    }

    fn spawn(command: &mut Command) -> Result<Child, BoxError> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process =
            command.spawn().map_err(|error| format!("cannot start this program: {error}"))?;
        let stdout = process.stdout.take().ok_or("a child without a stdout")?;
        let tie = process.stdin.take().ok_or("a child without a stdin")?;
        Ok(Child { process, _tie: tie, lines: BufReader::new(stdout).lines() })
    }

    /// The next line on its stdout; why there is none, if there is none.
    pub(crate) async fn line(&mut self) -> Result<String, BoxError> {
        if let Some(line) = self.lines.next_line().await? {
            return Ok(line);
        }
        let mut said = String::new();
        if let Some(mut stderr) = self.process.stderr.take() {
            stderr.read_to_string(&mut said).await?;
        }
        let status = self.process.wait().await?;
        Err(format!("a child ended too soon: {status}\n{said}").trim_end().into())
    }

    /// The address in its first line.
    pub(crate) async fn address(&mut self) -> Result<SocketAddr, BoxError> {
        let line = self.line().await?;
        let first = announced(&line).and_then(|addresses| addresses.first().copied());
        first.ok_or_else(|| format!("not an address: {line}").into())
    }

    /// Asks it to end, as whoever deploys does.
    pub(crate) async fn terminate(&self) -> Result<(), BoxError> {
        self.signal("TERM").await
    }

    /// Sends it the signal of this name.
    pub(crate) async fn signal(&self, name: &str) -> Result<(), BoxError> {
        // It is this process's child: until it is waited for, the id is its own.
        let pid = self.process.id().ok_or("a child that has ended")?;
        let sent =
            Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().await?;
        if sent.success() { Ok(()) } else { Err(format!("kill -{name} {pid}: {sent}").into()) }
    }

    /// Waits for its end.
    pub(crate) async fn wait(&mut self) -> Result<ExitStatus, BoxError> {
        Ok(self.process.wait().await?)
    }
}

/// A command line of plain words.
pub(crate) fn words<const N: usize>(words: [&str; N]) -> Vec<OsString> {
    words.map(OsString::from).into()
}

/// What stands before the addresses in a child's first line.
const LISTENING: &str = "listening";

/// The first line of a child that listens.
pub(crate) fn announcement(addresses: &[SocketAddr]) -> String {
    addresses.iter().fold(LISTENING.to_owned(), |line, address| format!("{line} {address}"))
}

/// The addresses in it.
pub(crate) fn announced(line: &str) -> Option<Vec<SocketAddr>> {
    line.strip_prefix(LISTENING)?.split_whitespace().map(|address| address.parse().ok()).collect()
}
