//! Lines of prose that are too long to read.

use crate::blocks::doc_comment;
use crate::files::Text;

/// The most characters of a line of prose.
const MOST: usize = 100;

/// Returns the comments of a source file that are too long. Documents are wrapped by their renderer, and lines that hold a
/// link or code cannot be broken everywhere.
pub fn too_long(text: &Text) -> Vec<String> {
    if !text.is_rust() {
        return Vec::new();
    }
    let mut is_code = false;
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.content.lines()) {
        let words = doc_comment(line);
        if let Some(words) = words
            && words.trim().starts_with("```")
        {
            is_code = !is_code;
        }
        is_code &= words.is_some();
        let is_prose = !is_code
            && line.trim_start().starts_with("//")
            && !words.is_some_and(|words| words.trim_start().starts_with(['|', '[']))
            && !line.contains("http");
        let length = line.chars().count();
        if is_prose && length > MOST {
            found.push(format!("{}:{number}: {length} characters, at most {MOST}", text.path));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_lines_of_prose_are_found() {
        let long = "x ".repeat(60);
        let content = format!("// short\n// {long}\n/// | {long}\nlet s = \"{long}\";\n");
        let text = Text { path: "a.rs".to_owned(), content };
        assert_eq!(too_long(&text), ["a.rs:2: 123 characters, at most 100"]);
    }
}
