//! The other side: a league's data service having a bad day.
//!
//! It runs as a process of its own, one for each arm, and plays three parts on three paths:
//!
//! | path | part |
//! |---|---|
//! | `/days`, `/days/{date}` | the season, under [seeded faults](faults) that end after a few arrivals |
//! | `/herd/{client}` | an [outage] that refuses a whole herd at one instant, then recovers |
//! | `/dead/{call}` | nobody home: 503, always |
//! | `/_ledger` | what the upstream [saw](ledger), for the demo; not counted |
//!
//! What the report says about the arms is measured here, at the end of the wire that suffers from
//! it, and not by those who cause it.

pub mod faults;
mod hang_up;
pub mod ledger;
pub mod outage;
mod replies;
mod routes;
mod server;

use std::fs::File;
use std::io::BufReader;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio::net::TcpSocket;

use crate::BoxError;
use crate::league::League;
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

/// Serves, and says where in the first line on stdout.
///
/// # Errors
/// If the league cannot be read, or no port be bound.
pub async fn run(orders: &Orders) -> Result<(), BoxError> {
    let league: League = serde_json::from_reader(BufReader::new(File::open(&orders.league)?))?;
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let listener = socket.listen(BACKLOG)?;
    println!("{}{}", LISTENING, listener.local_addr()?);
    server::serve(listener, Arc::new(Upstream::new(league, orders.seed, orders.herd))).await
}

/// Connections that may wait to be accepted. With the usual 128 the kernel would drop a part of the
/// herd's, and what came of that would be its retransmissions and not the clients'.
const BACKLOG: u32 = 1_024;

/// What stands before the address in the first line.
pub const LISTENING: &str = "listening ";
