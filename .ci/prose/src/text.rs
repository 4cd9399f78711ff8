//! Splits Rust and Markdown files into blocks of prose, and counts words in them.

/// Consecutive lines of prose: a doc comment or a Markdown paragraph.
pub struct Block {
    /// Number of the first line, from 1.
    pub line: usize,
    /// Text with each span of code and each link replaced by `x`.
    pub prose: String,
}

/// Returns the text of a doc comment line, or `None` for any other line.
pub fn doc_text(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("//")?;
    let text = rest.strip_prefix(['/', '!'])?;
    if text.starts_with('/') {
        return None;
    }
    Some(text.strip_prefix(char::is_whitespace).unwrap_or(text))
}

/// Returns the blocks of a file; `path` decides between Rust and Markdown.
pub fn blocks(path: &str, text: &str) -> Vec<Block> {
    let lines = if path.ends_with(".rs") { rust(text) } else { markdown(text) };
    let blocks = lines.into_iter().filter_map(|lines| {
        let (line, _) = *lines.first()?;
        let joined: Vec<&str> = lines.iter().map(|(_, text)| *text).collect();
        let prose = without_code(&joined.join(" ")).trim().to_owned();
        (!prose.is_empty()).then_some(Block { line, prose })
    });
    blocks.collect()
}

type Lines<'a> = Vec<(usize, &'a str)>;

fn is_table_or_title(text: &str) -> bool {
    text.trim_start().starts_with(['|', '#'])
}

fn rust(text: &str) -> Vec<Lines<'_>> {
    let mut blocks = vec![Lines::new()];
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        let Some(words) = doc_text(line) else {
            blocks.push(Lines::new());
            fenced = false;
            continue;
        };
        if words.trim().starts_with("```") {
            fenced = !fenced;
        } else if !fenced && !is_table_or_title(words) {
            push(&mut blocks, index + 1, words);
        }
    }
    blocks
}

fn markdown(text: &str) -> Vec<Lines<'_>> {
    let mut blocks = vec![Lines::new()];
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.starts_with("```") {
            fenced = !fenced;
        } else if fenced || is_table_or_title(line) {
            continue;
        } else if trimmed.is_empty() {
            blocks.push(Lines::new());
        } else {
            push(&mut blocks, index + 1, trimmed.trim_start_matches(['-', '*', '>', ' ']));
        }
    }
    blocks
}

fn push<'a>(blocks: &mut [Lines<'a>], line: usize, text: &'a str) {
    if let Some(block) = blocks.last_mut() {
        block.push((line, text));
    }
}

/// Returns `text` with each span of code and each link replaced by ` x `.
pub fn without_code(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        if let Some(length) = span(rest) {
            kept.push_str(" x ");
            rest = &rest[length..];
        } else {
            kept.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    kept
}

/// Returns the length of the code span or link at the beginning of `text`.
fn span(text: &str) -> Option<usize> {
    if let Some(code) = text.strip_prefix('`') {
        return code.find('`').map(|end| end + 2);
    }
    let end = text.strip_prefix('[')?.find(']')? + 2;
    let target = text[end..].strip_prefix('(')?;
    target.find(')').map(|close| end + close + 2)
}

/// Returns the number of words: runs of ASCII letters and apostrophes.
pub fn words(prose: &str) -> usize {
    let runs = prose.split(|c: char| !c.is_ascii_alphabetic() && c != '\'');
    runs.filter(|run| !run.is_empty()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doc_comment_is_one_block_without_its_code() {
        let text =
            "/// Returns `a`.\n/// ```\n/// It\n/// ```\nfn f() {}\n//// no\n// no\n//! Module.";
        let blocks = blocks("a.rs", text);
        let found: Vec<_> = blocks.iter().map(|b| (b.line, b.prose.as_str())).collect();
        assert_eq!(found, [(1, "Returns  x ."), (8, "Module.")]);
    }

    #[test]
    fn a_markdown_paragraph_is_one_block_without_tables_and_titles() {
        let text = "# It\n\n- A [link](b.md) and\n| so |\nmore\n\n```\nIt\n```\nLast";
        let blocks = blocks("a.md", text);
        let found: Vec<_> = blocks.iter().map(|b| (b.line, b.prose.as_str())).collect();
        assert_eq!(found, [(3, "A  x  and more"), (10, "Last")]);
    }

    #[test]
    fn words_are_runs_of_letters() {
        assert_eq!(words("It's 3 so-called words"), 4);
    }
}
