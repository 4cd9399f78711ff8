//! Retrying without Tower: any operation that can be begun again.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::task::coop::unconstrained;

use super::blocking;
use super::policy::RetryPolicy;
use super::run::Run;
use super::scope::{begun, numbered};
use super::verdict::Verdict;
use crate::call::{Draining, can_drain};
use crate::clock::Now;
use crate::outcome::Classify;

/// Runs `operation` until it succeeds or the policy stops, and returns its last result, unchanged.
///
/// `operation` is called anew for each attempt. The listener of the policy is notified of the
/// reason for which there was no other attempt. A wait needs a tokio runtime with its timer.
/// Dropping the future cancels the attempt or the wait, and refunds a retry that was granted and
/// not begun. Inside of a shutdown's token waits end when draining begins, and no attempt begins
/// after that.
///
/// ```
/// use std::time::Duration;
/// use resilience_core::retry::{Backoff, RetryPolicy, retry};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let policy = RetryPolicy::builder()
///     .max_attempts(4)
///     .backoff(Backoff::decorrelated_jitter(Duration::from_millis(50), Duration::from_secs(5)))
///     .build()?;
///
/// let mut tries = 0;
/// let response = retry(&policy, || {
///     tries += 1;
///     let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
///     std::future::ready(if tries < 3 { Err(refused) } else { Ok(42) })
/// })
/// .await?;
/// assert_eq!((response, tries), (42, 3));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The error of the last attempt.
pub async fn retry<T, E, C, F, Fut>(policy: &RetryPolicy<C>, mut operation: F) -> Result<T, E>
where
    C: Classify<T, E>,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let mut run = Run::start(&policy.rules, &mut Now::unread());
    loop {
        let previous = run.progress.previous();
        let attempt = begun(previous, &mut operation);
        let result = numbered(previous, attempt).await;
        let ended = policy.ended(result.as_ref());
        let outcome = ended.outcome;
        match run.ended(&policy.rules, ended, None, &mut Now::unread()) {
            Verdict::Done => return result,
            Verdict::Stop { pause, .. } => {
                wait(pause).await;
                return result;
            }
            Verdict::Retry(retry) => {
                // The result may hold a resource, and is kept only where it may be returned.
                let kept = can_drain().then_some(result);
                let interrupted = wait(retry.delay()).await;
                match kept {
                    Some(result) if interrupted => {
                        run.interrupted(&policy.rules, outcome);
                        return result;
                    }
                    // Before the price is paid: the drop of the result may panic.
                    kept => drop(kept),
                }
                retry.begin(&mut run.progress);
            }
        }
    }
}

/// Runs `operation` as [`retry`] does, for code that is not async: waits block the thread. Inside
/// of a shutdown's token waits end when draining begins.
///
/// ```
/// use resilience_core::retry::{RetryPolicy, retry_blocking};
///
/// let policy = RetryPolicy::builder().build()?;
/// let text = retry_blocking(&policy, || std::fs::read_to_string("/does/not/exist"));
/// assert!(text.is_err()); // after one attempt: a missing file is permanent
/// # Ok::<_, resilience_core::InvalidConfig>(())
/// ```
///
/// # Errors
/// The error of the last attempt.
pub fn retry_blocking<T, E, C, F>(policy: &RetryPolicy<C>, mut operation: F) -> Result<T, E>
where
    C: Classify<T, E>,
    F: FnMut() -> Result<T, E>,
{
    let mut run = Run::start(&policy.rules, &mut Now::unread());
    loop {
        let result = begun(run.progress.previous(), &mut operation);
        let ended = policy.ended(result.as_ref());
        let outcome = ended.outcome;
        match run.ended(&policy.rules, ended, None, &mut Now::unread()) {
            Verdict::Done => return result,
            Verdict::Stop { pause, .. } => {
                blocking::sleep(pause);
                return result;
            }
            Verdict::Retry(retry) => {
                let kept = can_drain().then_some(result);
                let interrupted = blocking::sleep(retry.delay());
                match kept {
                    Some(result) if interrupted => {
                        run.interrupted(&policy.rules, outcome);
                        return result;
                    }
                    kept => drop(kept),
                }
                retry.begin(&mut run.progress);
            }
        }
    }
}

/// Waits. Returns `true` if draining ended the wait. Needs no timer and no runtime for a wait of
/// zero.
async fn wait(delay: Duration) -> bool {
    if delay.is_zero() {
        return false;
    }
    let mut sleep = pin!(unconstrained(tokio::time::sleep(delay)));
    let mut draining = Draining::NEW;
    poll_fn(|cx| match draining.poll(cx) {
        Poll::Ready(()) => Poll::Ready(true),
        Poll::Pending => sleep.as_mut().poll(cx).map(|()| false),
    })
    .await
}
