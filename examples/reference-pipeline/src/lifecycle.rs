//! The end of the program and of its child processes.
//!
//! Ctrl-C ends the demo at once. A demo that is killed cannot clean up after itself, so each child
//! watches its parent: it holds the reading end of a pipe, and only the parent has the writing end.
//! The operating system closes that end when the parent dies, and the child reads the end of file.

use tokio::io::AsyncReadExt;
use tokio::signal;

use crate::BoxError;

/// Exit code of an interrupted program in a shell: 128 plus the number of the signal.
pub const INTERRUPTED: u8 = 130;

/// Completes at ctrl-C. A second ctrl-C ends the process immediately.
pub async fn interrupted() {
    if signal::ctrl_c().await.is_err() {
        // Without a handler the signal's default action remains: it ends the process.
        return std::future::pending().await;
    }
    tokio::spawn(async {
        if signal::ctrl_c().await.is_ok() {
            std::process::exit(INTERRUPTED.into());
        }
    });
}

/// Runs `work` in a child process until it ends, or until the parent has ended.
///
/// # Errors
/// Those of `work`.
pub async fn while_parent_lives<T: Default>(
    work: impl Future<Output = Result<T, BoxError>>,
) -> Result<T, BoxError> {
    tokio::select! {
        ended = work => ended,
        () = parent_is_gone() => Ok(T::default()),
    }
}

/// Completes at the end of stdin. The parent writes nothing to it, and keeps it open until it ends.
async fn parent_is_gone() {
    let mut stdin = tokio::io::stdin();
    let mut ignored = [0; 64];
    while stdin.read(&mut ignored).await.is_ok_and(|read| read > 0) {}
}
