//! What can be read from an environment: variables, and tuples of what can be read.

use std::ffi::OsString;

use super::report::EnvProblem;

pub(super) mod sealed {
    #[expect(unnameable_types, reason = "so that nobody else can implement what needs it")]
    pub trait Sealed {}
}

/// Something that can be [read](super::Env::read): a [`Var`](super::Var), or a tuple of such.
///
/// Sealed: that nothing is left unread once something is wrong is what it is for.
pub trait Declared: sealed::Sealed {
    /// What comes out.
    type Value;

    /// The value, or none and a problem for each variable that is not as it must be.
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
