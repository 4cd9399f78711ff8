//! Smoke tests of good and of faulty services.

#![cfg(feature = "reqwest")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod config;
mod faults;
#[cfg(feature = "layers")]
mod service;

use std::process::ExitCode;
use std::time::Duration;

use reqwest::Client;
use resilience_http::smoke::{Smoke, SmokeBuilder, SmokeFault, SmokeReport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Starts a suite that ignores the proxies of the environment.
fn smoke(base: &str) -> SmokeBuilder {
    let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    Smoke::of(base).client(client.build().unwrap()).timeout(Duration::from_secs(60))
}

/// The parts of a response; with `hangs` the connection stays open after them.
#[derive(Clone)]
struct Reply {
    parts: Vec<String>,
    hangs: bool,
}

impl Reply {
    fn new(status: u16, body: &str) -> Reply {
        let length = body.len();
        let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n\r\n");
        Reply { parts: vec![head, body.to_owned()], hangs: false }
    }
}

/// A service with this reply to `/bad`, and `{"status":"ready"}` everywhere else.
async fn serve(bad: Reply) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let bad = bad.clone();
            tokio::spawn(async move {
                let mut request = [0; 1_024];
                let read = stream.read(&mut request).await?;
                let is_bad = request[..read].starts_with(b"GET /bad");
                let reply = if is_bad { bad } else { Reply::new(200, r#"{"status":"ready"}"#) };
                for part in &reply.parts {
                    stream.write_all(part.as_bytes()).await?;
                }
                if reply.hangs {
                    std::future::pending::<()>().await;
                }
                std::io::Result::Ok(())
            });
        }
    });
    base
}

/// Returns the only fault of a report, which must be of the check with this name.
fn only_fault<'a>(report: &'a SmokeReport, name: &str) -> &'a SmokeFault {
    let failed: Vec<_> = report.failed().collect();
    assert_eq!(failed.len(), 1, "{report}");
    assert_eq!(failed[0].name, name, "{report}");
    assert!(!report.passed());
    // `ExitCode` does not implement `PartialEq`.
    let codes = [report.exit_code(), ExitCode::SUCCESS].map(|code| format!("{code:?}"));
    assert_ne!(codes[0], codes[1]);
    assert!(report.to_string().ends_with(&format!(": {name}")), "{report}");
    failed[0].fault.as_ref().unwrap()
}
