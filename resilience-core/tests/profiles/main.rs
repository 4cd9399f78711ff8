//! Stacks from a file: presets, mistakes, and reloads.

#![expect(clippy::panic, reason = "helpers of tests")]

mod fresh;
mod garbage;
mod lasting;
mod mistakes;
mod presets;
mod reload;
