#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| resilience_core::testing::model::backfill(bytes));
