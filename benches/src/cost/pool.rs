//! One multi-thread runtime of two workers, and tasks that call clones of one service.

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;
use tower::BoxError;

use super::call::{Call, drive};
use super::subject::Batch;

/// Enough that neither worker is ever without one.
const TASKS: u64 = 16;

pub(super) fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).enable_time().build()
}

/// A batch whose calls are shared out among tasks.
pub(super) fn batch(call: impl Call + Clone, handle: &Handle) -> Batch {
    let handle = handle.clone();
    Box::new(move |calls| {
        let tasks: Vec<JoinHandle<Result<(), BoxError>>> = (0..TASKS)
            .map(|_| {
                let mut call = call.clone();
                handle.spawn(async move { drive(&mut call, calls.div_ceil(TASKS)).await })
            })
            .collect();
        handle.block_on(async {
            for task in tasks {
                task.await??;
            }
            Ok(())
        })
    })
}
