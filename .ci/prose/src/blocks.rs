//! Blocks of prose: the doc comment of an item, the paragraph of a document.

use crate::files::Text;

/// A block, with the number of its first line.
pub struct Block {
    /// The number of the first line, from 1.
    pub line: usize,
    /// The words, without code and links.
    pub prose: String,
}

/// Returns the blocks of a text, without code, tables and headings.
pub fn blocks(text: &Text) -> Vec<Block> {
    let lines =
        if text.is_rust() { rust_lines(&text.content) } else { markdown_lines(&text.content) };
    let mut blocks = Vec::new();
    let mut block: Option<(usize, Vec<&str>)> = None;
    for (number, line) in lines {
        match line {
            Line::Prose(words) => block.get_or_insert((number, Vec::new())).1.push(words),
            Line::Other => {}
            Line::End => blocks.extend(block.take()),
        }
    }
    blocks.extend(block);
    blocks
        .into_iter()
        .map(|(line, words)| Block { line, prose: without_code(&words.join(" ")) })
        .filter(|block| !block.prose.is_empty())
        .collect()
}

enum Line<'t> {
    Prose(&'t str),
    /// Part of the block, and no prose: code, a row of a table, a heading.
    Other,
    /// The end of the block.
    End,
}

fn rust_lines(content: &str) -> Vec<(usize, Line<'_>)> {
    let mut is_code = false;
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(content.lines()) {
        let Some(words) = doc_comment(line) else {
            is_code = false;
            lines.push((number, Line::End));
            continue;
        };
        if words.trim().starts_with("```") {
            is_code = !is_code;
            lines.push((number, Line::Other));
        } else if is_code || words.trim_start().starts_with(['|', '#']) {
            lines.push((number, Line::Other));
        } else {
            lines.push((number, Line::Prose(words)));
        }
    }
    lines
}

/// Returns the words of a line of a doc comment.
pub fn doc_comment(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let words = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))?;
    (!words.starts_with('/')).then(|| words.strip_prefix(' ').unwrap_or(words))
}

fn markdown_lines(content: &str) -> Vec<(usize, Line<'_>)> {
    let mut is_code = false;
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(content.lines()) {
        if line.trim().starts_with("```") {
            is_code = !is_code;
            lines.push((number, Line::Other));
        } else if is_code || line.trim_start().starts_with(['|', '#']) {
            lines.push((number, Line::Other));
        } else if line.trim().is_empty() {
            lines.push((number, Line::End));
        } else {
            let words = line.trim().trim_start_matches(['-', '*', '>', ' ']);
            lines.push((number, Line::Prose(words)));
        }
    }
    lines
}

/// Replaces inline code and links by a letter.
fn without_code(prose: &str) -> String {
    let mut plain = String::with_capacity(prose.len());
    let mut rest = prose;
    while let Some(at) = rest.find(['`', '[']) {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = if rest.starts_with('`') { code_end(rest) } else { link_end(rest) };
        if let Some(end) = end {
            plain.push_str(" x ");
            rest = &rest[end..];
        } else {
            plain.push_str(&rest[..1]);
            rest = &rest[1..];
        }
    }
    plain.push_str(rest);
    plain.trim().to_owned()
}

fn code_end(text: &str) -> Option<usize> {
    text[1..].find('`').map(|at| at + 2)
}

fn link_end(text: &str) -> Option<usize> {
    let text_end = text.find(']')? + 1;
    let address = text[text_end..].strip_prefix('(')?;
    Some(text_end + 1 + address.find(')')? + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prose(path: &str, content: &str) -> Vec<String> {
        let text = Text { path: path.to_owned(), content: content.to_owned() };
        blocks(&text).into_iter().map(|block| block.prose).collect()
    }

    #[test]
    fn comments_are_blocks_without_their_code() {
        let source = "/// Returns `x`, see [the page](y.md).\n///\n/// ```\n/// code();\n/// ```\nfn f() {}\n//// no\n// no\n//! A module.";
        assert_eq!(prose("a.rs", source), ["Returns  x , see  x .", "A module."]);
    }

    #[test]
    fn paragraphs_are_blocks_without_tables_and_headings() {
        let page = "# Title\nFirst\nline.\n\n| a | b |\n\n- Item\n```sh\ncode\n```\n";
        assert_eq!(prose("a.md", page), ["First line.", "Item"]);
    }
}
