//! The source files below a directory, and what each of them defines and names, without what only tests use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::paths::{self, Token, paths_of};

/// Above this number of lines a file is listed: it may have more than one reason to exist.
const MANY_LINES: usize = 600;

/// Source text by path, relative to the root of the repository.
pub type Sources = BTreeMap<String, String>;

/// The repository: of this test, or the one that `LAYERS_ROOT` names, so that two trees can be compared.
pub fn root() -> PathBuf {
    std::env::var_os("LAYERS_ROOT").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from)
}

/// Every source file of the program and of the load test.
pub fn sources(root: &Path) -> Sources {
    let mut files = Sources::new();
    collect(root, &root.join("src"), &mut files);
    collect(root, &root.join("loadtest/src"), &mut files);
    assert!(files.len() > 20, "sources found: {}", files.len());
    files
}

/// The same, and every test.
pub fn with_tests(root: &Path) -> Sources {
    let mut files = sources(root);
    collect(root, &root.join("tests"), &mut files);
    collect(root, &root.join("loadtest/tests"), &mut files);
    files
}

fn collect(root: &Path, under: &Path, into: &mut Sources) {
    for entry in std::fs::read_dir(under).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let file = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            into.insert(file, std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// Files that are longer than most, one line each.
pub fn long_files(sources: &Sources) -> Vec<String> {
    let lines = sources.iter().map(|(file, source)| (file, source.lines().count()));
    lines.filter(|(_, lines)| *lines > MANY_LINES).map(|(file, lines)| format!("{file}: {lines} lines")).collect()
}

/// Whether the whole file is a test, by its name.
pub fn is_test(file: &str) -> bool {
    file.ends_with("_tests.rs") || file.ends_with("/tests.rs") || file.contains("/tests/")
}

/// The modules that lead to a file. A binary is a crate of its own, so its modules begin with its directory.
pub fn module_path(file: &str) -> Vec<String> {
    let (crate_name, inside) = match file.strip_prefix("loadtest/src/") {
        Some(inside) => (Some("loadtest/"), inside),
        None => (None, file.strip_prefix("src/").unwrap_or(file)),
    };
    let inside = inside.strip_suffix(".rs").unwrap_or(inside);
    let inside = inside.strip_suffix("/mod").unwrap_or(inside);
    let mut path: Vec<String> = crate_name.map(str::to_owned).into_iter().collect();
    match inside {
        "main" if crate_name.is_some() => {}
        "lib" => {}
        "main" => path.push("main/".into()),
        "cli" if crate_name.is_none() => path.extend(["main/".into(), "cli".into()]),
        _ => path.extend(inside.split('/').map(str::to_owned)),
    }
    path
}

/// The tokens of a source text without the items under `#[cfg(test)]`.
pub fn code(source: &str) -> Vec<Token> {
    let tokens = paths::tokens(source);
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if is_cfg_test(&tokens[at..]) {
            at = after_item(&tokens, at + CFG_TEST);
        } else {
            kept.push(token.clone());
            at += 1;
        }
    }
    kept
}

/// Tokens of `#[cfg(test)]`.
const CFG_TEST: usize = 7;

fn is_cfg_test(tokens: &[Token]) -> bool {
    let word = |at: usize, wanted: &str| matches!(tokens.get(at), Some(Token::Word(word)) if word == wanted);
    let mark = |at: usize, wanted: char| tokens.get(at) == Some(&Token::Mark(wanted));
    mark(0, '#') && mark(1, '[') && word(2, "cfg") && mark(3, '(') && word(4, "test") && mark(5, ')') && mark(6, ']')
}

/// The end of the item, field or variant that begins at `at`, perhaps with further attributes.
fn after_item(tokens: &[Token], mut at: usize) -> usize {
    const ITEMS: [&str; 12] =
        ["fn", "mod", "use", "struct", "enum", "impl", "const", "static", "type", "trait", "union", "macro_rules"];
    while tokens.get(at) == Some(&Token::Mark('#')) {
        at = after_brackets(tokens, at + 1);
    }
    let (mut is_item, mut ends_with_semicolon) = (false, false);
    while let Some(token) = tokens.get(at) {
        match token {
            Token::Word(word) => {
                ends_with_semicolon |= !is_item && matches!(word.as_str(), "use" | "static");
                is_item |= ITEMS.contains(&word.as_str());
                at += 1;
            }
            Token::Mark(';') => return at + 1,
            Token::Mark('{') if is_item && !ends_with_semicolon => return after_brackets(tokens, at),
            Token::Mark('{' | '(' | '[') => at = after_brackets(tokens, at),
            Token::Mark(',') if !is_item => return at + 1,
            Token::Mark('}' | ')' | ']') => return at,
            Token::Mark(_) | Token::Colons => at += 1,
        }
    }
    at
}

/// `at` is an opening bracket.
fn after_brackets(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            Token::Mark('{' | '(' | '[') => depth += 1,
            Token::Mark('}' | ')' | ']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Something that a source file defines: `struct Device` for instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Definition {
    /// `fn`, `struct`, `enum`, `union`, `trait`, `type`, `mod`, `const`, `static` or `macro_rules`.
    pub keyword: String,
    pub name: String,
    /// It stands in no block.
    pub top_level: bool,
}

/// Everything that is defined in a token stream, also within functions and implementations.
pub fn definitions(tokens: &[Token]) -> Vec<Definition> {
    const KEYWORDS: [&str; 10] =
        ["fn", "struct", "enum", "union", "trait", "type", "mod", "const", "static", "macro_rules"];
    let mut found = Vec::new();
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Mark('{') => depth += 1,
            Token::Mark('}') => depth = depth.saturating_sub(1),
            Token::Word(keyword) if KEYWORDS.contains(&keyword.as_str()) => {
                let mut rest = tokens[at + 1..].iter();
                let name = rest.find(|next| !matches!(next, Token::Mark('!')) && !is_word(next, "mut"));
                let Some(Token::Word(name)) = name else { continue };
                // `const fn` is a function, `*const T` a type; a field may be called `union`.
                let is_pointer = at > 0 && tokens[at - 1] == Token::Mark('*');
                if !is_pointer && !KEYWORDS.contains(&name.as_str()) && !matches!(name.as_str(), "_" | "unsafe") {
                    let (keyword, name) = (keyword.clone(), name.clone());
                    found.push(Definition { keyword, name, top_level: depth == 0 });
                }
            }
            _ => {}
        }
    }
    found
}

fn is_word(token: &Token, wanted: &str) -> bool {
    matches!(token, Token::Word(word) if word == wanted)
}

/// A source file as the checks need it.
pub struct Unit {
    pub module: Vec<String>,
    pub defines: BTreeSet<String>,
    pub paths: Vec<paths::Path>,
    /// Every word outside of `use` trees.
    pub words: BTreeSet<String>,
}

impl Unit {
    pub fn new(file: &str, source: &str) -> Self {
        let tokens = code(source);
        let top_level = definitions(&tokens).into_iter().filter(|definition| definition.top_level);
        // A module that is declared here is a file, or a block with names of its own.
        let defines = top_level.filter(|definition| definition.keyword != "mod").map(|definition| definition.name);
        let (paths, words) = paths_of(&tokens);
        Self { module: module_path(file), defines: defines.collect(), paths, words }
    }

    /// A path of the own crate from its root; `None` for all others, and for what only an import explains.
    pub fn absolute(&self, path: &paths::Path) -> Option<Vec<String>> {
        let ups = path.parts.iter().take_while(|part| *part == "super").count();
        let (base, rest) = match path.root() {
            "crate" => (&self.module[..0], &path.parts[1..]),
            "self" => (&self.module[..], &path.parts[1..]),
            "super" => (&self.module[..self.module.len().checked_sub(ups)?], &path.parts[ups..]),
            _ => return None,
        };
        (!path.global).then(|| [base, rest].concat())
    }
}

#[test]
fn what_only_tests_use_is_left_out() {
    let source = "
        use a::b; #[cfg(test)] use c::{d, e}; #[cfg(test)] mod tests { use f::g; fn h() { i::j(); } }
        struct S { #[cfg(test)] k: l::M, n: o::P } #[cfg(test)] #[path = \"x\"] mod x; impl S { #[cfg(test)] fn q<A, B>(
        r: s::T) -> [u8; 2] { u::V } fn w() { x::Y } } #[cfg(test)] const Z: [u8; 1] = [aa::BB]; use cc::dd;";
    let (paths, _) = paths_of(&code(source));
    let roots: Vec<&str> = paths.iter().map(paths::Path::root).collect();
    assert_eq!(roots, ["a", "o", "x", "cc"]);
}

#[test]
fn definitions_are_found() {
    let source = "pub const fn a() {} struct B { union: *const u8 } impl B { async fn c(&self) { const D: u8 = 1; } }
        macro_rules! e { () => {} } pub(crate) static mut F: u8 = 0; type G = B; mod h;
        trait I { type J; } const _: () = ();";
    let found = definitions(&code(source));
    let names: Vec<&str> = found.iter().map(|definition| definition.name.as_str()).collect();
    assert_eq!(names, ["a", "B", "c", "D", "e", "F", "G", "h", "I", "J"]);
    let inner: Vec<&str> = found.iter().filter(|d| !d.top_level).map(|d| d.name.as_str()).collect();
    assert_eq!(inner, ["c", "D", "J"]);
}

#[test]
fn modules_are_known_by_their_files() {
    for (file, module) in [
        ("src/lib.rs", ""),
        ("src/core/mod.rs", "core"),
        ("src/core/model/ids.rs", "core::model::ids"),
        ("src/config.rs", "config"),
        ("src/main.rs", "main/"),
        ("src/cli.rs", "main/::cli"),
        ("loadtest/src/main.rs", "loadtest/"),
        ("loadtest/src/worker/fleet.rs", "loadtest/::worker::fleet"),
    ] {
        assert_eq!(module_path(file).join("::"), module, "{file}");
    }
}
