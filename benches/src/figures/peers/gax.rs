//! The retry throttlers of Google's client libraries.

use google_cloud_gax::retry_throttler::{
    AdaptiveThrottler, CircuitBreaker, RetryThrottlerArg, SharedRetryThrottler,
};

use crate::cost::{Role, Subject};

/// Report of a success to the throttler of a client.
pub(in crate::figures) fn throttlers() -> [Subject; 2] {
    let adaptive = RetryThrottlerArg::from(AdaptiveThrottler::default());
    let breaker = RetryThrottlerArg::from(CircuitBreaker::default());
    [
        on_success("gax AdaptiveThrottler", adaptive.into())
            .lacks("a window: it counts for ever and reads no clock"),
        on_success("gax CircuitBreaker (gRPC's tokens)", breaker.into())
            .lacks("a window: a bucket of 100 that reads no clock"),
    ]
}

fn on_success(name: &'static str, throttler: SharedRetryThrottler) -> Subject {
    Subject::function(Role::Peer, name, move || {
        if let Ok(mut throttler) = throttler.lock() {
            throttler.on_success();
        }
    })
}
