//! A server of this test's own, on a free port of loopback.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// A shell that ends the server when the pipe to it is closed: by `Drop`, or because this process
/// ended.
pub(crate) struct Server {
    shell: Child,
    pub(crate) port: u16,
    pub(crate) folder: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

impl Server {
    /// Ends the server and keeps its folder, for another one.
    pub(crate) fn stop(self) -> PathBuf {
        let (folder, keep) = (self.folder.clone(), self.folder.join("keep"));
        std::fs::write(&keep, "").unwrap();
        drop(self);
        std::fs::remove_file(keep).unwrap();
        folder
    }

    /// Sends a signal to the server and its children. `STOP` makes it a server that does not
    /// respond.
    pub(crate) fn signal(&self, signal: Signal) {
        let server = std::fs::read_to_string(self.folder.join("server.pid")).unwrap_or_default();
        let Ok(server) = server.trim().parse::<i32>() else { return };
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            // After the name in brackets: the state, then the parent.
            let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
            let parent = after_name.split_whitespace().nth(1).and_then(|it| it.parse::<i32>().ok());
            if pid == server || parent == Some(server) {
                // One that has ended meanwhile needs no signal.
                let _ = kill_process(Pid::from_raw(pid).unwrap(), signal);
            }
        }
    }
}

/// Returns a port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A command of this user if this process is root, or else of this process's.
fn command(user: Option<&str>) -> Command {
    let mut command = match user.filter(|_| rustix::process::geteuid().is_root()) {
        Some(user) => {
            let mut command = Command::new("runuser");
            command.args(["-u", user, "--"]);
            command
        }
        None => Command::new("env"),
    };
    command.current_dir("/");
    command
}

/// Creates a folder that belongs to this user.
pub(crate) fn folder(user: Option<&str>) -> PathBuf {
    let made = command(user).args(["mktemp", "-d", "/tmp/flow-server-XXXXXX"]).output().unwrap();
    PathBuf::from(String::from_utf8(made.stdout).unwrap().trim())
}

/// Starts `script` with `$1` as the folder and `$2` as the port. It must set `P` to the process of
/// the server. `user` is the one that the server runs as, if this process is root.
pub(crate) fn start(
    script: &str,
    user: Option<&str>,
    folder: Option<PathBuf>,
    port: u16,
) -> Server {
    let folder = folder.unwrap_or_else(|| self::folder(user));
    // Continued, since this process may have been killed while the server was stopped.
    let script = format!(
        "exec 3<&0; {script}\necho $P >$1/server.pid; cat <&3 >/dev/null; kill -INT $P; pkill -CONT -P $P; kill -CONT $P; wait $P; [ -e $1/keep ] || rm -rf $1"
    );
    let (path, number) = (folder.display().to_string(), port.to_string());
    let shell = command(user)
        .args(["sh", "-c", &script, "sh", &path, &number])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Server { shell, port, folder }
}

/// Waits until something listens on the port.
pub(crate) async fn listening(port: u16) {
    for _ in 0..1_500 {
        if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the server does not listen");
}
