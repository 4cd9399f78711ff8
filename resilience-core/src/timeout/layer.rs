//! The two layers, their settings, and their services.

use std::task::{Context, Poll};
use std::time::Duration;

use tower_layer::Layer;
use tower_service::Service;

use super::attempt::TimeoutFuture;
use super::total::DeadlineFuture;
use crate::call::{CallTimer, TimeLimit};
use crate::clock::tick::Tick;
use crate::clock::{Now, nanos};
use crate::config::{self, InvalidConfig};
use crate::deadline::Deadline;
use crate::error::CarriesRejection;
use crate::inherent::inherent_service_methods;
use crate::name::Name;
use crate::observe::{Event, Listen, Listener};
use crate::rejection::{Rejection, RejectionKind};

/// The settings of a limit. A clone counts no references unless a name or a listener was set.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    name: Name,
    /// At most a year.
    nanos: u64,
    listener: Listener,
}

impl Settings {
    fn new(name: &'static str, limit: Duration) -> Result<Settings, InvalidConfig> {
        let nanos = nanos(config::wait("limit", limit)?);
        Ok(Settings { name: name.into(), nanos, listener: Listener::default() })
    }

    #[inline]
    pub(super) const fn nanos(&self) -> u64 {
        self.nanos
    }

    /// Returns the deadline of an attempt or a call that begins at `now`.
    #[inline]
    pub(super) fn due(&self, now: Tick) -> Deadline {
        Deadline(now.after_ns(self.nanos))
    }

    /// Returns a rejection by this layer, and notifies the listener.
    pub(super) fn reject(&self, kind: RejectionKind, may_have_run: bool) -> Rejection {
        let rejection = Rejection::new(kind, self.name.clone())
            .with_limit(Duration::from_nanos(self.nanos))
            .with_may_have_run(may_have_run);
        self.listener.notify(|| Event::Rejected(&rejection));
        rejection
    }
}

macro_rules! limit_layer {
    (
        $(#[$doc:meta])+ $layer:ident, named $name:literal, for $what:literal,
        $(#[$service_doc:meta])+ makes $service:ident with $future:ident
    ) => {
        $(#[$doc])+
        #[derive(Debug, Clone)]
        pub struct $layer {
            settings: Settings,
        }

        impl $layer {
            #[doc = concat!("Makes a layer that limits ", $what, " to this time.")]
            ///
            /// # Errors
            /// If `limit` is zero or more than a year.
            pub fn new(limit: Duration) -> Result<$layer, InvalidConfig> {
                Ok($layer { settings: Settings::new($name, limit)? })
            }

            /// Sets the layer name in rejections.
            #[must_use]
            pub fn name(mut self, name: impl Into<Name>) -> $layer {
                self.settings.name = name.into();
                self
            }

            /// Returns the limit.
            #[must_use]
            pub const fn limit(&self) -> Duration {
                Duration::from_nanos(self.settings.nanos)
            }

            /// Notifies this listener of rejections.
            #[must_use]
            pub fn listen(mut self, listener: impl Listen) -> $layer {
                self.settings.listener = Listener::new(listener);
                self
            }
        }

        impl TimeLimit for $layer {
            type Timer = CallTimer;

            #[inline]
            fn due(&self, now: &mut Now) -> Option<Deadline> {
                Some(Deadline(now.tick().after_ns(self.settings.nanos)))
            }

            #[inline]
            fn limit_nanos(&self) -> Option<u64> {
                Some(self.settings.nanos)
            }

            fn reject(&self, kind: RejectionKind, may_have_run: bool) -> Rejection {
                self.settings.reject(kind, may_have_run)
            }
        }

        impl<S> Layer<S> for $layer {
            type Service = $service<S>;

            fn layer(&self, inner: S) -> $service<S> {
                $service { inner, settings: self.settings.clone() }
            }
        }

        $(#[$service_doc])+
        #[derive(Debug, Clone)]
        pub struct $service<S> {
            inner: S,
            settings: Settings,
        }

        impl<S> $service<S> {
            /// Returns the service below.
            pub fn get_ref(&self) -> &S {
                &self.inner
            }
        }

        inherent_service_methods!($service<S>);

        impl<S, Req> Service<Req> for $service<S>
        where
            S: Service<Req>,
            S::Error: CarriesRejection,
        {
            type Response = S::Response;
            type Error = S::Error;
            type Future = $future<S::Future>;

            fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
                self.inner.poll_ready(cx)
            }

            fn call(&mut self, request: Req) -> Self::Future {
                $future::begin(&self.settings, || self.inner.call(request))
            }
        }
    };
}

limit_layer! {
    /// Limits the time of an attempt, from the first poll of its future. See the [module](super).
    TimeoutLayer, named "timeout", for "attempts",
    /// A service that limits the time of its attempts. Made by [`TimeoutLayer`].
    makes Timeout with TimeoutFuture
}
limit_layer! {
    /// Gives each call a [`Deadline`], or the deadline of the surrounding call if that comes
    /// sooner. See the [module](super).
    DeadlineLayer, named "deadline", for "calls, with all retries and waits,",
    /// A service with a deadline for each call, which is not made after it. Made by
    /// [`DeadlineLayer`].
    makes DeadlineService with DeadlineFuture
}
