//! The process's listener. There is one for this whole test binary: it looks at its own layers
//! only.

use std::sync::Arc;

use parking_lot::Mutex;
use resilience_core::AnyError;
use resilience_core::observe::{self, Event};
use resilience_core::retry::{RetryPolicy, RetryPolicyBuilder, retry};

fn policy(name: &'static str) -> RetryPolicyBuilder<AnyError> {
    RetryPolicy::builder().name(name).max_attempts(1).classifier(AnyError)
}

#[tokio::test(start_paused = true)]
async fn the_default_receives_events_of_policies_without_a_listener() {
    let before = policy("default: made before").build().unwrap();
    let (told, own) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let note = |notes: &Arc<Mutex<Vec<String>>>| {
        let notes = notes.clone();
        move |event: &Event<'_>| {
            let layer = event.layer().unwrap_or_default();
            if layer.starts_with("default: ") {
                notes.lock().push(layer.to_owned());
            }
        }
    };
    observe::set_default(note(&told)).unwrap();
    observe::set_default(|_: &Event<'_>| panic!("is refused")).unwrap_err();

    let after = policy("default: made after").build().unwrap();
    let listened = policy("default: own").listen(note(&own)).build().unwrap();
    for policy in [&before, &listened, &after] {
        retry(policy, async || Err::<(), _>("down")).await.unwrap_err();
    }
    assert_eq!(*told.lock(), ["default: made before", "default: made after"]);
    assert_eq!(*own.lock(), ["default: own"]);
}
