//! Ending: on ctrl-C at once, and never leaving anybody behind.
//!
//! The demo starts processes, and a demo that is killed cannot clean up after itself. So the tie is
//! kept at the other end: each child holds the reading end of a pipe whose writing end only its
//! parent has. However the parent dies, the operating system closes it, and the child reads the end.

use tokio::io::AsyncReadExt;
use tokio::signal;

use crate::BoxError;

/// What a shell expects of a program that was interrupted: 128 and the number of the signal.
pub const INTERRUPTED: u8 = 130;

/// Completes at ctrl-C. A second one ends the process there and then, whatever it is doing.
pub async fn interrupted() {
    if signal::ctrl_c().await.is_err() {
        // Without a handler, the signal's own effect remains, which is to end the process.
        return std::future::pending().await;
    }
    tokio::spawn(async {
        if signal::ctrl_c().await.is_ok() {
            std::process::exit(INTERRUPTED.into());
        }
    });
}

/// Does a child's work for as long as its parent lives.
///
/// # Errors
/// Those of the work.
pub async fn while_parent_lives<T: Default>(
    work: impl Future<Output = Result<T, BoxError>>,
) -> Result<T, BoxError> {
    tokio::select! {
        ended = work => ended,
        () = parent_is_gone() => Ok(T::default()),
    }
}

/// Nobody writes to a child's stdin. It ends when its parent does.
async fn parent_is_gone() {
    let mut stdin = tokio::io::stdin();
    let mut ignored = [0; 64];
    while stdin.read(&mut ignored).await.is_ok_and(|read| read > 0) {}
}
