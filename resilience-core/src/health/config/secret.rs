//! A value that is not printed.

use std::fmt;

/// A value that does not show itself: `Debug` says that there is one. It has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    pub(super) const fn new(value: T) -> Secret<T> {
        Secret(value)
    }

    /// The value.
    #[must_use]
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// The value, which is no longer kept secret.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}
