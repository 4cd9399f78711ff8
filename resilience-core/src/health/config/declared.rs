//! Declarations that an environment is read by: variables, and tuples of declarations.

use std::ffi::OsString;

use super::report::EnvProblem;

pub(super) mod sealed {
    #[expect(unnameable_types, reason = "prevents implementations outside of this crate")]
    pub trait Sealed {}
}

/// A declaration for [`Env::read`](super::Env::read): a [`Var`](super::Var), or a tuple of
/// declarations.
///
/// Sealed, since every implementation must read all its variables even after a problem.
pub trait Declared: sealed::Sealed {
    /// The values.
    type Value;

    /// Returns the value, or `None` and adds a problem for each invalid variable.
    #[doc(hidden)]
    fn read(
        self,
        lookup: &dyn Fn(&str) -> Option<OsString>,
        problems: &mut Vec<EnvProblem>,
    ) -> Option<Self::Value>;
}

macro_rules! tuples {
    ($(($($name:ident)+))+) => {
        $(
            impl<$($name: Declared),+> sealed::Sealed for ($($name,)+) {}

            impl<$($name: Declared),+> Declared for ($($name,)+) {
                type Value = ($($name::Value,)+);

                #[expect(non_snake_case, reason = "a type's name is its value's here")]
                fn read(
                    self,
                    lookup: &dyn Fn(&str) -> Option<OsString>,
                    problems: &mut Vec<EnvProblem>,
                ) -> Option<Self::Value> {
                    let ($($name,)+) = self;
                    // All are read before the first `?`.
                    $(let $name = $name.read(lookup, problems);)+
                    Some(($($name?,)+))
                }
            }
        )+
    };
}
tuples! {
    (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H)
    (A B C D E F G H I) (A B C D E F G H I J) (A B C D E F G H I J K) (A B C D E F G H I J K L)
}
