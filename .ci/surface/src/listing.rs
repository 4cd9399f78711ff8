//! A crate's public items, a line each.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::Path;

use public_api::PublicItem;
use rustdoc_types::{Attribute, Crate, Id, ItemEnum, Visibility};

use crate::Result;

/// The public items of a crate, with what is counted about them.
pub struct Listing {
    package: &'static str,
    /// Public structs, each counted once, including those that only a private module's path names.
    pub structs: usize,
    /// The paths of items that have another path already.
    pub second_paths: Vec<String>,
    /// Foreign crates with types in the listing, each with the top-level modules that name them.
    pub foreign: BTreeMap<String, BTreeSet<String>>,
    /// Derived traits of the last type.
    derived: BTreeSet<String>,
    lines: String,
}

impl Listing {
    /// Reads the listing of `package` out of rustdoc's JSON.
    pub fn read(json: &Path, package: &'static str) -> Result<Self> {
        let api = public_api::Builder::from_rustdoc_json(json)
            .omit_auto_trait_impls(true)
            .omit_blanket_impls(true)
            .include_function_parameter_names(true)
            .build()?;
        let index: Crate = serde_json::from_str(&std::fs::read_to_string(json)?)?;
        let own = package.replace('-', "_");
        let structs = index.index.values().filter(|item| {
            item.crate_id == 0
                && matches!(item.inner, ItemEnum::Struct(_))
                && item.visibility == Visibility::Public
        });
        let mut listing = Self {
            package,
            structs: structs.count(),
            second_paths: Vec::new(),
            foreign: BTreeMap::new(),
            derived: BTreeSet::new(),
            lines: String::new(),
        };
        // The path of a hidden type begins with a module of its source, which is no crate.
        let externals: BTreeSet<&str> =
            index.external_crates.values().map(|external| external.name.as_str()).collect();
        let (mut seen, mut module) = (HashMap::new(), String::new());
        for item in api.items() {
            let Some(shape) = Shape::of(item, &index) else { continue };
            let text = item.to_string();
            // Bounds that pin-project-lite writes, on types that no one can name.
            if text.contains("::__private::") {
                continue;
            }
            if let Some(derived) = derived(item, &index) {
                listing.derived.insert(derived.to_owned());
                continue;
            }
            module = module_of(&text, &own).unwrap_or(module);
            for krate in crates(&text).filter(|krate| externals.contains(krate)) {
                listing.foreign.entry(krate.to_owned()).or_default().insert(module.clone());
            }
            if shape != Shape::Member && seen.insert(item.id(), ()).is_some() {
                listing.second_paths.push(text.clone());
            }
            listing.push(shape, &shorten(&without_parent(item, &text, &index), &own));
        }
        listing.push_derived();
        Ok(listing)
    }

    fn push(&mut self, shape: Shape, line: &str) {
        if shape != Shape::Member {
            self.push_derived();
        }
        self.lines.push_str(match shape {
            Shape::Headed => "\n",
            Shape::Plain => "",
            Shape::Member => "    ",
        });
        self.lines.push_str(line);
        self.lines.push('\n');
    }

    fn push_derived(&mut self) {
        let mut derived = std::mem::take(&mut self.derived);
        // The compiler's own companion of a derived `PartialEq`.
        derived.remove("StructuralPartialEq");
        if !derived.is_empty() {
            let derived: Vec<String> = derived.into_iter().collect();
            let _ = writeln!(self.lines, "    derives {}", derived.join(", "));
        }
    }

    /// Returns the committed text.
    pub fn text(&self) -> String {
        let mut text = format!(
            "# The public API of {}, all features. `just api-bless` rewrites this file.\n\
             # Left out: auto traits, blanket implementations, functions that a trait prescribes.\n\
             # `crate::` is {}; paths of std are shortened to the last word.\n\
             #\n# Structs: {}. Items with a second path: {}.\n# Types of other crates, and the modules that name them:\n",
            self.package,
            self.package.replace('-', "_"),
            self.structs,
            self.second_paths.len()
        );
        for (krate, modules) in &self.foreign {
            let modules: Vec<&str> = modules.iter().map(String::as_str).collect();
            let _ = writeln!(text, "#   {krate}: {}", modules.join(", "));
        }
        text + &self.lines
    }
}

/// The layout of an item in the text.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    /// After an empty line: modules and types.
    Headed,
    Plain,
    /// Indented, below the type or trait of the member.
    Member,
}

impl Shape {
    /// Returns `None` for a function that the trait of its implementation prescribes.
    fn of(item: &PublicItem, index: &Crate) -> Option<Self> {
        let parent = item.parent_id().and_then(|id| inner(index, id));
        Some(match (inner(index, item.id())?, parent) {
            (ItemEnum::Function(_), Some(ItemEnum::Impl(block))) if block.trait_.is_some() => {
                return None;
            }
            (ItemEnum::Function(_), Some(ItemEnum::Impl(_) | ItemEnum::Trait(_)))
            | (
                ItemEnum::StructField(_)
                | ItemEnum::Variant(_)
                | ItemEnum::AssocType { .. }
                | ItemEnum::AssocConst { .. }
                | ItemEnum::Impl(_),
                _,
            ) => Self::Member,
            (
                ItemEnum::Module(_)
                | ItemEnum::Struct(_)
                | ItemEnum::Enum(_)
                | ItemEnum::Union(_)
                | ItemEnum::Trait(_),
                _,
            ) => Self::Headed,
            _ => Self::Plain,
        })
    }
}

fn inner(index: &Crate, id: Id) -> Option<&ItemEnum> {
    index.index.get(&id).map(|item| &item.inner)
}

/// Returns the trait of `item` if it is a derived implementation.
fn derived<'a>(item: &PublicItem, index: &'a Crate) -> Option<&'a str> {
    let item = index.index.get(&item.id())?;
    let ItemEnum::Impl(block) = &item.inner else { return None };
    let path = &block.trait_.as_ref()?.path;
    // `StructuralPartialEq` has no attribute.
    (item.attrs.contains(&Attribute::AutomaticallyDerived) || path.ends_with("StructuralPartialEq"))
        .then(|| path.rsplit("::").next().unwrap_or(path))
}

/// Returns the line of a member without the path of its type, below which it stands.
fn without_parent(item: &PublicItem, text: &str, index: &Crate) -> String {
    let named = index.index.get(&item.id()).and_then(|item| match item.inner {
        ItemEnum::Impl(_) => None,
        _ => item.name.as_deref(),
    });
    let (Some(name), Some(Shape::Member)) = (named, Shape::of(item, index)) else {
        return text.to_owned();
    };
    let qualifiers = ["#[non_exhaustive]", "pub", "const", "async", "unsafe", "fn", "type"];
    let mut start = 0;
    while let Some((word, _)) = text[start..].split_once(' ') {
        if !qualifiers.contains(&word) {
            break;
        }
        start += word.len() + 1;
    }
    let own_path = format!("::{name}");
    let end = text.match_indices(&own_path).map(|(at, _)| at).find(|at| {
        let after = text[at + own_path.len()..].chars().next();
        *at > start && !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
    });
    end.map_or_else(|| text.to_owned(), |at| format!("{}{}", &text[..start], &text[at + 2..]))
}

/// Returns the ranges of the paths (`a::b::C`) in `text`.
fn paths(text: &str) -> Vec<(usize, usize)> {
    let in_path = |c: char| c.is_alphanumeric() || c == '_';
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(begin) = text[at..].find(in_path).map(|offset| at + offset) {
        let mut end = begin;
        loop {
            end += text[end..].find(|c| !in_path(c)).unwrap_or(text.len() - end);
            let more = text[end..].strip_prefix("::").is_some_and(|rest| rest.starts_with(in_path));
            if !more {
                break;
            }
            end += 2;
        }
        // A path after `>::` is an associated item.
        if text[begin..end].contains("::") && !text[..begin].ends_with("::") {
            found.push((begin, end));
        }
        at = end;
    }
    found
}

const STD: [&str; 3] = ["core", "alloc", "std"];

/// Returns the crates other than std that the paths in `text` begin with.
fn crates(text: &str) -> impl Iterator<Item = &str> {
    paths(text).into_iter().filter_map(|(begin, end)| {
        let root = text[begin..end].split("::").next()?;
        // Primitives (`u64::MAX`), type parameters (`Self::Error`).
        let krate = root.starts_with(char::is_lowercase) && !text[..begin].ends_with('\'');
        (krate && !STD.contains(&root) && !is_primitive(root)).then_some(root)
    })
}

fn is_primitive(name: &str) -> bool {
    let number = name
        .strip_prefix(['i', 'u', 'f'])
        .is_some_and(|bits| bits == "size" || bits.parse::<u8>().is_ok());
    number || ["bool", "char", "str"].contains(&name)
}

/// Returns the top-level module of the item that `text` shows; `crate` for the root. `None` if it
/// is foreign.
fn module_of(text: &str, own: &str) -> Option<String> {
    let prefix = format!("{own}::");
    // An implementation belongs to its type, not to its trait.
    let text = text.find(&format!(" for {prefix}")).map_or(text, |at| &text[at..]);
    let rest =
        paths(text).into_iter().find_map(|(begin, end)| text[begin..end].strip_prefix(&prefix))?;
    let first = rest.split("::").next()?;
    Some(if first.starts_with(char::is_lowercase) { first } else { "crate" }.to_owned())
}

/// Returns `text` with `crate` for the crate's name, and std's paths down to their last word.
fn shorten(text: &str, own: &str) -> String {
    if text.strip_prefix("pub mod ") == Some(own) {
        return "pub mod crate".to_owned();
    }
    let (mut short, mut at) = (String::new(), 0);
    for (begin, end) in paths(text) {
        short.push_str(&text[at..begin]);
        let words: Vec<&str> = text[begin..end].split("::").collect();
        match words.as_slice() {
            [root, module, .., last] if STD.contains(root) => {
                // `fmt::Result` and `io::Error` are not `Result` and `Error`.
                if ["Result", "Error"].contains(last) && *module != "result" {
                    short.push_str(module);
                    short.push_str("::");
                }
                short.push_str(last);
            }
            [root, rest @ ..] if *root == own => {
                short.push_str("crate::");
                short.push_str(&rest.join("::"));
            }
            _ => short.push_str(&text[begin..end]),
        }
        at = end;
    }
    short + &text[at..]
}
