//! A server in a child process, and real signals.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use resilience_core::shutdown::Shutdown;
use resilience_http::serve::{bind, serve_with_shutdown};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use crate::client::Client;
use crate::{Held, LONG, MS, router};

/// Environment variable that is set in the server's process.
const CHILD: &str = "RESILIENCE_SERVE_CHILD";

/// Serves in the child process, where the variable is set. Does nothing as a test.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let report = runtime.block_on(async {
        let builder = Shutdown::builder().grace(MS * 100).drain(LONG).unwind(LONG);
        let mut shutdown = builder.build().unwrap().on_signals().unwrap();
        shutdown.hook("flush", || async { eprintln!("flushed") });
        let listener = bind("127.0.0.1:0").await.unwrap();
        eprintln!("{}", listener.local_addr().unwrap());
        let held = Held::new();
        tokio::spawn(serve_with_shutdown(listener, router(held.clone()), shutdown.token()));
        tokio::spawn(async move {
            held.entered().await;
            eprintln!("held");
        });
        let draining = shutdown.token().draining();
        tokio::spawn(async move {
            draining.await;
            eprintln!("draining");
        });
        shutdown.run().await
    });
    eprintln!("{report}");
    std::process::exit(report.exit_code().into());
}

struct Server {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    client: Client,
}

impl Server {
    async fn start() -> Server {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["process::child", "--exact", "--nocapture"]).env(CHILD, "1");
        command.stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines.next_line().await.unwrap().unwrap();
        let client = Client::connect(address.parse().unwrap()).await;
        Server { child, lines, client }
    }

    async fn line(&mut self) -> String {
        let line = tokio::time::timeout(LONG, self.lines.next_line());
        line.await.expect("it says nothing").unwrap().unwrap()
    }

    async fn signal(&self, signal: &str) {
        let pid = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().await.unwrap();
        assert!(sent.success());
    }

    async fn end(mut self) -> (ExitStatus, String) {
        let status = tokio::time::timeout(LONG, self.child.wait()).await.expect("it does not end");
        let mut said = String::new();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            said.push_str(&line);
            said.push('\n');
        }
        (status.unwrap(), said)
    }
}

#[tokio::test]
async fn a_signal_shuts_the_server_down() {
    for (signal, reason) in [("-TERM", "SIGTERM"), ("-INT", "SIGINT")] {
        let mut server = Server::start().await;
        server.client.get("/echo/here").await;
        server.client.receive("here").await;
        server.signal(signal).await;
        let (status, said) = server.end().await;
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(said.contains(&format!("shutdown ({reason}): clean")), "{said}");
        assert!(
            said.contains("flushed") && said.contains("http connections: 1 finished"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_second_signal_ends_the_server_at_once() {
    let mut server = Server::start().await;
    let began = resilience_core::clock::now();
    server.client.get("/held").await;
    assert_eq!(server.line().await, "held");
    server.signal("-TERM").await;
    assert_eq!(server.line().await, "draining");
    server.signal("-TERM").await;
    let (status, said) = server.end().await;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("shutdown (SIGTERM, forced)"), "{said}");
    assert!(said.contains("flushed") && said.contains("http requests: 1 cut"), "{said}");
    let took: Duration = resilience_core::clock::now() - began;
    assert!(took < LONG, "it was waited for: {said}");
}
