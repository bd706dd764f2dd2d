//! Follows the references of the documents into the repository.
//!
//! The documents of [`followed`] name files and functions between backticks, in one strict notation: a path from the
//! root of the repository, and optionally the name of something that is declared in that file, as in
//! `src/app.rs::serve` or `src/node.rs::Node::domain`. A part in angle brackets stands for any name; what is before it
//! has to exist. Words within fenced blocks are followed too.

// The helpers of a test are tests: clippy excuses only the functions that are marked.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

/// What begins with one of these is a path of this repository.
const ROOTS: &[&str] = &["src/", "tests/", "benches/", "loadtest/", "config/", "examples/", "grafana/", "docs/"];

/// What a name can be declared with.
const KEYWORDS: &[&str] = &["fn", "struct", "enum", "trait", "type", "mod", "const", "static", "macro_rules!"];

/// What a name may be declared with in front of its keyword, apart from `pub` and `pub(…)`.
const MODIFIERS: &[&str] = &["async", "const", "unsafe", "default", "extern"];

/// A reference of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reference {
    line: usize,
    path: String,
    /// What is declared in the file: one name, or a type and its function.
    names: Vec<String>,
}

/// The texts between backticks, with the numbers of their lines; within a fenced block each line is one.
fn quoted(document: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in (1..).zip(document.lines()) {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            found.push((number, line.to_owned()));
        } else {
            // What is between an odd and an even backtick is quoted; a span does not go over the end of a line.
            found.extend(line.split('`').skip(1).step_by(2).map(|text| (number, text.to_owned())));
        }
    }
    found
}

/// The references of a document.
fn references(document: &str) -> Vec<Reference> {
    let mut found = Vec::new();
    for (line, text) in quoted(document) {
        for word in text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '(' | ')' | ',' | ';' | '│')) {
            // An option may be in front of a path: `--config=config/provbroker.toml`.
            let word = word.rsplit_once('=').map_or(word, |(_, value)| value);
            // A heading of a document is the matter of another test.
            let word = word.split_once('#').map_or(word, |(path, _)| path);
            let word = word.trim_end_matches(['.', ':']);
            if !ROOTS.iter().any(|root| word.starts_with(root)) {
                continue;
            }
            let mut parts = word.split("::");
            let path = parts.next().unwrap_or_default().to_owned();
            found.push(Reference { line, path, names: parts.map(str::to_owned).collect() });
        }
    }
    found
}

/// Whether the source declares this name.
fn declares(source: &str, name: &str) -> bool {
    source.lines().any(|line| declared(line) == Some(name))
}

/// The name that a line of source declares.
fn declared(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let modifier = word == "pub" || word.starts_with("pub(") || MODIFIERS.contains(&word) || word.starts_with('"');
        // `const` is a keyword of its own, unless it stands in front of another one.
        let next_is_keyword = words.peek().is_some_and(|next| KEYWORDS.contains(next) || MODIFIERS.contains(next));
        if modifier && (word != "const" || next_is_keyword) {
            continue;
        }
        if !KEYWORDS.contains(&word) {
            return None;
        }
        let rest = words.next().filter(|next| *next != "mut").or_else(|| words.next())?;
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        return rest.get(..end).filter(|name| !name.is_empty());
    }
    None
}

/// What is wrong with a reference; `None` if it leads somewhere.
fn fault(root: &Path, reference: &Reference) -> Option<String> {
    let Reference { line, path, names } = reference;
    let at = |what: &str| Some(format!("line {line}: {path}: {what}"));
    if path.contains(['*', '{', '…']) || path.contains("..") {
        return at("one path of one file, without patterns");
    }
    let known =
        path.split_once('<').map_or(path.as_str(), |(known, _)| known.rsplit_once('/').map_or("", |(to, _)| to));
    let file = root.join(known);
    if known.is_empty() || !file.exists() {
        return at("does not exist");
    }
    if names.is_empty() {
        return None;
    }
    if !file.is_file() {
        return at("a name is declared in a file, not in a folder");
    }
    let source = std::fs::read_to_string(&file).unwrap_or_default();
    names.iter().find(|name| !declares(&source, name)).and_then(|name| at(&format!("declares no `{name}`")))
}

/// Everything that is wrong with the references of a document.
fn faults(root: &Path, document: &str) -> Vec<String> {
    references(document).iter().filter_map(|reference| fault(root, reference)).collect()
}

/// Under each heading that begins with `heading`: how many steps are numbered, and which of them name no function.
fn walks(document: &str, heading: &str) -> Vec<(String, usize, Vec<usize>)> {
    let mut found: Vec<(String, usize, Vec<usize>)> = Vec::new();
    let mut inside = false;
    let mut step = String::new();
    for line in document.lines().chain(["# end"]) {
        let numbered = line.split_once(". ").is_some_and(|(number, _)| number.parse::<usize>().is_ok());
        if (numbered || line.starts_with('#')) && !step.is_empty() {
            if let Some((_, steps, without)) = found.last_mut() {
                *steps += 1;
                if references(&step).iter().all(|reference| reference.names.is_empty()) {
                    without.push(*steps);
                }
            }
            step.clear();
        }
        if line.starts_with('#') {
            inside = line.trim_start_matches('#').trim().starts_with(heading);
            if inside {
                found.push((line.trim_start_matches('#').trim().to_owned(), 0, Vec::new()));
            }
        } else if inside && (numbered || !step.is_empty()) {
            if line.trim().is_empty() {
                continue;
            }
            step.push_str(line);
            step.push('\n');
        }
    }
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The documents whose references are followed, as paths from the root.
fn followed(root: &Path) -> Vec<String> {
    let mut documents = vec!["docs/architecture.md".to_owned(), "docs/glossary.md".to_owned()];
    let records = std::fs::read_dir(root.join("docs/adr")).unwrap();
    documents.extend(records.map(|record| format!("docs/adr/{}", record.unwrap().file_name().to_string_lossy())));
    documents.extend(Some("CONTRIBUTING.md".to_owned()).filter(|name| root.join(name).exists()));
    documents.sort();
    documents
}

#[test]
fn every_reference_leads_to_a_file_and_to_what_it_declares() {
    let root = root();
    let mut wrong = Vec::new();
    for name in followed(&root) {
        let document = std::fs::read_to_string(root.join(&name)).unwrap();
        assert!(!references(&document).is_empty(), "{name} refers to nothing");
        wrong.extend(faults(&root, &document).into_iter().map(|fault| format!("{name}, {fault}")));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn three_lives_are_told_in_ten_steps_with_functions() {
    let document = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let lives = walks(&document, "The life of");
    assert_eq!(lives.len(), 3, "{lives:?}");
    for (heading, steps, without) in lives {
        assert_eq!(steps, 10, "{heading}");
        assert!(without.is_empty(), "{heading}: steps {without:?} name no function");
    }
}

#[test]
fn references_are_found_where_they_are() {
    let document = "See `src/a.rs::first`, then `cargo run -- --config=config/x.toml#a`.\nsrc/not_quoted.rs \
                    `other/src/b.rs`\n\
                    ```sh\ncat docs/glossary.md src/d.rs::D::go.\n```\n`tests/e.rs`";
    let found = references(document);
    let told: Vec<_> = found.iter().map(|r| (r.line, r.path.as_str(), r.names.join("::"))).collect();
    assert_eq!(
        told,
        [
            (1, "src/a.rs", "first".to_owned()),
            (1, "config/x.toml", String::new()),
            (4, "docs/glossary.md", String::new()),
            (4, "src/d.rs", "D::go".to_owned()),
            (6, "tests/e.rs", String::new()),
        ]
    );
}

#[test]
fn declarations_are_told_from_uses() {
    for (line, name) in [
        ("    pub(super) async fn go_on(&self) {", Some("go_on")),
        ("pub const fn new() -> Self {", Some("new")),
        ("pub unsafe extern \"C\" fn hook() {", Some("hook")),
        ("const LEASE: Duration = X;", Some("LEASE")),
        ("static mut COUNT: u8 = 0;", Some("COUNT")),
        ("pub struct Gate<F> {", Some("Gate")),
        ("enum Route {", Some("Route")),
        ("pub trait Store:", Some("Store")),
        ("mod tests;", Some("tests")),
        ("macro_rules! table {", Some("table")),
        ("// fn commented(", None),
        ("    self.fn_of(name);", None),
        ("    let fn_name = struct_of(x);", None),
        ("impl Gate {", None),
        ("use crate::a::fn_b;", None),
        ("", None),
    ] {
        assert_eq!(declared(line), name, "{line}");
    }
    assert!(declares("struct A;\nimpl A {\n    fn go() {}\n}", "go"));
    assert!(!declares("fn going() {}", "go"));
}

#[test]
fn what_leads_nowhere_is_reported() {
    let root = root();
    let here = "tests/architecture.rs";
    for good in [
        format!("`{here}`"),
        format!("`{here}::fault`"),
        format!("`{here}::Reference`"),
        "`tests/`".to_owned(),
        "`tests/<name>.rs`".to_owned(),
        "`src/lib.rs`, and prose about src/nowhere.rs".to_owned(),
    ] {
        assert_eq!(faults(&root, &good), Vec::<String>::new(), "{good}");
    }
    for (bad, why) in [
        ("`src/no/such/file.rs`".to_owned(), "does not exist"),
        ("`src/no/such/<name>.rs`".to_owned(), "does not exist"),
        (format!("`{here}::no_such_function`"), "declares no"),
        (format!("`{here}::Reference::no_such_function`"), "declares no"),
        ("`tests::fault`, `tests/::fault`".to_owned(), "not in a folder"),
        ("`tests/*.rs`".to_owned(), "without patterns"),
        ("`tests/../Cargo.toml`".to_owned(), "without patterns"),
        ("```\nsrc/no/such/file.rs\n```".to_owned(), "does not exist"),
    ] {
        let found = faults(&root, &bad);
        assert!(found.len() == 1 && found[0].contains(why), "{bad}: {found:?}");
    }
}

#[test]
fn steps_are_counted_by_their_headings() {
    let document = "# A\n## The life of x\n1. `src/a.rs::go`\n   more\n\n2. no file\n\n## Other\n1. `src/b.rs`\n\
                    ## The life of y\n1. nothing, `src/c.rs`\n   and `src/d.rs::E`\n";
    let lives = walks(document, "The life of");
    assert_eq!(lives, [("The life of x".to_owned(), 2, vec![2]), ("The life of y".to_owned(), 1, vec![])]);
}
