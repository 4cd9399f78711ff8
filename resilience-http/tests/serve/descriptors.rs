//! A process that has run out of file descriptors.

use std::process::Stdio;
use std::time::Duration;

use resilience_core::clock;
use resilience_core::shutdown::Shutdown;
use resilience_http::serve::{bind, serve_with_shutdown};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::client::Client;
use crate::{Held, LONG, MS, router};

/// Environment variable that is set in the process with few descriptors.
const CHILD: &str = "RESILIENCE_SERVE_FEW_DESCRIPTORS";

/// Enough for a runtime, a listener and a few connections.
const FEW: u64 = 40;

/// The server waits while there is no descriptor for a connection, accepts once there is one, and
/// does not poll without a pause meanwhile.
#[tokio::test]
async fn the_server_waits_for_descriptors_and_does_not_spin() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["descriptors::child", "--exact", "--nocapture"]).env(CHILD, "1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = tokio::time::timeout(LONG * 2, command.output()).await.expect("it hangs").unwrap();
    let (said, why) = (output.stdout, String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{why}");
    assert!(String::from_utf8_lossy(&said).contains("1 passed"), "it was not run: {why}");
}

/// Serves in the child process with few descriptors, where the variable is set. Does nothing as a
/// test. Both ends of each connection are in the process.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    rlimit::setrlimit(rlimit::Resource::NOFILE, FEW, FEW).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let shutdown = Shutdown::builder().grace(Duration::ZERO).drain(LONG).build().unwrap();
        let listener = bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let token = shutdown.token();
        let server =
            tokio::spawn(serve_with_shutdown(listener, router(Held::new()), token.clone()));
        let began = clock::now();
        // Until no descriptor is left: the last clients are connected, and not accepted.
        let mut clients = Vec::new();
        while let Ok(client) = TcpStream::connect(address).await {
            clients.push(Client(client));
        }
        tokio::time::sleep(MS * 300).await;
        let mut last = clients.pop().unwrap();
        last.get("/echo/taken").await;
        // Each close frees two descriptors.
        clients.truncate(clients.len() / 2);
        assert!(last.receive("taken").await.starts_with("HTTP/1.1 200"));
        clients.push(last);
        drop(clients);
        let waited = clock::now() - began;
        token.begin("test");
        let report = shutdown.run().await;
        assert_eq!(report.cut(), 0, "{report}");
        let served = server.await.unwrap();
        assert!(served.accept_errors > 0, "there were enough: {served:?}");
        // With pauses of 5 ms at least, more polls are impossible.
        let most = 1 + waited.as_millis() / 5;
        assert!(u128::from(served.accept_errors) <= most, "{served:?} within {waited:?}");
    });
}
