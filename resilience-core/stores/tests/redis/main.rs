//! The store in Redis, on a server that the tests start themselves: the suites of leases and keys,
//! several processes, signals, a stepped clock, a server that goes away. Skipped by name where
//! Redis is not installed.

#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod bad_input;
mod clock;
mod conformance;
#[path = "../support/elsewhere.rs"]
mod elsewhere;
#[path = "../support/gone.rs"]
mod gone;
mod processes;
#[path = "../support/server.rs"]
mod server;
#[path = "../support/clock.rs"]
mod stepped;
#[path = "../support/processes.rs"]
mod support;
#[path = "../support/upkeep.rs"]
mod upkeep;

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use server::Server;

/// Starts a server in `$1` that syncs every write.
const REDIS: &str = "
    cd $1
    $PREFIX redis-server --port $2 --bind 127.0.0.1 --dir $1 --appendonly yes --appendfsync always --save '' $EXTRA &
    P=$!";

fn is_installed() -> bool {
    let installed = Command::new("redis-server").arg("--version").output().is_ok();
    if !installed {
        println!("skipped: redis-server is not installed");
    }
    installed
}

fn start(folder: Option<PathBuf>, port: u16, extra: &str) -> Server {
    start_with(folder, port, extra, "")
}

/// Starts a server with `prefix` before its command.
fn start_with(folder: Option<PathBuf>, port: u16, extra: &str, prefix: &str) -> Server {
    let script = REDIS.replace("$EXTRA", extra).replace("$PREFIX", prefix);
    server::start(&script, None, folder, port)
}

/// Returns the URL of an empty database on the server that the tests of this binary share.
async fn database() -> Option<String> {
    static SERVER: std::sync::OnceLock<Server> = std::sync::OnceLock::new();
    static NEXT: AtomicU8 = AtomicU8::new(0);
    if !is_installed() {
        return None;
    }
    let server = SERVER.get_or_init(|| start(None, server::free_port(), ""));
    server::listening(server.port).await;
    let number = NEXT.fetch_add(1, Ordering::SeqCst);
    assert!(number < 16, "a server has sixteen databases");
    Some(format!("redis://127.0.0.1:{}/{number}", server.port))
}
