//! The text of an error, as events and logs carry it.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt::{self, Write as _};
use std::io;

use crate::rejection::chain;

/// The text of an error and of everything that caused it.
///
/// Shown by `Display`: the texts of the chain of sources, outermost first, joined by `: `; a text
/// that an outer one contains already is left out. At most [`MAX_BYTES`](ErrorText::MAX_BYTES) are
/// shown, and URLs without their user info and query, which can hold secrets. Nothing is formatted
/// before it is shown.
///
/// ```
/// use resilience_core::observe::ErrorText;
///
/// let error = std::io::Error::other("GET https://me:secret@odds.example/v4?key=secret failed");
/// assert_eq!(ErrorText::of(&error).to_string(), "GET https://odds.example/v4 failed");
/// ```
#[derive(Clone, Copy)]
pub struct ErrorText<'e>(Source<'e>);

#[derive(Clone, Copy)]
enum Source<'e> {
    Error(&'e (dyn StdError + 'static)),
    Text(&'e dyn fmt::Display),
}

impl<'e> ErrorText<'e> {
    /// The most bytes that are shown: 512, the `…` at the end of a longer text included.
    pub const MAX_BYTES: usize = 512;

    /// Creates the text of `error` and of its sources.
    #[must_use]
    pub const fn of(error: &'e (dyn StdError + 'static)) -> ErrorText<'e> {
        ErrorText(Source::Error(error))
    }

    /// Creates the text of an error that has no sources to be shown.
    #[must_use]
    pub const fn of_text(text: &'e dyn fmt::Display) -> ErrorText<'e> {
        ErrorText(Source::Text(text))
    }

    /// The text, cleaned, and whether some of it is missing.
    fn whole(&self) -> (String, bool) {
        let error = match self.0 {
            Source::Error(error) => error,
            Source::Text(text) => {
                let text = Bounded::of(text);
                return (without_secrets(&text), text.is_cut);
            }
        };
        let mut whole = String::new();
        let mut is_cut = false;
        for (number, cause) in chain(error).enumerate() {
            if number == MAX_CAUSES || whole.len() > Self::MAX_BYTES {
                return (whole, true);
            }
            let text = Bounded::of(cause);
            is_cut |= text.is_cut;
            let text = without_secrets(&text);
            if whole.is_empty() {
                whole = text;
            } else if !text.is_empty() && !has_words(&whole, &text) {
                whole.push_str(": ");
                whole.push_str(&text);
            }
        }
        (whole, is_cut)
    }
}

/// The most errors of a chain that are shown.
const MAX_CAUSES: usize = 32;

/// Returns `true` if `text` contains `words`, and no part of a longer word.
fn has_words(text: &str, words: &str) -> bool {
    let part_of_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    text.match_indices(words).any(|(at, _)| {
        let before = &text[..at];
        let after = &text[at + words.len()..];
        !part_of_word(before.chars().next_back()) && !part_of_word(after.chars().next())
    })
}

/// Returns the name of an error's type. In a box that is the first word of its `Debug` output; an
/// [`io::Error`] and an [`Error`](crate::Error) of ours are looked into.
pub(crate) fn type_of<'a>(
    type_name: &'a str,
    error: Option<&(dyn StdError + 'static)>,
) -> Cow<'a, str> {
    let boxed = error.filter(|_| type_name.contains("dyn "));
    let Some(error) = boxed else { return Cow::Borrowed(type_name) };
    let words = chain(error).take(MAX_CAUSES).filter_map(|cause| match cause.downcast_ref() {
        Some(error) if io::Error::get_ref(error).is_some() => None,
        Some(_) => Some("std::io::Error".to_owned()),
        None => first_word(&Bounded::of(format_args!("{cause:?}")).text),
    });
    let mut named = words.filter(|word| word != "Service");
    named.next().map_or(Cow::Borrowed(type_name), Cow::Owned)
}

/// Returns the name that a derived `Debug` begins with: of a type, or of a variant.
fn first_word(debug: &str) -> Option<String> {
    let end = debug.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(debug.len());
    let (word, rest) = debug.split_at(end);
    let is_derived = rest.is_empty() || rest.starts_with(['(', '{']) || rest.starts_with(" {");
    ((1..=64).contains(&end) && is_derived).then(|| word.to_owned())
}

impl fmt::Display for ErrorText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, is_cut) = self.whole();
        f.write_str(&shortened(&text, is_cut))
    }
}

impl fmt::Debug for ErrorText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string(), f)
    }
}

/// A text that stops growing: what a foreign `Display` writes has no bound of its own.
#[derive(Default)]
struct Bounded {
    text: String,
    is_cut: bool,
}

impl Bounded {
    /// Enough for a URL that is shortened afterwards.
    const MAX_BYTES: usize = 8 * ErrorText::MAX_BYTES;

    fn of(text: impl fmt::Display) -> Bounded {
        let mut bounded = Bounded::default();
        bounded.append(format_args!("{text}"));
        bounded
    }

    fn append(&mut self, text: fmt::Arguments<'_>) {
        // An error means that the buffer is full, or that a foreign `Display` failed: what there is
        // is kept.
        let _ = self.write_fmt(text);
    }
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = Self::MAX_BYTES.saturating_sub(self.text.len());
        let end = char_boundary(text, room);
        self.text.push_str(&text[..end]);
        self.is_cut |= end < text.len();
        if self.is_cut { Err(fmt::Error) } else { Ok(()) }
    }
}

/// Removes what can be a secret from every URL: user info, query and fragment. Control characters,
/// which could forge a line of a log, become spaces.
///
/// A URL ends at white space, and nowhere else: brackets and quotes are allowed in user info and
/// queries.
fn without_secrets(bounded: &Bounded) -> String {
    let words = bounded.text.split_inclusive(|c: char| c.is_whitespace() || c.is_control());
    let mut cleaned = String::with_capacity(bounded.text.len());
    for word in words {
        let end = word.trim_end_matches(|c: char| c.is_whitespace() || c.is_control()).len();
        let (word, space) = word.split_at(end);
        // The last word of a text that was cut may lack the `@` that ends its user info.
        let is_cut = bounded.is_cut && space.is_empty();
        if !(is_cut && authority_at(word).is_some()) {
            cleaned.push_str(&without_query(&without_user_info(word)));
        }
        cleaned.push_str(if space.is_empty() { "" } else { " " });
    }
    cleaned
}

/// Returns where an authority begins: after `//`, as JSON writes it too.
fn authority_at(word: &str) -> Option<usize> {
    let plain = word.find("//").map(|at| at + 2);
    let escaped = word.find("\\/\\/").map(|at| at + 4);
    plain.into_iter().chain(escaped).min()
}

fn without_user_info(word: &str) -> String {
    let mut cleaned = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = authority_at(rest) {
        let (before, authority) = rest.split_at(at);
        cleaned.push_str(before);
        // Up to the last `@` before the path: a password may contain one.
        let end = authority.find(['/', '\\', '?', '#']).unwrap_or(authority.len());
        let host = authority[..end].rfind('@').map_or(0, |at| at + 1);
        rest = &authority[host..];
        if rest.is_empty() || authority_at(rest) == Some(0) {
            break;
        }
    }
    cleaned.push_str(rest);
    cleaned
}

/// Cuts a word at its query, and at the fragment of a URL. Closing marks at its end stay.
fn without_query(word: &str) -> String {
    let is_url = authority_at(word).is_some();
    let Some(at) = word.find(|c| c == '?' || is_url && c == '#') else { return word.to_owned() };
    let rest = &word[at + 1..];
    let marks = &rest[rest.trim_end_matches(is_mark).len()..];
    // A question, and no query.
    if marks.len() == rest.len() {
        return word.to_owned();
    }
    [&word[..at], marks].concat()
}

fn is_mark(c: char) -> bool {
    matches!(c, ')' | ']' | '}' | '>' | '"' | '\'' | '`' | '.' | ',' | ';' | ':' | '!')
}

/// Cuts `text` to the bytes that are shown, and marks a text that was cut, here or before.
fn shortened(text: &str, is_cut: bool) -> String {
    if text.len() <= ErrorText::MAX_BYTES && !is_cut {
        return text.to_owned();
    }
    let room = ErrorText::MAX_BYTES - '…'.len_utf8();
    format!("{}…", &text[..char_boundary(text, room)])
}

/// Returns the last place in `text` at which it can be cut into at most `room` bytes.
fn char_boundary(text: &str, room: usize) -> usize {
    let places = (0..=room.min(text.len())).rev();
    places.into_iter().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Error;

    fn shown(text: &str) -> String {
        ErrorText::of(&io::Error::other(text.to_owned())).to_string()
    }

    #[derive(Debug)]
    struct Outer(&'static str, io::Error);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl StdError for Outer {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&self.1)
        }
    }

    #[test]
    fn each_text_of_the_chain_is_shown_once() {
        let inner = || io::Error::other("reset by peer");
        let outer = |text| ErrorText::of(&Outer(text, inner())).to_string();
        assert_eq!(outer("no odds"), "no odds: reset by peer");
        assert_eq!(outer("no odds: reset by peer"), "no odds: reset by peer");
        assert_eq!(
            ErrorText::of(&Outer("status 500", io::Error::other("5"))).to_string(),
            "status 500: 5"
        );
        let url = |user| format!("https://{user}@h/a");
        let same = Outer("https://me@h/a", io::Error::other(url("you")));
        assert_eq!(ErrorText::of(&same).to_string(), "https://h/a");
        assert_eq!(outer(""), "reset by peer");
        let wrapped = Error::Service(inner());
        assert_eq!(ErrorText::of(&wrapped).to_string(), "reset by peer");
        assert_eq!(ErrorText::of_text(&"in plain text").to_string(), "in plain text");
    }

    #[test]
    fn a_boxed_error_is_named_by_its_debug_output() {
        let error = Outer("no odds", io::Error::other("down"));
        assert_eq!(type_of("dyn core::error::Error", Some(&error)), "Outer");
        assert_eq!(type_of("my::Error", Some(&error)), "my::Error");
        let boxed =
            |error: &(dyn StdError + 'static)| type_of("dyn Error", Some(error)).into_owned();
        assert_eq!(boxed(&io::Error::other(Outer("x", io::Error::other("y")))), "Outer");
        assert_eq!(boxed(&Error::Service(Outer("x", io::Error::other("y")))), "Outer");
        assert_eq!(boxed(&io::Error::from_raw_os_error(24)), "std::io::Error");
        assert_eq!(boxed(&io::Error::other("a message")), "dyn Error");
        assert_eq!(type_of("dyn core::error::Error", None), "dyn core::error::Error");
    }

    #[test]
    fn urls_lose_what_can_be_a_secret() {
        for (text, expected) in [
            ("error for url (https://a.b/c?key=s)", "error for url (https://a.b/c)"),
            ("postgres://u:p@db:5432/x", "postgres://db:5432/x"),
            ("https://u:p@ss@h#f next", "https://h next"),
            ("https://h?a=b&c", "https://h"),
            ("GET /v4/odds?apiKey=s: 500", "GET /v4/odds: 500"),
            ("(https://a.example/odds?filter=(a)&apiKey=s)", "(https://a.example/odds)"),
            ("https://h/p?x=it's&apiKey=s", "https://h/p"),
            ("https://me:pass(s@h/ https://p'q@h", "https://h/ https://h"),
            ("http://proxy/https://me:s@h/x", "http://proxy/https://h/x"),
            ("https://h/a,https://u:s@h2/", "https://h/a,https://h2/"),
            ("https://h/p?q=<s>&k=s //me:s@host/x", "https://h/p //host/x"),
            (r"https:\/\/me:s@host\/x?s", r"https:\/\/host\/x"),
            ("host:443?apiKey=s odds?apiKey=s ?apiKey=s", "host:443 odds "),
            ("/v4/odds?s, then", "/v4/odds, then"),
            ("one\nline \u{1b}[31mred", "one line  [31mred"),
            ("two https://x@h/ \"https://y@h/?q\" end", "two https://h/ \"https://h/\" end"),
            ("is that so? a = b", "is that so? a = b"),
            ("redis://:p@h then /p?k=v 'q'", "redis://h then /p 'q'"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn a_long_text_is_cut_and_marked() {
        let long = shown(&"ä".repeat(100_000));
        assert!(long.len() <= ErrorText::MAX_BYTES && long.ends_with('…'), "{}", long.len());
        let secret = format!("{} https://me:hunter2@h/", "x".repeat(Bounded::MAX_BYTES - 15));
        assert!(!shown(&secret).contains("hunter"));
        let exact = "x".repeat(ErrorText::MAX_BYTES);
        assert_eq!(shown(&exact), exact);
    }

    proptest! {
        #[test]
        fn no_secret_of_a_url_is_shown_and_no_bound_passed(
            before in "[ -~äß]{0,900}",
            marks in "[-._~!$&'()*+,;=:%a-z]{0,9}",
            path in "(/[a-z('),]{0,5}){0,3}",
            after in "[ (\"]?[ -~]{0,700}",
        ) {
            let url = format!("https://me{marks}:{marks}S3CR3T@host{path}?k{marks}=S3CR3T{marks}S3CR3T#S3CR3T");
            let text = shown(&format!("{before} {url} {after}"));
            prop_assert!(text.len() <= ErrorText::MAX_BYTES);
            prop_assert!(!text.contains("S3CR3T"), "{text}");
        }
    }
}
