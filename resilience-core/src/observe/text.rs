//! The text of an error, as events and logs carry it.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt::{self, Write as _};

use crate::rejection::chain;

/// The text of an error and of everything that caused it.
///
/// Shown by `Display`: the texts of the chain of sources, outermost first, joined by `: `; a text that
/// another one already contains is left out. At most [`MAX_BYTES`](ErrorText::MAX_BYTES) are shown, and URLs
/// without their user info and query, which can hold secrets. Nothing is formatted before it is shown.
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

    fn whole(&self) -> Bounded {
        let error = match self.0 {
            Source::Error(error) => error,
            Source::Text(text) => return Bounded::of(text),
        };
        let mut whole = Bounded::default();
        for cause in chain(error) {
            let text = Bounded::of(cause);
            if whole.text.is_empty() {
                whole = text;
            } else if !text.text.is_empty() && !whole.text.contains(&text.text) {
                whole.append(format_args!(": {}", text.text));
                whole.is_cut |= text.is_cut;
            }
        }
        whole
    }
}

/// Returns the name of an error's type: the first word of its `Debug` output where `type_name` is that of a box.
pub(crate) fn type_of<'a>(
    type_name: &'a str,
    error: Option<&(dyn StdError + 'static)>,
) -> Cow<'a, str> {
    let boxed = error.filter(|_| type_name.contains("dyn "));
    let debug = boxed.map(|error| Bounded::of(format_args!("{error:?}")).text);
    let word = debug.and_then(|text| {
        let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
        (1..=64).contains(&end).then(|| text[..end].to_owned())
    });
    word.map_or(Cow::Borrowed(type_name), Cow::Owned)
}

impl fmt::Display for ErrorText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.whole();
        f.write_str(&shortened(&without_secrets(&whole), whole.is_cut))
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
        // An error means that the buffer is full, or that a foreign `Display` failed: what there is is kept.
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

/// Removes user info and query from every URL.
fn without_secrets(whole: &Bounded) -> String {
    let start_of_last = whole
        .text
        .char_indices()
        .rfind(|(_, c)| c.is_whitespace())
        .map_or(0, |(at, space)| at + space.len_utf8());
    let (kept, last) = whole.text.split_at(start_of_last);
    // Of a URL that was cut, the `@` that ends the user info may be missing.
    let text = if whole.is_cut && last.contains("://") { kept } else { &whole.text };
    let mut cleaned = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(found) = rest.find("://") {
        let (before, url) = rest.split_at(found + 3);
        let url_end = url.find(ends_url).unwrap_or(url.len());
        let (url, after) = url.split_at(url_end);
        cleaned.push_str(&without_query_of_paths(before));
        let path_at = url.find(['/', '?', '#']).unwrap_or(url.len());
        let (authority, path) = url.split_at(path_at);
        cleaned.push_str(authority.rsplit_once('@').map_or(authority, |(_, host)| host));
        cleaned.push_str(path.split(['?', '#']).next().unwrap_or_default());
        rest = after;
    }
    cleaned.push_str(&without_query_of_paths(rest));
    cleaned
}

/// Removes the query of every path that stands without scheme and host (`/v4/odds?key=…`).
fn without_query_of_paths(text: &str) -> String {
    let words = text.split_inclusive(ends_url).map(|word| {
        let (word, end) = match word.char_indices().next_back() {
            Some((at, last)) if ends_url(last) => word.split_at(at),
            _ => (word, ""),
        };
        let query =
            word.find('?').filter(|&at| word[..at].contains('/') && word[at..].contains('='));
        [&word[..query.unwrap_or(word.len())], end].concat()
    });
    words.collect()
}

/// Returns `true` for a character that no URL contains as it is, and texts put around one.
fn ends_url(character: char) -> bool {
    character.is_whitespace() || matches!(character, '"' | '\'' | '`' | '<' | '>' | '(' | ')')
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
    use std::io;

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
        assert_eq!(type_of("dyn core::error::Error", None), "dyn core::error::Error");
    }

    #[test]
    fn urls_lose_what_can_be_a_secret() {
        for (text, expected) in [
            ("error for url (https://a.b/c?key=s)", "error for url (https://a.b/c)"),
            ("postgres://u:p@db:5432/x", "postgres://db:5432/x"),
            ("https://u:p@ss@h#f next", "https://h next"),
            ("https://h?a=b&c", "https://h"),
            ("GET /v4/odds?apiKey=s: 500", "GET /v4/odds 500"),
            ("two https://x@h/ \"https://y@h/?q\" end", "two https://h/ \"https://h/\" end"),
            ("is that so? a = b", "is that so? a = b"),
            ("redis://:p@h then /p?k=v 'q'", "redis://h then /p 'q'"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
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
            before in "[ -~äß]{0,900}", path in "(/[a-z]{0,5}){0,3}", after in "[ (\"]?[ -~]{0,700}",
        ) {
            let url = format!("https://me:S3CR3T@host{path}?key=S3CR3T#S3CR3T");
            let text = shown(&format!("{before} {url} {after}"));
            prop_assert!(text.len() <= ErrorText::MAX_BYTES);
            prop_assert!(!text.contains("S3CR3T"), "{text}");
        }
    }
}
