//! The other side: a league's data service having a bad day.
//!
//! It runs as a process of its own, one for each arm, and plays a part on each path:
//!
//! | path | part |
//! |---|---|
//! | `/days`, `/days/{date}` | the season, under [seeded faults](faults) that end after a few arrivals |
//! | `/herd/{client}` | an [outage] that refuses a whole herd at one instant, then recovers |
//! | `/dead/{call}` | nobody home: 503, always |
//! | `/half-open/{call}`, `/failing/{call}` | the same, half a second late; and at once, where nobody counts |
//! | `/odds/{board}` | an [odds API](odds) that allows 30 calls a minute, a minute being a second |
//! | `/_ledger` | what the upstream [saw](ledger), for the demo; not counted |
//!
//! on a port of its own, the [odds of a player](counted), where connections are counted; and, on three more,
//! [three hosts](hosts) of which one hangs.
//!
//! What the report says about the arms is measured here, at the end of the wire that suffers from
//! it, and not by those who cause it.

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

/// An upstream's orders, as the demo writes them onto its command line.
#[derive(Debug, Clone, Args)]
pub struct Orders {
    /// The file with the league to serve.
    #[arg(long)]
    pub league: PathBuf,
    /// What the faults are drawn from.
    #[arg(long)]
    pub seed: u64,
    /// How many clients the outage waits for.
    #[arg(long)]
    pub herd: usize,
}

/// Serves, and says where in the first line on stdout, as [`announced`] understands it.
///
/// # Errors
/// If the league cannot be read, or no port be bound.
pub async fn run(orders: &Orders) -> Result<(), BoxError> {
    let league: League = serde_json::from_reader(BufReader::new(File::open(&orders.league)?))?;
    let listeners = (0..2 + HOSTS).map(|_| listener()).collect::<Result<Vec<_>, _>>()?;
    let addresses = listeners.iter().map(TcpListener::local_addr);
    println!("{}", announcement(&addresses.collect::<Result<Vec<_>, _>>()?));
    let upstream = Arc::new(Upstream::new(league, orders.seed, orders.herd));
    let serving = listeners.into_iter().enumerate().map(|(nth, listener)| {
        let (accepting, upstream) = (upstream.clone(), upstream.clone());
        let accepted = move || {
            if nth == COUNTED {
                accepting.connected();
            }
        };
        server::serve(listener, accepted, move |request| {
            let upstream = upstream.clone();
            async move {
                match nth {
                    0 => upstream.answer(request).await,
                    COUNTED => Ok(counted::answer().await),
                    host => Ok(hosts::answer(host - COUNTED - 1).await),
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

/// Connections that may wait to be accepted. With the usual 128 the kernel would drop a part of the
/// herd's, and what came of that would be its retransmissions and not the clients'.
const BACKLOG: u32 = 1_024;

/// Which of the listeners counts its connections; the hosts' come after it.
const COUNTED: usize = 1;

/// Where an upstream is.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[expect(clippy::exhaustive_structs, reason = "the demo hands it on to its scrapers")]
pub struct Addresses {
    /// Whom to ask.
    #[arg(long = "upstream")]
    pub main: SocketAddr,
    /// Where connections are counted.
    #[arg(long)]
    pub counted: SocketAddr,
    /// The hosts, of which the last one hangs.
    #[arg(long = "host")]
    pub hosts: Vec<SocketAddr>,
}

/// The addresses in the first line.
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
    fn what_is_announced_is_understood() {
        let addresses: Vec<SocketAddr> =
            (1..=4).map(|port| (Ipv4Addr::LOCALHOST, port).into()).collect();
        let understood = announced(&announcement(&addresses)).unwrap();
        let [main, counted, hosts @ ..] = &addresses[..] else { unreachable!() };
        assert_eq!(understood, Addresses { main: *main, counted: *counted, hosts: hosts.to_vec() });
        assert_eq!(announced("listening somewhere"), None);
        assert_eq!(announced("error: no port"), None);
    }
}
