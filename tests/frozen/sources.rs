//! Texts in the sources: all files below `src` are read, wherever they lie.

use std::collections::BTreeSet;
use std::path::Path;

use regex_lite::{Captures, Regex};

/// All sources without comments, and without tests at the end of a file or in a file of their own.
fn all() -> Vec<String> {
    let mut found = Vec::new();
    gather(&super::repository("src"), &mut found);
    assert!(found.len() > 200, "{}", found.len());
    found
}

fn gather(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if stem == "tests" || stem.ends_with("_tests") {
            continue;
        }
        match extension {
            _ if path.is_dir() => gather(&path, found),
            Some("rs") => {
                let text = without_comments(&std::fs::read_to_string(&path).unwrap(), "//");
                let end =
                    Regex::new(r"#\[cfg\(test\)\]\s*mod \w+ \{").unwrap().find(&text).map_or(text.len(), |m| m.start());
                let text = &text[..end];
                // The operations of the REST interface stand in one scope.
                let text = if path.components().any(|part| part.as_os_str() == "api") {
                    Regex::new(r#"web::resource\(\s*"/"#).unwrap().replace_all(text, "web::resource(\"/api/v1/")
                } else {
                    text.into()
                };
                found.push(text.into_owned());
            }
            Some("lua") => found.push(without_comments(&std::fs::read_to_string(&path).unwrap(), "--")),
            _ => {}
        }
    }
}

/// The text without what follows `mark` in a line, unless that is within double quotes.
fn without_comments(text: &str, mark: &str) -> String {
    let mut out = String::new();
    let (mut rest, mut quoted) = (text, false);
    while let Some(first) = rest.chars().next() {
        if !quoted && rest.starts_with(mark) {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
            continue;
        }
        // A quote as a character, and what is escaped within quotes, begin and end nothing.
        let step = if !quoted && rest.starts_with("'\"'") {
            3
        } else if !quoted && rest.starts_with("'\\\"'") {
            4
        } else if quoted && first == '\\' {
            1 + rest[1..].chars().next().map_or(0, char::len_utf8)
        } else {
            quoted ^= first == '"';
            first.len_utf8()
        };
        out.push_str(&rest[..step]);
        rest = &rest[step..];
    }
    out
}

/// Keys of Redis, as the sources make them: what is filled in is `<>`.
pub fn redis_keys() -> BTreeSet<String> {
    let text = Regex::new(r#"(format!\(\s*)?["'](pb:[^"'\n]*)["']"#).unwrap();
    let filled = Regex::new(r"\{[^{}]*\}").unwrap();
    let mut keys = BTreeSet::new();
    for source in all() {
        for found in text.captures_iter(&source) {
            // The place of a record in an error text.
            if found[2].contains('…') {
                continue;
            }
            let key = if found.get(1).is_some() {
                let key = found[2].replace("{{", "\u{1}");
                filled.replace_all(&key, "<>").replace("}}", "}").replace('\u{1}', "{")
            } else {
                found[2].to_owned()
            };
            keys.insert(key);
        }
    }
    keys
}

/// Routes with their methods, where both stand together; resources whose methods are elsewhere without.
pub fn routes() -> BTreeSet<String> {
    let binding = Regex::new(r#"\b(?:let|const) (\w+)(?:: &str)? = "(/[^"]*)""#).unwrap();
    let path = r#"(&?format!\(\s*"[^"]*"\s*\)|"[^"]*"|[a-z_]+)"#;
    let one = Regex::new(&format!(
        r"web::(resource|scope)\(\s*{path}\s*\)|\.route\(\s*{path},\s*web::(\w+)\(\)|\.route\(\s*(?:web::)?(get|post|put|patch|delete|head)\(\)"
    ))
    .unwrap();
    let mut routes = BTreeSet::new();
    for source in all() {
        let names: Vec<_> = binding
            .captures_iter(&source)
            .map(|found| (found.get(0).unwrap().start(), found[1].to_owned(), found[2].to_owned()))
            .collect();
        let resolve = |text: &str, at: usize| {
            let value = |name: &str| {
                let known = names.iter().rev().find(|(from, known, _)| *from < at && known == name);
                known.map_or_else(|| panic!("what is {name}? {text}"), |(_, _, path)| path.clone())
            };
            let Some((_, quoted)) = text.split_once('"') else { return value(text) };
            let quoted = quoted.split('"').next().unwrap();
            if !text.contains("format!") {
                return quoted.to_owned();
            }
            let quoted = quoted.replace("{{", "\u{1}");
            let filled = Regex::new(r"\{(\w+)\}").unwrap();
            let path = filled.replace_all(&quoted, |name: &Captures<'_>| value(&name[1]).replace('{', "\u{1}"));
            path.replace("}}", "}").replace('\u{1}', "{")
        };
        let mut resource: Option<(String, usize)> = None;
        for found in one.captures_iter(&source) {
            let at = found.get(0).unwrap().start();
            if let Some(path) = found.get(2) {
                let path = resolve(path.as_str(), at);
                routes.insert(format!("{} {path}", &found[1]));
                resource = Some((path, at));
            } else if let Some(path) = found.get(3) {
                routes.insert(format!("{} {}", found[4].to_uppercase(), resolve(path.as_str(), at)));
            } else if let Some((path, from)) = &resource
                && !source[*from..at].contains(';')
            {
                routes.insert(format!("{} {path}", found[5].to_uppercase()));
            }
        }
    }
    routes
}
