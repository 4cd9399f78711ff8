//! A process that contends for the section.

use std::time::Duration;

use clap::Args;
use resilience_core::flow::Fence;
use resilience_core::flow::lease::LeaseKeeper;

use super::Arm;
use super::arena::Arena;
use super::judge::What;
use crate::BoxError;

/// Line printed inside the section in which the parent is to stop the process.
pub(super) const INSIDE: &str = "inside";
/// Line printed at the end.
pub(super) const END: &str = "end";

/// Interval at which the naive lock is polled.
const POLL: Duration = Duration::from_millis(20);
/// Time spent inside a section.
const INSIDE_FOR: Duration = Duration::from_millis(3);
/// Time spent inside the section in which the parent stops the process.
const STOPPED_WITHIN: Duration = Duration::from_millis(200);

/// Arguments of a contending process.
#[derive(Debug, Args)]
pub struct Orders {
    #[arg(long)]
    store: String,
    #[arg(long)]
    arm: Arm,
    #[arg(long)]
    name: String,
    #[arg(long)]
    sections: u32,
    #[arg(long)]
    term_ms: u64,
    /// Wait to be stopped in the first section.
    #[arg(long)]
    stops: bool,
}

/// Enters and leaves its sections.
///
/// # Errors
/// Those of the store.
pub async fn run(orders: &Orders) -> Result<(), BoxError> {
    let arena = Arena::open(&orders.store).await?;
    match orders.arm {
        Arm::Naive => naive(orders, &arena).await?,
        Arm::Fenced => fenced(orders, &arena).await?,
    }
    println!("{END}");
    Ok(())
}

async fn naive(orders: &Orders, arena: &Arena) -> Result<(), BoxError> {
    for number in 0..orders.sections {
        let section = format!("{}/{number}", orders.name);
        while !arena.naive_lock(&orders.name, orders.term_ms).await? {
            tokio::time::sleep(POLL).await;
        }
        arena.write(Arm::Naive, &section, What::Enter, None).await?;
        inside(orders.stops && number == 0).await;
        arena.write(Arm::Naive, &section, What::Leave, None).await?;
        arena.naive_unlock().await?;
    }
    Ok(())
}

async fn fenced(orders: &Orders, arena: &Arena) -> Result<(), BoxError> {
    let keeper = LeaseKeeper::builder(arena.leases())
        .holder(orders.name.clone())
        .term(Duration::from_millis(orders.term_ms))
        .build()?;
    let mut done = 0;
    let mut attempt = 0;
    while done < orders.sections {
        let section = format!("{}/{attempt}", orders.name);
        let lease = keeper.acquire("contend").await?;
        let fence = lease.fence().clone();
        let stop = orders.stops && attempt == 0;
        attempt += 1;
        let work = async {
            if !arena.write(Arm::Fenced, &section, What::Enter, Some(&fence)).await? {
                return Ok(false);
            }
            inside(stop).await;
            arena.write(Arm::Fenced, &section, What::Leave, Some(&fence)).await
        };
        match lease.run(work).await {
            Ok(left) => done += u32::from(left?),
            // The work was dropped with the lease. Its write is sent anyway, for the store to
            // reject.
            Err(_lost) => done += u32::from(late(arena, &section, &fence).await?),
        }
    }
    Ok(())
}

/// Makes the write of a former holder. Returns `true` if the store accepted it.
async fn late(arena: &Arena, section: &str, fence: &Fence) -> Result<bool, BoxError> {
    let accepted = arena.write(Arm::Fenced, section, What::Leave, Some(fence)).await?;
    if !accepted {
        arena.write(Arm::Fenced, section, What::Rejected, None).await?;
    }
    Ok(accepted)
}

async fn inside(stop: bool) {
    if stop {
        println!("{INSIDE}");
    }
    tokio::time::sleep(if stop { STOPPED_WITHIN } else { INSIDE_FOR }).await;
}
