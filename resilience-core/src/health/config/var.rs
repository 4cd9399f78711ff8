//! Declaration of a variable.

use std::borrow::Cow;
use std::convert::Infallible;
use std::ffi::OsString;
use std::fmt::{self, Display};
use std::str::FromStr;

use super::declared::{Declared, sealed::Sealed};
use super::report::{EnvProblem, ProblemKind};

/// The most characters of a malformed value in a report.
const MOST_SHOWN: usize = 64;

type Parse<T> = Box<dyn Fn(&str) -> Result<T, Option<String>>>;

/// A variable: its name, its valid values, and the type of its value.
///
/// `P` is [`Required`], [`Defaulted`] or [`Optional`], and decides the result if the variable is
/// missing.
#[must_use = "a variable is nothing until an `Env` reads it"]
pub struct Var<T, P = Required> {
    name: Cow<'static, str>,
    expected: String,
    secret: bool,
    parse: Parse<T>,
    presence: P,
}

/// A missing variable is a problem.
#[derive(Debug, Clone, Copy)]
#[doc(hidden)]
pub struct Required(());

/// A missing variable is `None`.
#[derive(Debug, Clone, Copy)]
#[doc(hidden)]
pub struct Optional(());

/// A missing variable has this value.
#[derive(Debug, Clone, Copy)]
#[doc(hidden)]
pub struct Defaulted<T>(T);

/// A value that is never printed: `Debug` shows `Secret(***)`, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Returns the value.
    #[must_use]
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// Returns the value, which is printed from now on.
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

impl Var<String> {
    /// Declares a variable of any text that is not empty.
    pub fn text(name: impl Into<Cow<'static, str>>) -> Var<String> {
        Var::with(name, "text", |text| Ok::<_, Infallible>(text.to_owned()))
    }

    /// Declares a variable that is parsed by `FromStr`. Reports name the type.
    pub fn parsed<T>(name: impl Into<Cow<'static, str>>) -> Var<T>
    where
        T: FromStr<Err: Display> + 'static,
    {
        let expected = std::any::type_name::<T>();
        let expected = expected.rsplit_once("::").map_or(expected, |(_, name)| name);
        Var::with(name, expected, T::from_str)
    }

    /// Declares a variable that is one of these words.
    pub fn one_of<const N: usize>(
        name: impl Into<Cow<'static, str>>,
        words: [&'static str; N],
    ) -> Var<&'static str> {
        let expected = format!("one of {}", words.map(|word| format!("`{word}`")).join(", "));
        Var::new(name, expected, move |text| {
            words.into_iter().find(|word| *word == text).ok_or(None)
        })
    }
}

impl<T: 'static> Var<T> {
    /// Declares a variable that `parse` parses. Reports describe the valid values as `expected`,
    /// such as "a duration".
    pub fn with<E: Display>(
        name: impl Into<Cow<'static, str>>,
        expected: impl Into<String>,
        parse: impl Fn(&str) -> Result<T, E> + 'static,
    ) -> Var<T> {
        Var::new(name, expected.into(), move |text| {
            parse(text).map_err(|error| Some(error.to_string()))
        })
    }

    fn new(
        name: impl Into<Cow<'static, str>>,
        expected: String,
        parse: impl Fn(&str) -> Result<T, Option<String>> + 'static,
    ) -> Var<T> {
        let parse = Box::new(parse);
        Var { name: name.into(), expected, secret: false, parse, presence: Required(()) }
    }

    /// Sets the value for a missing variable. The value is not checked against the bounds.
    pub fn default(self, value: T) -> Var<T, Defaulted<T>> {
        self.present(Defaulted(value))
    }

    /// Makes the variable optional: `None` if it is missing.
    pub fn optional(self) -> Var<T, Optional> {
        self.present(Optional(()))
    }

    fn present<P>(self, presence: P) -> Var<T, P> {
        let Var { name, expected, secret, parse, .. } = self;
        Var { name, expected, secret, parse, presence }
    }

    /// Keeps the value out of reports and `Debug`.
    pub fn secret(self) -> Var<Secret<T>> {
        let Var { name, expected, parse, presence, .. } = self;
        let parse: Parse<Secret<T>> = Box::new(move |text| parse(text).map(Secret));
        Var { name, expected, secret: true, parse, presence }
    }

    /// Adds a condition that the value must fulfil. Reports describe it as `expected`, such as
    /// "an even number".
    pub fn that(self, expected: impl Display, holds: impl Fn(&T) -> bool + 'static) -> Var<T> {
        let Var { name, expected: before, secret, parse, presence } = self;
        let parse: Parse<T> = Box::new(move |text| {
            parse(text).and_then(|it| if holds(&it) { Ok(it) } else { Err(None) })
        });
        Var { name, expected: format!("{before}, {expected}"), secret, parse, presence }
    }
}

impl<T: PartialOrd + Display + 'static> Var<T> {
    /// Adds a lower bound, which is a valid value.
    pub fn at_least(self, low: T) -> Var<T> {
        self.that(format!("at least {low}"), move |value| *value >= low)
    }

    /// Adds an upper bound, which is a valid value.
    pub fn at_most(self, high: T) -> Var<T> {
        self.that(format!("at most {high}"), move |value| *value <= high)
    }
}

impl<T, P> Var<T, P> {
    /// Returns the parsed value, or `None` if the variable is missing.
    fn find(&self, lookup: &dyn Fn(&str) -> Option<OsString>) -> Result<Option<T>, EnvProblem> {
        let Some(found) = lookup(&self.name).filter(|found| !found.is_empty()) else {
            return Ok(None);
        };
        let Some(text) = found.to_str() else {
            return Err(self.problem(ProblemKind::NotUnicode));
        };
        (self.parse)(text).map(Some).map_err(|error| {
            let shown = |text: &str| (!self.secret).then(|| cut(text));
            let value = shown(text);
            let error = error.as_deref().and_then(shown);
            self.problem(ProblemKind::Malformed { value, error })
        })
    }

    fn problem(&self, kind: ProblemKind) -> EnvProblem {
        EnvProblem { name: self.name.to_string(), kind, expected: self.expected.clone() }
    }
}

/// Returns `text` as one line of bounded length.
fn cut(text: &str) -> String {
    let line = text.escape_debug().to_string();
    match line.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

impl<T, P> Sealed for Var<T, P> {}

impl<T> Declared for Var<T, Required> {
    type Value = T;

    fn read(
        self,
        lookup: &dyn Fn(&str) -> Option<OsString>,
        problems: &mut Vec<EnvProblem>,
    ) -> Option<T> {
        let found = self.find(lookup);
        let found = found.and_then(|found| found.ok_or_else(|| self.problem(ProblemKind::Missing)));
        found.map_err(|problem| problems.push(problem)).ok()
    }
}

impl<T> Declared for Var<T, Optional> {
    type Value = Option<T>;

    fn read(
        self,
        lookup: &dyn Fn(&str) -> Option<OsString>,
        problems: &mut Vec<EnvProblem>,
    ) -> Option<Option<T>> {
        self.find(lookup).map_err(|problem| problems.push(problem)).ok()
    }
}

impl<T> Declared for Var<T, Defaulted<T>> {
    type Value = T;

    fn read(
        self,
        lookup: &dyn Fn(&str) -> Option<OsString>,
        problems: &mut Vec<EnvProblem>,
    ) -> Option<T> {
        let found = self.find(lookup).map_err(|problem| problems.push(problem)).ok()?;
        Some(found.unwrap_or(self.presence.0))
    }
}

impl<T, P> fmt::Debug for Var<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Var")
            .field("name", &self.name)
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}
