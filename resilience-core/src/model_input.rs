//! Inputs of the models that drive an engine from a string of bytes.

use arbitrary::{Arbitrary, Unstructured};

/// Reads an input from `bytes`. Returns `None` if they are too few. The last field takes all bytes
/// that remain: `arbitrary` would draw a length for it, which is small by chance.
pub(crate) fn parse<'a, T: Arbitrary<'a>>(bytes: &'a [u8]) -> Option<T> {
    T::arbitrary_take_rest(Unstructured::new(bytes)).ok()
}

/// Operations until the bytes end. A `Vec` reads a flag before each element, and ends by chance
/// after two.
#[derive(Debug)]
pub(crate) struct Rest<T>(pub(crate) Vec<T>);

impl<'a, T: Arbitrary<'a>> Arbitrary<'a> for Rest<T> {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Rest<T>> {
        let mut rest = Vec::new();
        while !u.is_empty() {
            rest.push(T::arbitrary(u)?);
        }
        Ok(Rest(rest))
    }
}

/// Fails a model whose own configuration is rejected.
#[expect(clippy::panic, reason = "a model that rejects its own input is a bug in the model")]
pub(crate) fn unreachable_input(input: &impl std::fmt::Debug) -> ! {
    panic!("the model made a configuration that is rejected: {input:?}")
}
