//! The upstream: a league's data service on a bad day.
//!
//! Each arm has one in a process of its own. Each path plays a part:
//!
//! | path | part |
//! |---|---|
//! | `/days`, `/days/{date}` | game days, with [seeded faults](faults) in the first few responses |
//! | `/herd/{client}` | an [outage] that rejects a whole herd at one instant, then recovers |
//! | `/dead/{call}` | unavailable: always 503 |
//! | `/half-open/{call}` | 503 after half a second |
//! | `/failing/{call}` | 503 at once; not counted |
//! | `/odds/{board}` | an [odds API](odds) that allows 30 calls a minute, a minute being a second |
//! | `/_ledger` | [counts](ledger) of the requests, for the demo; not counted |
//!
//! A port of its own serves the [odds of a player](counted) and counts its connections. Three more
//! ports are [three hosts](hosts), the last of which hangs.
//! [three hosts](hosts) of which one hangs.
//!
//! The report's figures are measured here, by the server that receives the calls, and not by the
//! clients that make them.

pub mod counted;
pub mod faults;
mod hang_up;
pub mod hosts;
pub mod ledger;
pub mod odds;
pub mod outage;
mod replies;
mod routes;
mod server;

use std::fs::File;
use std::io::BufReader;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use futures_util::future::try_join_all;
use tokio::net::{TcpListener, TcpSocket};

use crate::BoxError;
use crate::league::League;
use crate::process::{self, announcement};
use hosts::HOSTS;
use routes::Upstream;

/// Arguments of an upstream process. The demo writes them onto its command line.
#[derive(Debug, Clone, Args)]
pub struct Orders {
    /// File with the league to serve.
    #[arg(long)]
    pub league: PathBuf,
    /// Seed of the faults.
    #[arg(long)]
    pub seed: u64,
    /// Number of clients that the outage waits for.
    #[arg(long)]
    pub herd: usize,
}

/// Serves, and prints its addresses as the first line on stdout, for [`announced`] to read.
///
/// # Errors
/// If the league cannot be read, or a port cannot be bound.
pub async fn run(orders: &Orders) -> Result<(), BoxError> {
    let league: League = serde_json::from_reader(BufReader::new(File::open(&orders.league)?))?;
    let listeners = (0..2 + HOSTS).map(|_| listener()).collect::<Result<Vec<_>, _>>()?;
    let addresses = listeners.iter().map(TcpListener::local_addr);
    println!("{}", announcement(&addresses.collect::<Result<Vec<_>, _>>()?));
    let upstream = Arc::new(Upstream::new(league, orders.seed, orders.herd));
    let serving = listeners.into_iter().enumerate().map(|(nth, listener)| {
        let accepting = upstream.clone();
        let upstream = upstream.clone();
        let accepted = move || {
            if nth == COUNTED {
                accepting.connected();
            }
        };
        server::serve(listener, accepted, move |request| {
            let upstream = upstream.clone();
            async move {
                match nth {
                    0 => upstream.respond(request).await,
                    COUNTED => Ok(counted::respond().await),
                    host => Ok(hosts::respond(host - COUNTED - 1).await),
                }
            }
        })
    });
    try_join_all(serving).await.map(|_| ())
}

fn listener() -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    socket.listen(BACKLOG)
}

/// Connections that may wait to be accepted. With the usual 128 the kernel would drop some of the
/// herd's, and the demo would measure its retransmissions instead of the clients' retries.
const BACKLOG: u32 = 1_024;

/// Index of the listener that counts its connections. The hosts' listeners follow it.
const COUNTED: usize = 1;

/// Addresses of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[expect(clippy::exhaustive_structs, reason = "the demo hands it on to its scrapers")]
pub struct Addresses {
    /// Address of the upstream itself.
    #[arg(long = "upstream")]
    pub main: SocketAddr,
    /// Address where connections are counted.
    #[arg(long)]
    pub counted: SocketAddr,
    /// Addresses of the hosts, the last of which hangs.
    #[arg(long = "host")]
    pub hosts: Vec<SocketAddr>,
}

/// Reads the addresses in the first line of an upstream. Returns `None` for any other line.
#[must_use]
pub fn announced(line: &str) -> Option<Addresses> {
    match process::announced(line)?[..] {
        [main, counted, ref hosts @ ..] => Some(Addresses { main, counted, hosts: hosts.to_vec() }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_is_read_back() {
        let addresses: Vec<SocketAddr> =
            (1..=4).map(|port| (Ipv4Addr::LOCALHOST, port).into()).collect();
        let understood = announced(&announcement(&addresses)).unwrap();
        let [main, counted, hosts @ ..] = &addresses[..] else { unreachable!() };
        assert_eq!(understood, Addresses { main: *main, counted: *counted, hosts: hosts.to_vec() });
        assert_eq!(announced("listening somewhere"), None);
        assert_eq!(announced("error: no port"), None);
    }
}
