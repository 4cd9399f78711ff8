//! Stacks from a file: presets, mistakes, and reloads.

#![expect(clippy::panic, reason = "helpers of tests")]

mod fields;
mod fresh;
mod garbage;
mod handles;
mod lasting;
mod mistakes;
mod names;
mod presets;
mod reload;
