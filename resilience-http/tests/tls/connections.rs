//! The number of connections when handshakes fail.

use std::sync::Arc;
use std::time::Duration;

use resilience_http::classify::TransportFailure;
use resilience_http::client::{ConnectionLimits, ResilientClient};
use tokio::task::JoinSet;

use crate::authority::Ca;
use crate::profile;
use crate::server::{Peer, Seen, serve};

const LIMIT: usize = 4;

/// Many concurrent HTTP/1 calls to a server that closes often, every third time in the handshake.
async fn calls(workers: usize, each: usize) -> (Seen, usize) {
    let ca = Ca::new("ours");
    let mut config = ca.local().server(None);
    config.alpn_protocols.clear();
    let good = Peer::ServesFour(Arc::new(config));
    let peer = move |number| if number % 3 == 0 { Peer::Closes } else { good.clone() };
    let (address, seen) = serve(peer).await;
    seen.set_limit(LIMIT);
    let limits = ConnectionLimits::default().per_authority(LIMIT as u32);
    let limits = limits.wait_at_most(Duration::from_secs(60));
    let client = ResilientClient::builder(&profile("deadline = \"2m\"")).connections(limits);
    let client = client.reqwest(reqwest::Client::builder().no_proxy());
    let client = Arc::new(client.root_certificate(ca.root_file()).build().unwrap());
    let mut tasks = JoinSet::new();
    for _ in 0..workers {
        let client = client.clone();
        let url = format!("https://{address}/");
        tasks.spawn(async move {
            let mut failed = 0;
            for _ in 0..each {
                match client.get(&url).await {
                    Ok(response) => assert_eq!(response.text().await.unwrap(), "ok"),
                    Err(error) => {
                        let failure = error.into_service().unwrap().failure();
                        assert_eq!(failure, TransportFailure::Tls);
                        failed += 1;
                    }
                }
            }
            failed
        });
    }
    let failed = tasks.join_all().await.into_iter().sum();
    (seen, failed)
}

#[tokio::test]
async fn the_limit_is_not_exceeded() {
    let (seen, failed) = calls(32, 40).await;
    // None is expected. On a machine that stalls, a connection that does not return within 200 ms
    // is counted as ended.
    assert!(seen.above() <= 20, "{} of {} connections", seen.above(), seen.accepted());
    assert_eq!(seen.requests() + failed, 1_280);
}

/// With a limit of one, the next call succeeds.
#[tokio::test]
async fn a_failed_handshake_returns_its_permit() {
    let ca = Ca::new("ours");
    let good = Peer::serves(ca.local().server(None));
    let (address, seen) =
        serve(move |number| if number < 20 { Peer::Closes } else { good.clone() }).await;
    let limits = ConnectionLimits::default().per_authority(1).wait_at_most(Duration::ZERO);
    let client = ResilientClient::builder(&profile("deadline = \"20s\"")).connections(limits);
    let client = client.reqwest(reqwest::Client::builder().no_proxy());
    let client = client.root_certificate(ca.root_file()).build().unwrap();
    let url = format!("https://{address}/");
    for _ in 0..20 {
        client.get(&url).await.unwrap_err().into_service().unwrap();
    }
    client.get(&url).await.unwrap();
    assert_eq!((seen.accepted(), seen.requests()), (21, 1));
}
