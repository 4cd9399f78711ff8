use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::budget::RetryBudget;
use super::policy::{RetryPolicy, Rules};
use super::replay::Replay;
use super::run::Run;
use super::verdict::{GrantedRetry, Verdict};
use crate::clock::Now;
use crate::error::CarriesRejection;
use crate::outcome::{AsOutcome, Classify, Outcome};
use crate::timer::Alarm;

/// A call of a service `S`, in as many attempts as it takes.
pub type ResponseFuture<S, C, R, Req> =
    CallFuture<S, C, R, Req, <S as Service<Req>>::Future, Answer<S, Req>>;

type Answer<S, Req> = Result<<S as Service<Req>>::Response, <S as Service<Req>>::Error>;

// `F`, and not `S::Future`: see `inherent.rs`.
pin_project! {
    /// A call in as many attempts as it takes, each `F`, to a result `T`. Dropping it cancels the attempt or
    /// the wait, and gives back to the budget what a retry that was not sent has cost.
    pub struct CallFuture<S, C, R, Req, F, T> {
        rules: Arc<Rules>,
        run: Run,
        classifier: C,
        replay: R,
        // The handle of the attempt under way. Replaced by a fresh one before each wait (R4).
        service: S,
        // The copy that the next attempt will send.
        copy: Option<Req>,
        #[pin]
        state: State<Req, F, T>,
    }
}

pin_project! {
    /// Readying -> Calling -> (Waiting -> Readying -> Calling)* -> Pausing? -> Done
    #[project = StateProj]
    #[project_replace = StateOwned]
    enum State<Req, F, T> {
        /// The service below is not ready for this attempt's request yet. A retry is not sent, and
        /// not paid for, until it is.
        Readying { request: Req, retry: Option<GrantedRetry> },
        /// The service below has it.
        Calling { #[pin] future: F },
        /// A retry is granted, and not due yet.
        Waiting { timer: Alarm, retry: GrantedRetry, request: Req },
        /// There is no other attempt, and the caller is kept for a moment.
        Pausing { timer: Alarm, result: T },
        /// Nothing is held.
        Done,
    }
}

impl<S, C, R, Req, F, T> CallFuture<S, C, R, Req, F, T>
where
    R: Replay<Req>,
{
    pub(crate) fn new(
        service: S,
        policy: &RetryPolicy<C>,
        own_budget: Option<RetryBudget>,
        replay: R,
        request: Req,
        now: &mut Now,
    ) -> Self
    where
        C: Clone,
    {
        let rules = policy.rules.clone();
        let run = Run::start(&rules, own_budget, now);
        let copy = if run.progress.any_left(&rules) { replay.copy(&request) } else { None };
        let classifier = policy.classifier.clone();
        let state = State::Readying { request, retry: None };
        CallFuture { rules, run, classifier, replay, service, copy, state }
    }
}

impl<S, C, R, Req, F> Future for CallFuture<S, C, R, Req, F, Answer<S, Req>>
where
    S: Service<Req, Future = F> + Clone,
    F: Future<Output = Answer<S, Req>>,
    S::Error: CarriesRejection,
    C: Classify<S::Response, S::Error>,
    R: Replay<Req>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let result = match this.state.as_mut().project() {
                StateProj::Readying { .. } => {
                    let readiness = ready!(this.service.poll_ready(cx));
                    let StateOwned::Readying { request, retry } =
                        this.state.as_mut().project_replace(State::Done)
                    else {
                        return Poll::Pending;
                    };
                    if let Some(retry) = retry {
                        retry.begin(&mut this.run.progress);
                        if this.run.progress.any_left(this.rules) {
                            *this.copy = this.replay.copy(&request);
                        }
                    }
                    match readiness {
                        Ok(()) => {
                            let future = this.service.call(request);
                            this.state.set(State::Calling { future });
                            continue;
                        }
                        Err(error) => Err(error),
                    }
                }
                StateProj::Calling { future } => ready!(future.poll(cx)),
                StateProj::Waiting { timer, .. } => {
                    ready!(timer.poll(cx));
                    if let StateOwned::Waiting { retry, request, .. } =
                        this.state.as_mut().project_replace(State::Done)
                    {
                        this.state.set(State::Readying { request, retry: Some(retry) });
                    }
                    continue;
                }
                StateProj::Pausing { timer, .. } => {
                    ready!(timer.poll(cx));
                    match this.state.as_mut().project_replace(State::Done) {
                        StateOwned::Pausing { result, .. } => return Poll::Ready(result),
                        _ => return Poll::Pending,
                    }
                }
                // Polled after it was ready, which a future's contract leaves open: stay silent.
                StateProj::Done => return Poll::Pending,
            };

            let outcome = outcome(this.classifier, result.as_ref());
            let now = &mut Now::unread();
            let verdict = if this.copy.is_some() {
                this.run.ended(this.rules, outcome, now)
            } else {
                this.run.ended_without_copy(this.rules, outcome, now)
            };
            match verdict {
                Verdict::Retry(retry) => {
                    if let Some(request) = this.copy.take() {
                        // Before the wait: the old handle may hold a place in a queue below (T2).
                        let fresh = this.service.clone();
                        *this.service = fresh;
                        let timer = Alarm::after(retry.delay());
                        this.state.set(State::Waiting { timer, retry, request });
                        continue;
                    }
                }
                Verdict::Stop { pause, .. } if !pause.is_zero() => {
                    this.state.set(State::Pausing { timer: Alarm::after(pause), result });
                    continue;
                }
                Verdict::Stop { .. } | Verdict::Done => {}
            }
            // What the attempt held is free when the answer is, not when this future is dropped (T7).
            this.state.set(State::Done);
            return Poll::Ready(result);
        }
    }
}

/// What a rejection from below means is not the classifier's to say.
#[inline]
pub(super) fn outcome<T, E: CarriesRejection, C: Classify<T, E>>(
    classifier: &C,
    result: Result<&T, &E>,
) -> Outcome {
    match result.err().and_then(CarriesRejection::rejection) {
        Some(rejection) => rejection.as_outcome(),
        None => classifier.classify(result),
    }
}

impl<S, C, R, Req, F, T> fmt::Debug for CallFuture<S, C, R, Req, F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("retry::ResponseFuture").field("run", &self.run).finish_non_exhaustive()
    }
}
