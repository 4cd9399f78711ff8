//! A breaker in numbers, for the plan of the stack that it is a part of.

use super::builder::CircuitBreakerBuilder;
use super::handle::CircuitBreaker;
use super::window::WindowSpan;
use crate::name::Name;
use crate::observe::Listener;
use crate::shape::Breaking;

impl CircuitBreakerBuilder {
    /// Returns the name and the listener.
    pub(crate) fn identity(&mut self) -> (&mut Name, &mut Listener) {
        (&mut self.name, &mut self.listener)
    }
}

impl CircuitBreaker {
    pub(crate) fn planned(&self) -> Breaking {
        let config = self.config();
        let windows = config.detectors.iter().filter_map(|detector| {
            match config.windows.get(detector.window)?.0 {
                WindowSpan::Time { length, .. } => Some((length, detector.minimum)),
                WindowSpan::Calls(_) => None,
            }
        });
        Breaking {
            windows: windows.collect(),
            slow_after: config.slow_after,
            shortest_break: config.break_.first,
            max_half_open: config.max_half_open,
        }
    }
}
