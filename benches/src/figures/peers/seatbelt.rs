//! seatbelt, called as its own `layered` services are: as tower services its layers box their
//! futures.

use layered::{Execute, Service, Stack};
use seatbelt::breaker::{Breaker, BreakerLayer};
use seatbelt::retry::{Retry, RetryLayer};
use seatbelt::timeout::{Timeout, TimeoutLayer};
use seatbelt::{RecoveryInfo, ResilienceContext};
use tick::Clock;
use tokio::runtime::Builder;
use tower::BoxError;

use super::LIMIT;
use crate::cost::Call;
use crate::figures::Answer;

type Answered = Result<u64, BoxError>;
type Context = ResilienceContext<u64, Answered>;

/// Total time limit, retry, breaker, attempt time limit.
pub(in crate::figures) fn pipeline() -> Result<impl Call + Clone, BoxError> {
    let context = context()?;
    let layers = (limit(&context), retries(&context), breaks(&context), limit(&context));
    let (total, retry, breaker, attempt) = layers;
    let answer = Execute::new(|request| Answer::READY.answer(request));
    Ok(Executed((total, retry, breaker, attempt, answer).into_service()))
}

pub(in crate::figures) fn breaker() -> Result<impl Call + Clone, BoxError> {
    let answer = Execute::new(|request| Answer::READY.answer(request));
    Ok(Executed((breaks(&context()?), answer).into_service()))
}

pub(in crate::figures) fn retry() -> Result<impl Call + Clone, BoxError> {
    let answer = Execute::new(|request| Answer::READY.answer(request));
    Ok(Executed((retries(&context()?), answer).into_service()))
}

pub(in crate::figures) fn timeout() -> Result<impl Call + Clone, BoxError> {
    let answer = Execute::new(|request| Answer::READY.answer(request));
    Ok(Executed((limit(&context()?), answer).into_service()))
}

fn limit(context: &Context) -> TimeoutLayer<u64, Answered> {
    Timeout::layer("limit", context).timeout(LIMIT).timeout_error(|_| "too late".into())
}

fn retries(context: &Context) -> RetryLayer<u64, Answered> {
    Retry::layer("retry", context)
        .max_retry_attempts(2)
        .clone_input()
        .recovery_with(|result, _| recovery(result))
}

fn breaks(context: &Context) -> BreakerLayer<u64, Answered> {
    Breaker::layer("breaker", context)
        .recovery_with(|result, _| recovery(result))
        .rejected_input_error(|_, _| "open".into())
}

fn recovery(result: &Answered) -> RecoveryInfo {
    if result.is_ok() { RecoveryInfo::never() } else { RecoveryInfo::retry() }
}

/// Creates a context whose clock a task drives. The task never runs: no timer is needed.
fn context() -> Result<Context, BoxError> {
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let inside = runtime.enter();
    let context = ResilienceContext::new(Clock::new_tokio());
    drop(inside);
    // Dropping the runtime would drop the task of the clock.
    std::mem::forget(runtime);
    Ok(context)
}

#[derive(Debug, Clone)]
struct Executed<S>(S);

impl<S> Call for Executed<S>
where
    S: Service<u64, Out = Answered> + Clone + 'static,
{
    fn call(&mut self, request: u64) -> impl Future<Output = Answered> + Send {
        self.0.execute(request)
    }
}
