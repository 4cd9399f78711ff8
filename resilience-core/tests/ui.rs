//! A wrong type gets an error that says what to write.

#[test]
fn compile_errors_tell_what_to_write() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
