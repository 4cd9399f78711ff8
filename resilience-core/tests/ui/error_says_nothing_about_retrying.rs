use resilience_core::retry::{RetryPolicy, retry};

#[derive(Debug)]
struct ParseError;

async fn call(policy: &RetryPolicy) -> Result<(), ParseError> {
    retry(policy, || async { Err::<(), _>(ParseError) }).await
}

fn main() {
    let _ = call;
}
