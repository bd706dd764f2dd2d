//! No type, module, function or file has a name that the glossary (`docs/glossary.md`) has replaced, and an overworked
//! name belongs to one type at most.
//!
//! Only definitions and file names count, not words in texts. Names that are frozen because others rely on them
//! (metrics, keys of the store and of the configuration, messages) are texts and members, so they are no definitions.

use std::path::Path;

use crate::tree::{self, Definition, code, definitions, is_test};
use crate::{paths, tree::Sources};

/// Words that no name of a type, module, function or constant contains.
const OLD_WORDS: &[&str] = &[
    "wish",
    "wishes",
    "ledger",
    "ledgers",
    "happening",
    "happenings",
    "standstill",
    "standstills",
    "turnstile",
    "turnstiles",
    "seldom",
    "lookout",
    "deed",
    "deeds",
    "laps",
    "tally",
    "story",
    "stories",
];

/// Names that mean something else elsewhere, so only the whole name of a type, function or constant counts.
const OLD_NAMES: &[&str] = &["made", "means", "keeper", "door", "doors", "office", "together", "told", "rounds"];

/// Names of files and modules.
const OLD_MODULES: &[&str] = &[
    "word",
    "told",
    "laps",
    "tally",
    "rounds",
    "pace",
    "waiting",
    "steps",
    "stories",
    "story",
    "lookout",
    "seldom",
    "together",
    "door",
    "office",
    "deeds",
    "keeper",
    "people",
    "turnstile",
    "means",
    "governor",
    "actors",
    "ledger",
    "wish",
];

/// Names of modules right below `src`.
const OLD_TOP_LEVEL: &[&str] = &["codes", "users", "phone", "pbx", "mail", "line"];

/// Types that several places would like to have for themselves.
const OVERWORKED: &[&str] = &["Ticket", "Line", "Order", "Pace"];

/// The words of a name in snake case or camel case, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if c == '_' || (c.is_uppercase() && !words.last().is_some_and(|word| word.chars().all(char::is_uppercase))) {
            words.push(String::new());
        }
        if c != '_'
            && let Some(word) = words.last_mut()
        {
            word.push(c);
        }
    }
    words.into_iter().filter(|word| !word.is_empty()).map(|word| word.to_lowercase()).collect()
}

/// Whether a definition has an old name. Tests are called by sentences, so there only whole names count.
fn is_old(definition: &Definition, in_test: bool) -> bool {
    let lower = words(&definition.name).join("_");
    if definition.keyword == "mod" {
        return OLD_MODULES.contains(&lower.as_str());
    }
    let contains = !in_test && words(&definition.name).iter().any(|word| OLD_WORDS.contains(&word.as_str()));
    contains || OLD_WORDS.contains(&lower.as_str()) || OLD_NAMES.contains(&lower.as_str())
}

/// Whether a file has an old name.
fn is_old_file(file: &str) -> bool {
    let stems = file.split('/').map(|part| part.strip_suffix(".rs").unwrap_or(part));
    let stems: Vec<&str> = stems.map(|stem| stem.strip_suffix("_tests").unwrap_or(stem)).collect();
    let top_level = stems.first() == Some(&"src") && stems.get(1).is_some_and(|stem| OLD_TOP_LEVEL.contains(stem));
    top_level || stems.iter().any(|stem| OLD_MODULES.contains(stem))
}

/// Every old name of a file, one line each.
fn violations(file: &str, source: &str) -> Vec<String> {
    let mut found = Vec::new();
    if is_old_file(file) {
        found.push(format!("{file}: file"));
    }
    let (all, shipped) = (definitions(&paths::tokens(source)), definitions(&code(source)));
    let of_tests = is_test(file) || file.starts_with("tests/") || file.starts_with("loadtest/tests/");
    for definition in &all {
        let in_test = of_tests || !shipped.iter().any(|other| other.name == definition.name);
        if is_old(definition, in_test) {
            found.push(format!("{file}: {} {}", definition.keyword, definition.name));
        }
    }
    found.dedup();
    found
}

/// The definitions of each overworked name, if there are more than one.
fn duplicates(sources: &Sources) -> Vec<String> {
    let mut found = Vec::new();
    for name in OVERWORKED {
        let is_type = |definition: &Definition| {
            definition.name == *name && matches!(definition.keyword.as_str(), "struct" | "enum" | "union" | "trait")
        };
        let files = sources.iter().filter(|(file, _)| !is_test(file));
        let files: Vec<&str> = files
            .flat_map(|(file, source)| {
                let types = definitions(&code(source)).into_iter().filter(is_type).count();
                std::iter::repeat_n(file.as_str(), types)
            })
            .collect();
        if files.len() > 1 {
            found.push(format!("{name}: {}", files.join(", ")));
        }
    }
    found
}

#[test]
fn no_definition_has_an_old_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found: Vec<String> =
        tree::with_tests(root).iter().flat_map(|(file, source)| violations(file, source)).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn an_overworked_name_belongs_to_one_type() {
    let found = duplicates(&tree::sources(Path::new(env!("CARGO_MANIFEST_DIR"))));
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn an_old_name_is_found() {
    for (file, source, complaint) in [
        ("src/store/a.rs", "pub struct CodeWish;", "struct CodeWish"),
        ("src/store/a.rs", "async fn tell_wishes() {}", "fn tell_wishes"),
        ("src/store/a.rs", "trait T { fn deeds(&self); }", "fn deeds"),
        ("src/store/a.rs", "enum Made {}", "enum Made"),
        ("src/store/a.rs", "const STANDSTILL: u8 = 1;", "const STANDSTILL"),
        ("src/store/a.rs", "mod word;", "mod word"),
        ("src/store/a.rs", "#[cfg(test)] mod tests { fn told() {} }", "fn told"),
        ("src/store/seldom.rs", "", "seldom.rs: file"),
        ("src/people/mod.rs", "", "file"),
        ("src/codes/claim.rs", "", "file"),
        ("src/core/policy/limits_tests.rs", "fn ledger() {}", "fn ledger"),
    ] {
        let found = violations(file, source);
        assert!(found.iter().any(|line| line.ends_with(complaint)), "{file}: {source}\n→ {found:?}");
    }
}

#[test]
fn a_word_in_a_text_or_a_test_name_is_none() {
    for (file, source) in [
        ("src/store/a.rs", "/// A wish.\nfn ask() { let standstill = \"deeds\"; made(standstill) }"),
        ("src/store/a.rs", "struct A { strangers: u8 } fn remade() {} struct Placement;"),
        ("src/store/a.rs", "#[cfg(test)] mod tests { #[test] fn a_stranger_waits() {} }"),
        ("src/store/codes.rs", "fn door_of() {}"),
        ("tests/kills/store.rs", "#[test] fn strangers_are_forgotten() {}"),
    ] {
        let found = violations(file, source);
        assert!(found.is_empty(), "{file}: {source}\n→ {found:?}");
    }
}

#[test]
fn a_second_type_of_an_overworked_name_is_found() {
    let sources = |files: &[(&str, &str)]| -> Sources {
        files.iter().map(|(file, source)| ((*file).to_owned(), (*source).to_owned())).collect()
    };
    let one = ("src/a.rs", "struct Ticket; struct TicketKey; fn ticket() {}");
    assert!(duplicates(&sources(&[one])).is_empty());
    assert_eq!(duplicates(&sources(&[one, ("loadtest/src/b.rs", "enum Ticket {}")])).len(), 1);
    assert!(duplicates(&sources(&[one, ("src/b.rs", "#[cfg(test)] mod tests { struct Ticket; }")])).is_empty());
}
