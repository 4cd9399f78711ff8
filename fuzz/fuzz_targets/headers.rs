#![no_main]

#[path = "../../resilience-http/tests/hints/drive.rs"]
mod drive;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drive::headers(bytes));
