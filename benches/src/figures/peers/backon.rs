//! backon, which retries closures.

use backon::{ExponentialBuilder, Retryable};
use tower::BoxError;

use crate::cost::Call;
use crate::figures::Answer;

#[derive(Debug, Clone)]
pub(in crate::figures) struct Retried(pub(in crate::figures) Answer);

impl Call for Retried {
    async fn call(&mut self, request: u64) -> Result<u64, BoxError> {
        let answer = self.0;
        (|| answer.answer(request))
            .retry(ExponentialBuilder::default().with_max_times(2).with_jitter())
            .sleep(tokio::time::sleep)
            .await
    }
}
