//! Something whose cost per call is measured.

use std::fmt;
use std::hint::black_box;

use tokio::runtime::{Builder, Runtime};
use tower::{BoxError, Service, ServiceExt};

/// Makes so many calls, one after the other.
pub type Batch = Box<dyn FnMut(u64) -> Result<(), BoxError> + Send>;

/// Subjects that answer the same question, and whose costs are compared: what they have in common.
pub type Group = &'static str;

/// A named way to make calls.
pub struct Subject {
    /// Unique among all.
    pub name: &'static str,
    /// What it is compared with.
    pub group: Group,
    /// Whether it promises to allocate nothing.
    pub ours: bool,
    /// Whether the others of its group are given as multiples of it.
    pub baseline: bool,
    handle: Box<dyn Fn() -> Result<Batch, BoxError>>,
}

impl Subject {
    /// Calls of a service. Its handles are clones of it, so they share what its layer shares.
    pub(crate) fn service<S>(group: Group, name: &'static str, service: S) -> Subject
    where
        S: Service<u64, Response = u64, Error = BoxError> + Clone + Send + 'static,
    {
        Subject::new(group, name, move || {
            let mut service = service.clone();
            let runtime = runtime()?;
            Ok(Box::new(move |calls| runtime.block_on(drive(&mut service, calls))))
        })
    }

    /// Calls of a plain function.
    pub(crate) fn function<F>(group: Group, name: &'static str, function: F) -> Subject
    where
        F: Fn() + Clone + Send + 'static,
    {
        Subject::new(group, name, move || {
            let function = function.clone();
            Ok(Box::new(move |calls| {
                (0..calls).for_each(|_| function());
                Ok(())
            }))
        })
    }

    fn new(
        group: Group,
        name: &'static str,
        handle: impl Fn() -> Result<Batch, BoxError> + 'static,
    ) -> Subject {
        Subject { name, group, ours: false, baseline: false, handle: Box::new(handle) }
    }

    /// Marks it as promising to allocate nothing.
    pub(crate) fn ours(mut self) -> Subject {
        self.ours = true;
        self
    }

    /// Marks it as what the others of its group are multiples of.
    pub(crate) fn baseline(mut self) -> Subject {
        self.baseline = true;
        self
    }

    /// A handle of its own for a thread, on a runtime of its own.
    ///
    /// # Errors
    /// If there is no runtime to be had.
    pub fn handle(&self) -> Result<Batch, BoxError> {
        (self.handle)()
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("name", &self.name).finish_non_exhaustive()
    }
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_time().build()
}

async fn drive<S>(service: &mut S, calls: u64) -> Result<(), BoxError>
where
    S: Service<u64, Response = u64, Error = BoxError>,
{
    for request in 0..calls {
        black_box(service.ready().await?.call(black_box(request)).await?);
    }
    Ok(())
}
