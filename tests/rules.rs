//! The table of `docs/protocol/rules.md`: the ids of the texts and no others, each once, and tests that exist.
//!
//! That the program checks what the table says is a test of `loadtest/src/conformance/rules.rs`.

// Helpers of tests may fail like tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::Path;

#[path = "support/named_test.rs"]
mod named_test;

use named_test::has_test;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

const TEXTS: [&str; 6] = ["appwebsocket", "devices-api", "directory", "pbx", "sysclient", "update-script"];

/// Sections without a rule of their own: pictures and examples of rules, lists of releases, of open questions and of paths, advice.
const WITHOUT_RULES: [&str; 22] = [
    "appwebsocket-3",
    "appwebsocket-7",
    "appwebsocket-8",
    "appwebsocket-10",
    "devices-api-2",
    "devices-api-3",
    "devices-api-4",
    "devices-api-8",
    "directory-2",
    "pbx-1",
    "pbx-8",
    "pbx-9",
    "pbx-10",
    "pbx-11",
    "sysclient-1",
    "sysclient-3",
    "sysclient-5.3",
    "sysclient-7",
    "sysclient-8",
    "sysclient-8.7",
    "sysclient-10",
    "update-script-3",
];

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The cells of every row with an id.
fn table() -> Vec<Vec<String>> {
    let text = read("docs/protocol/rules.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
    rows.map(|row| row.replacen('`', "", 1).split(" | ").map(Into::into).collect()).collect()
}

/// The number that a heading begins with.
fn section(line: &str) -> Option<&str> {
    let (marks, title) = line.split_once(' ')?;
    let number = title.split(' ').next()?.trim_end_matches('.');
    let is_number = number.starts_with(|c: char| c.is_ascii_digit());
    (marks.starts_with('#') && marks.trim_matches('#').is_empty() && is_number).then_some(number)
}

/// What stands in brackets and looks like an id: `3.2-a`.
fn ids(line: &str) -> Vec<&str> {
    let is_id = |text: &&str| {
        text.split_once('-').is_some_and(|(number, letter)| {
            number.starts_with(|c: char| c.is_ascii_digit())
                && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
                && letter.len() == 1
                && letter.bytes().all(|byte| byte.is_ascii_lowercase())
        })
    };
    line.split('[').skip(1).filter_map(|rest| rest.split_once(']').map(|(text, _)| text)).filter(is_id).collect()
}

#[test]
fn the_ids_of_the_texts_are_those_of_the_table_each_once() {
    let mut found = Vec::new();
    for text in TEXTS {
        let mut at = "0";
        for line in read(&format!("docs/protocol/{text}.md")).leak().lines() {
            at = section(line).unwrap_or(at);
            for id in ids(line) {
                assert_eq!(id.split_once('-').unwrap().0, at, "{text}: {line}");
                found.push(format!("{text}-{id}"));
            }
        }
    }
    let mut listed: Vec<String> = table().into_iter().map(|row| row[0].clone()).collect();
    found.sort();
    listed.sort();
    assert_eq!(found, listed);
    let once: BTreeSet<_> = found.iter().collect();
    assert_eq!(once.len(), found.len());
}

#[test]
fn every_section_has_a_rule_or_is_named_as_one_without() {
    let listed: BTreeSet<String> =
        table().into_iter().map(|row| row[0].rsplit_once('-').unwrap().0.to_owned()).collect();
    let mut without = BTreeSet::new();
    for text in TEXTS {
        let lines = read(&format!("docs/protocol/{text}.md"));
        let sections = lines.lines().filter_map(section).map(|number| format!("{text}-{number}"));
        without.extend(sections.filter(|section| !listed.contains(section)));
    }
    assert_eq!(without, WITHOUT_RULES.iter().map(ToString::to_string).collect());
}

#[test]
fn every_rule_has_a_sentence_a_mark_and_a_test_that_exists() {
    for row in table() {
        let [id, sentence, mark, how] = <[String; 4]>::try_from(row).expect("four cells");
        assert!(sentence.len() > 10 && ["[D]", "[O]", "[ours]"].contains(&mark.as_str()), "{id}");
        if how == "`conformance`" {
            continue;
        }
        for test in how.split(", ") {
            let test = test.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
            let (file, name) = test.and_then(|test| test.split_once("::")).expect(&id);
            assert!(has_test(&read(file), name), "{id}: {file} has no test {name}");
        }
    }
}

#[test]
fn forms_that_are_read() {
    assert_eq!(ids("a [D]. [3.2-a] | [12-b] [13r3-a] [3.2-ab] [x](y)"), ["3.2-a", "12-b"]);
    assert_eq!(
        (section("### 3.2 `0001`"), section("## 6. Limits"), section("# Rules")),
        (Some("3.2"), Some("6"), None)
    );
}
