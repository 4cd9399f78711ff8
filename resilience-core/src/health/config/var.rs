//! One variable.

use std::borrow::Cow;
use std::convert::Infallible;
use std::ffi::OsString;
use std::fmt::{self, Display};
use std::str::FromStr;

use super::declared::{Declared, sealed::Sealed};
use super::report::{EnvProblem, ProblemKind};
use super::secret::Secret;

/// The most characters of a malformed value that are told.
const MOST_SHOWN: usize = 64;

type Parse<T> = Box<dyn Fn(&str) -> Result<T, Option<String>>>;

/// A variable: its name, what it must be, and what comes of it.
///
/// `P` says what is done if it is missing: [`Required`], [`Defaulted`] or [`Optional`].
#[must_use = "a variable is nothing until an `Env` reads it"]
pub struct Var<T, P = Required> {
    name: Cow<'static, str>,
    expected: String,
    secret: bool,
    parse: Parse<T>,
    presence: P,
}

/// Missing is a problem.
#[derive(Debug, Clone, Copy)]
#[doc(hidden)]
pub struct Required(());

/// Missing is none.
#[derive(Debug, Clone, Copy)]
#[doc(hidden)]
pub struct Optional(());

/// Missing is this value.
#[derive(Debug, Clone, Copy)]
#[doc(hidden)]
pub struct Defaulted<T>(T);

impl Var<String> {
    /// Any text, except none.
    pub fn text(name: impl Into<Cow<'static, str>>) -> Var<String> {
        Var::with(name, "text", |text| Ok::<_, Infallible>(text.to_owned()))
    }

    /// Something that is read `FromStr`. What it must be is called by the type's name.
    pub fn parsed<T>(name: impl Into<Cow<'static, str>>) -> Var<T>
    where
        T: FromStr<Err: Display> + 'static,
    {
        let expected = std::any::type_name::<T>();
        let expected = expected.rsplit_once("::").map_or(expected, |(_, name)| name);
        Var::with(name, expected, T::from_str)
    }

    /// One of these words.
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
    /// Something that this function reads, and what it must be in words: "a duration".
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
        let (name, parse) = (name.into(), Box::new(parse));
        Var { name, expected, secret: false, parse, presence: Required(()) }
    }

    /// This value if it is missing. The value is not held to any bounds.
    pub fn default(self, value: T) -> Var<T, Defaulted<T>> {
        self.present(Defaulted(value))
    }

    /// None if it is missing.
    pub fn optional(self) -> Var<T, Optional> {
        self.present(Optional(()))
    }

    fn present<P>(self, presence: P) -> Var<T, P> {
        let Var { name, expected, secret, parse, .. } = self;
        Var { name, expected, secret, parse, presence }
    }

    /// Never printed, neither by a report nor by `Debug`.
    pub fn secret(self) -> Var<Secret<T>> {
        let Var { name, expected, parse, presence, .. } = self;
        let parse: Parse<Secret<T>> = Box::new(move |text| parse(text).map(Secret::new));
        Var { name, expected, secret: true, parse, presence }
    }

    /// Only what this holds for, in words: "an even number".
    pub fn that(self, expected: impl Display, holds: impl Fn(&T) -> bool + 'static) -> Var<T> {
        let Var { name, expected: before, secret, parse, presence } = self;
        let parse: Parse<T> = Box::new(move |text| {
            parse(text).and_then(|it| if holds(&it) { Ok(it) } else { Err(None) })
        });
        Var { name, expected: format!("{before}, {expected}"), secret, parse, presence }
    }
}

impl<T: PartialOrd + Display + 'static> Var<T> {
    /// No less than this.
    pub fn at_least(self, low: T) -> Var<T> {
        self.that(format!("at least {low}"), move |value| *value >= low)
    }

    /// No more than this.
    pub fn at_most(self, high: T) -> Var<T> {
        self.that(format!("at most {high}"), move |value| *value <= high)
    }
}

impl<T, P> Var<T, P> {
    /// None and no problem if it is missing.
    fn find(&self, lookup: &dyn Fn(&str) -> Option<OsString>) -> Result<Option<T>, EnvProblem> {
        let Some(found) = lookup(&self.name).filter(|found| !found.is_empty()) else {
            return Ok(None);
        };
        let Some(text) = found.to_str() else {
            return Err(self.problem(ProblemKind::NotUnicode));
        };
        (self.parse)(text).map(Some).map_err(|error| {
            let shown = |text: &str| (!self.secret).then(|| cut(text));
            let (value, error) = (shown(text), error.as_deref().and_then(shown));
            self.problem(ProblemKind::Malformed { value, error })
        })
    }

    fn problem(&self, kind: ProblemKind) -> EnvProblem {
        EnvProblem { name: self.name.to_string(), kind, expected: self.expected.clone() }
    }
}

/// One line, of bounded length.
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
