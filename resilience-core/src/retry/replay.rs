//! Sending a request twice.

/// Makes the copy of a request that a retry sends.
///
/// Closures `Fn(&Req) -> Option<Req>` are replays. `None` means that this request cannot be sent
/// twice (a streaming body, for one): it is sent once, and if it fails the policy's listener is notified of
/// [`NotReplayable`](super::StopReason::NotReplayable).
#[diagnostic::on_unimplemented(
    message = "there is no way to send `{Req}` twice",
    label = "a retry needs a copy of each request before it is first sent",
    note = "derive `Clone` for `{Req}`",
    note = "or say how to copy it, and when that cannot be done, with `.replay(|request: &{Req}| -> Option<{Req}> {{ .. }})` on the `RetryLayer` or the `StackBuilder`"
)]
pub trait Replay<Req> {
    /// A copy of `request`, made before it is sent, or `None` if there can be none.
    fn copy(&self, request: &Req) -> Option<Req>;

    /// Whether no harm is done if it runs twice. One that may run only once is sent again only after an
    /// attempt that certainly did not run ([`Classify::may_have_run`](crate::Classify::may_have_run)).
    ///
    /// Asked after a failure, about the copy.
    fn may_run_twice(&self, request: &Req) -> bool {
        let _ = request;
        true
    }

    /// Whether a copy that was made before can still be sent, now that the attempt has ended: `answered`, or in an
    /// error. What is recorded while it is sent may have grown too large. If not, the call ends with this
    /// attempt's result, as one whose request cannot be sent twice.
    fn is_still_valid(&self, copy: &Req, answered: bool) -> bool {
        // See docs/decisions/0019-a-copy-can-become-unusable.md.
        let _ = (copy, answered);
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

/// The default: requests are cloned, and every one may run twice. A request type that is not `Clone` does not
/// compile.
///
/// A request that must not run twice needs one line: `.replayed_by(AtMostOnce)` for all requests of a
/// service, or a [`Replay`] of your own that decides for each.
#[derive(Debug, Clone, Copy, Default)]
pub struct CloneRequest;

#[diagnostic::do_not_recommend]
impl<Req: Clone> Replay<Req> for CloneRequest {
    fn copy(&self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }
}

/// Clones requests, and sends one again only after an attempt that certainly did not run: a layer rejected
/// it, the service was not ready for it, or its error [is known](crate::Classify::may_have_run) to come from
/// before it was sent, as a refused connection is. For requests that are not idempotent.
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
