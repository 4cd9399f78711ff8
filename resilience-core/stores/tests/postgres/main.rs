//! The store in PostgreSQL, on a server that the tests start themselves: the suites that every
//! store passes, several processes, signals, a stepped clock, a server that goes away. Skipped by
//! name where PostgreSQL is not installed.

#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod bad_input;
mod clock;
mod conformance;
#[path = "../support/outbox.rs"]
mod consumers;
mod cost;
#[path = "../support/elsewhere.rs"]
mod elsewhere;
#[path = "../support/gone.rs"]
mod gone;
mod long_writes;
mod migrations;
mod outbox;
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
use std::sync::OnceLock;

use resilience_stores::postgres::{PostgresStore, driver_error};
use server::Server;

/// Starts a cluster in `$1`, which is created if it is not there.
const POSTGRES: &str = "
    B=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
    PATH=$B:$PATH
    [ -e $1/data ] || initdb -D $1/data -A trust -U postgres --no-sync
    $PREFIX postgres -D $1/data -p $2 -k $1 -c listen_addresses=127.0.0.1 -c max_connections=200 &
    P=$!";

fn is_installed() -> bool {
    let folders = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let installed = folders.map(|it| it.path().join("bin/initdb")).any(|path| path.exists());
    if !installed {
        println!("skipped: PostgreSQL is not installed");
    }
    installed
}

fn start(folder: Option<PathBuf>, port: u16) -> Server {
    start_with(folder, port, "")
}

/// Starts a server with `prefix` before its command.
fn start_with(folder: Option<PathBuf>, port: u16, prefix: &str) -> Server {
    server::start(&POSTGRES.replace("$PREFIX", prefix), Some("postgres"), folder, port)
}

/// Returns the URL of the server that the tests of this binary share, in a database of this name,
/// which is created.
async fn database(name: &str) -> Option<String> {
    static SERVER: OnceLock<Server> = OnceLock::new();
    if !is_installed() {
        return None;
    }
    let server = SERVER.get_or_init(|| start(None, server::free_port()));
    server::listening(server.port).await;
    let url = |name: &str| format!("postgres://postgres@127.0.0.1:{}/{name}", server.port);
    create(&url("postgres"), name).await;
    Some(url(name))
}

/// Creates a database, once the server is ready.
async fn create(url: &str, name: &str) {
    let create = format!("CREATE DATABASE {name}");
    for _ in 0..500 {
        if let Ok((client, connection)) = tokio_postgres::connect(url, tokio_postgres::NoTls).await
        {
            tokio::spawn(connection);
            client.batch_execute(&create).await.unwrap();
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the server is not ready");
}

async fn count(store: &PostgresStore, sql: &str) -> u64 {
    let row = store.client().await.unwrap().query_one(sql, &[]).await.map_err(driver_error);
    u64::try_from(row.unwrap().get::<_, i64>(0)).unwrap()
}
