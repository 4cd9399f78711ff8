//! The head of an answer, and what goes on until its body has ended.

use std::fmt;

use http::{HeaderMap, Response, StatusCode, Version};
use http_body::Body;
use resilience_core::stack::{Lasts, Rest};
use resilience_core::{Classify, Error, Outcome};

use super::body::HeldBody;
use super::hold::Hold;
use super::slots::Slot;
use crate::body::StallTimeout;
use crate::classify::{HttpClassifier, TransportError};

/// An answer whose body can hold what the call does.
pub trait HttpResponse {
    /// The same answer, holding it.
    type Held;

    /// Its version.
    fn version(&self) -> Version;
    /// Its status.
    fn status(&self) -> StatusCode;
    /// Its headers.
    fn headers(&self) -> &HeaderMap;
    /// Gives it to the body, which ends when it stalls for too long.
    fn hold(self, hold: Hold, stall: Option<StallTimeout>) -> Self::Held;
}

impl<B: Body> HttpResponse for Response<B> {
    type Held = Response<HeldBody<B>>;

    fn version(&self) -> Version {
        self.version()
    }

    fn status(&self) -> StatusCode {
        self.status()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn hold(self, hold: Hold, stall: Option<StallTimeout>) -> Self::Held {
        self.map(|body| HeldBody::new(body, hold, stall))
    }
}

#[cfg(feature = "reqwest")]
impl HttpResponse for reqwest::Response {
    type Held = reqwest::Response;

    fn version(&self) -> Version {
        self.version()
    }

    fn status(&self) -> StatusCode {
        self.status()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    /// Nothing of the answer is lost, its address included.
    fn hold(self, hold: Hold, stall: Option<StallTimeout>) -> reqwest::Response {
        use reqwest::ResponseBuilderExt as _;
        let url = self.url().clone();
        let answer = Response::<reqwest::Body>::from(self);
        let held = answer.map(|body| reqwest::Body::wrap(HeldBody::new(body, hold, stall)));
        match Response::builder().url(url).body(()) {
            Ok(with_url) => {
                let (mut parts, body) = held.into_parts();
                parts.extensions.extend(with_url.into_parts().0.extensions);
                Response::from_parts(parts, body).into()
            }
            // Not reached: nothing in it can be wrong.
            Err(_) => held.into(),
        }
    }
}

/// An answer on its way through the policies. Dropped, its connection is given up.
pub struct Answered<A> {
    answer: A,
    rest: Rest,
    slot: Slot,
}

impl<A: HttpResponse> Answered<A> {
    pub(super) fn new(answer: A, slot: Slot) -> Answered<A> {
        Answered { answer, rest: Rest::default(), slot }
    }

    /// The answer, whose body holds from now on what the call did.
    pub(super) fn hold(self, stall: Option<StallTimeout>) -> A::Held {
        let hold = Hold::new(&self.answer, self.rest, self.slot);
        self.answer.hold(hold, stall)
    }
}

/// By its head.
impl<A: HttpResponse> Classify<Answered<A>, Error<TransportError>> for HttpClassifier {
    fn classify(&self, result: Result<&Answered<A>, &Error<TransportError>>) -> Outcome {
        self.outcome(result.map(|it| (it.answer.status(), it.answer.headers())))
    }

    fn may_have_run(&self, result: Result<&Answered<A>, &Error<TransportError>>) -> bool {
        self.ran(result.map(|it| it.answer.status()))
    }
}

/// A call lasts until the body of its answer has ended.
#[derive(Debug, Clone, Copy, Default)]
pub struct UntilBodyEnds;

impl<A> Lasts<Answered<A>> for UntilBodyEnds {
    fn rest<'r>(&self, answered: &'r Answered<A>) -> Option<&'r Rest> {
        Some(&answered.rest)
    }
}

impl<A> fmt::Debug for Answered<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answered").finish_non_exhaustive()
    }
}
