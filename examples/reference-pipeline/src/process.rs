//! Child processes that run this program with other arguments.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};

use crate::BoxError;

/// A child process. Ends when this handle is dropped, and when the parent process ends.
#[derive(Debug)]
pub(crate) struct Child {
    process: tokio::process::Child,
    /// Writing end of the child's stdin: the child ends when it is closed. Held here and not in
    /// `process`, because `wait` would close it.
    _stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Child {
    /// Starts this program with these arguments.
    pub(crate) fn start(arguments: Vec<OsString>) -> Result<Child, BoxError> {
        Child::spawn(Command::new(std::env::current_exe()?).args(arguments))
    }

    /// Like [`start`](Child::start), with extra environment variables. Captures stderr, for the
    /// error of a child that ends too soon.
    pub(crate) fn start_capturing_stderr(
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
        let stdin = process.stdin.take().ok_or("a child without a stdin")?;
        Ok(Child { process, _stdin: stdin, lines: BufReader::new(stdout).lines() })
    }

    /// Returns the next line of stdout.
    ///
    /// # Errors
    /// If stdout has ended: with the exit status and the captured stderr.
    pub(crate) async fn line(&mut self) -> Result<String, BoxError> {
        if let Some(line) = self.lines.next_line().await? {
            return Ok(line);
        }
        let mut output = String::new();
        if let Some(mut stderr) = self.process.stderr.take() {
            stderr.read_to_string(&mut output).await?;
        }
        let status = self.process.wait().await?;
        Err(format!("a child ended too soon: {status}\n{output}").trim_end().into())
    }

    /// Returns the address in the first line of stdout.
    pub(crate) async fn address(&mut self) -> Result<SocketAddr, BoxError> {
        let line = self.line().await?;
        let first = announced(&line).and_then(|addresses| addresses.first().copied());
        first.ok_or_else(|| format!("not an address: {line}").into())
    }

    /// Sends SIGTERM, as a deploy does.
    pub(crate) async fn terminate(&self) -> Result<(), BoxError> {
        self.signal("TERM").await
    }

    /// Sends the signal of this name.
    pub(crate) async fn signal(&self, name: &str) -> Result<(), BoxError> {
        // The child has not been waited for, so no other process can have this id.
        let pid = self.process.id().ok_or("a child that has ended")?;
        let sent =
            Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().await?;
        if sent.success() { Ok(()) } else { Err(format!("kill -{name} {pid}: {sent}").into()) }
    }

    /// Waits for the process to end.
    pub(crate) async fn wait(&mut self) -> Result<ExitStatus, BoxError> {
        Ok(self.process.wait().await?)
    }
}

/// Converts words to the arguments of a command.
pub(crate) fn words<const N: usize>(words: [&str; N]) -> Vec<OsString> {
    words.map(OsString::from).into()
}

/// First word of the first line of a child that listens.
const LISTENING: &str = "listening";

/// Returns the first line of a child that listens at these addresses.
pub(crate) fn announcement(addresses: &[SocketAddr]) -> String {
    addresses.iter().fold(LISTENING.to_owned(), |line, address| format!("{line} {address}"))
}

/// Reads the addresses in such a line. Returns `None` for any other line.
pub(crate) fn announced(line: &str) -> Option<Vec<SocketAddr>> {
    line.strip_prefix(LISTENING)?.split_whitespace().map(|address| address.parse().ok()).collect()
}
