//! HAProxy as a child process.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command as Probe, Stdio};
use std::time::Duration;

use tempfile::NamedTempFile;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::CHECK_INTERVAL;
use crate::BoxError;
use crate::process::announcement;

/// Number of ports to try: another process may take a free one before HAProxy does.
const TRIES: usize = 5;

/// Interval at which HAProxy's port is polled until it is open.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

pub(super) fn installed() -> bool {
    let mut probe = Probe::new("haproxy");
    probe.arg("-v").stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

pub(super) async fn run(workers: &[SocketAddr]) -> Result<(), BoxError> {
    let mut tries = 0..TRIES;
    loop {
        let address = free_address()?;
        let file = NamedTempFile::new()?;
        std::fs::write(file.path(), configuration(address, workers))?;
        let mut haproxy = Command::new("haproxy")
            .args(["-db", "-q", "-f"])
            .arg(file.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        if is_up(&mut haproxy, address).await? {
            println!("{}", announcement(&[address]));
            return Err(format!("haproxy ended: {}", haproxy.wait().await?).into());
        }
        if tries.next().is_none() {
            return Err(format!("haproxy did not start on {address}").into());
        }
    }
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Waits until HAProxy listens. Returns `false` if it ended instead.
async fn is_up(haproxy: &mut Child, address: SocketAddr) -> io::Result<bool> {
    while haproxy.try_wait()?.is_none() {
        if TcpStream::connect(address).await.is_ok() {
            return Ok(true);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(false)
}

/// Returns the configuration. Nothing is retried (`retries 0`), so a request that a worker drops
/// fails.
fn configuration(address: SocketAddr, workers: &[SocketAddr]) -> String {
    let every = CHECK_INTERVAL.as_millis();
    let servers: String = workers
        .iter()
        .enumerate()
        .map(|(nth, worker)| format!("    server worker{nth} {worker} check\n"))
        .collect();
    format!(
        "\
global
    maxconn 4000

defaults
    mode http
    retries 0
    timeout connect 1s
    timeout client 30s
    timeout server 10s
    timeout check 1s

frontend requests
    bind {address}
    default_backend workers

backend workers
    balance roundrobin
    option httpchk GET /ready
    http-check expect status 200
    default-server inter {every}ms fall 1 rise 1
{servers}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_worker_is_a_server() {
        let worker = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let text = configuration(worker(80), &[worker(81), worker(82)]);
        assert!(text.contains("bind 127.0.0.1:80\n"), "{text}");
        assert!(text.contains("server worker1 127.0.0.1:82 check\n"), "{text}");
        assert!(text.contains("inter 100ms"), "{text}");
    }
}
