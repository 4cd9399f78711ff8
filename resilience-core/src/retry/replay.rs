//! Copies of requests, for attempts after the first.

/// Makes the copy of a request that a retry sends. Closures `Fn(&Req) -> Option<Req>` implement
/// this.
///
/// A request whose copy is `None`, for example with a streaming body, is sent once. If it fails,
/// the listener of the policy is notified of [`NotReplayable`](super::StopReason::NotReplayable).
#[diagnostic::on_unimplemented(
    message = "there is no way to send `{Req}` twice",
    label = "a retry needs a copy of each request before it is first sent",
    note = "derive `Clone` for `{Req}`",
    note = "or say how to copy it, and when that cannot be done, with `.replay(|request: &{Req}| -> Option<{Req}> {{ .. }})` on the `RetryLayer` or the `StackBuilder`"
)]
pub trait Replay<Req> {
    /// Returns a copy of `request` before that is sent. `None` if it cannot be copied.
    fn copy(&self, request: &Req) -> Option<Req>;

    /// Returns `true`, the default, if the request may run twice. A request that must not is sent
    /// again only after an attempt that certainly did not run
    /// ([`Classify::may_have_run`](crate::Classify::may_have_run)). Called after a failure, with
    /// the copy.
    fn may_run_twice(&self, request: &Req) -> bool {
        let _ = request;
        true
    }

    /// Returns `true`, the default, if `copy` can still be sent after the attempt, which ended in a
    /// response (`responded`) or in an error. A body that is recorded while it is sent may have
    /// grown too large. After `false` the call ends with the result of this attempt.
    fn is_still_valid(&self, copy: &Req, responded: bool) -> bool {
        // See docs/decisions/0019-a-copy-can-become-unusable.md.
        let _ = (copy, responded);
        true
    }
}

impl<F, Req> Replay<Req> for F
where
    F: Fn(&Req) -> Option<Req>,
{
    fn copy(&self, request: &Req) -> Option<Req> {
        self(request)
    }
}

/// The default replay: clones requests, and every request may run twice. A request type that is not
/// `Clone` does not compile.
///
/// A request that must not run twice needs one line: `.replayed_by(AtMostOnce)` for all requests of
/// a service, or a [`Replay`] of your own that decides for each.
#[derive(Debug, Clone, Copy, Default)]
pub struct CloneRequest;

#[diagnostic::do_not_recommend]
impl<Req: Clone> Replay<Req> for CloneRequest {
    fn copy(&self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }
}

/// A replay for requests that are not idempotent: clones requests, and sends one again only after
/// an attempt that certainly did not run. A layer rejected that attempt, the service was not ready,
/// or its error [is known](crate::Classify::may_have_run) to come before the request was sent, as a
/// refused connection does.
///
/// ```
/// use resilience_core::retry::{AtMostOnce, RetryLayer, RetryPolicy};
///
/// let writes = RetryLayer::new(RetryPolicy::builder().build()?).replayed_by(AtMostOnce);
/// # let _: RetryLayer<_, AtMostOnce> = writes;
/// # Ok::<_, resilience_core::InvalidConfig>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct AtMostOnce;

#[diagnostic::do_not_recommend]
impl<Req: Clone> Replay<Req> for AtMostOnce {
    fn copy(&self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }

    fn may_run_twice(&self, _: &Req) -> bool {
        false
    }
}
