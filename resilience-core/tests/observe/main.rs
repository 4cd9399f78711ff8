//! Events, and their records in `tracing` and in `metrics`.

mod circuits;
mod default;
mod end_to_end;
mod gauges;
mod labels;
mod metrics;
mod recorder;
mod subscriber;
mod tracing;
