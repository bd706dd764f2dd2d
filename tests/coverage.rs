//! The tables of `docs/protocol/coverage.md` and `docs/concept-coverage.md`: each rule and each statement once, tests that
//! exist, and the same planned rules as the list.

// Helpers of tests may fail like tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::Path;

#[path = "support/named_test.rs"]
mod named_test;

use named_test::has_test;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// How many rules each section of the revision has, from section 1 on.
const RULES: [u32; 6] = [19, 29, 9, 11, 4, 11];

/// How many statements each section of the concept has, from section 1 on.
const STATEMENTS: [u32; 10] = [5, 7, 18, 7, 7, 4, 3, 10, 4, 5];

const PROTOCOL: &str = "docs/protocol/coverage.md";
const CONCEPT: &str = "docs/concept-coverage.md";

const PLANNED: &str = "*planned*";
const TEXT_ONLY: &str = "*text only*: ";

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The cells of the rows whose first cell begins with a number.
fn rows(text: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| {
        let line = line.strip_prefix("| ")?.strip_suffix(" |")?;
        line.starts_with(|c: char| c.is_ascii_digit()).then(|| line.split(" | ").map(Into::into).collect())
    };
    text.lines().filter_map(cells).collect()
}

/// Number and test of every rule or statement of a document.
fn table(document: &str) -> Vec<(String, String)> {
    let row = |row: Vec<String>| {
        let cells = <[String; 4]>::try_from(row).unwrap_or_else(|row| panic!("{document}: not four cells: {row:?}"));
        assert!(cells.iter().all(|cell| !cell.trim().is_empty()), "{document}: an empty cell: {cells:?}");
        let [number, _, _, test] = cells;
        (number, test)
    };
    rows(&read(document)).into_iter().map(row).collect()
}

/// The numbers in a cell such as `1.7–1.9` or `2.18, 2.19`.
fn numbers(cell: &str) -> Vec<String> {
    let mut all = Vec::new();
    for part in cell.split(", ") {
        let (first, last) = part.split_once('–').unwrap_or((part, part));
        let [(section, from), (_, to)] = [first, last].map(|number| number.split_once('.').expect("a number"));
        let [from, to] = [from, to].map(|number| number.parse::<u32>().expect("a number"));
        all.extend((from..=to).map(|number| format!("{section}.{number}")));
    }
    all
}

#[test]
fn every_rule_stands_once() {
    for (document, counts) in [(PROTOCOL, &RULES[..]), (CONCEPT, &STATEMENTS)] {
        let listed: Vec<String> = table(document).into_iter().map(|(number, _)| number).collect();
        let sections = counts.iter().zip(1..);
        let expected: Vec<String> =
            sections.flat_map(|(&count, section)| (1..=count).map(move |rule| format!("{section}.{rule}"))).collect();
        assert_eq!(listed, expected, "{document}");
    }
}

#[test]
fn every_named_test_exists() {
    for (document, number, cell) in [PROTOCOL, CONCEPT]
        .into_iter()
        .flat_map(|document| table(document).into_iter().map(move |(number, cell)| (document, number, cell)))
    {
        // Nothing of the concept is planned.
        if cell == PLANNED && document == PROTOCOL {
            continue;
        }
        if let Some(reason) = cell.strip_prefix(TEXT_ONLY) {
            assert!(!reason.is_empty(), "{number}: no reason");
            continue;
        }
        for test in cell.split(", ") {
            let test = test.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
            let (file, name) = test.and_then(|test| test.split_once("::")).expect(&number);
            assert!(has_test(&read(file), name), "{number}: {file} has no test {name}");
        }
    }
}

#[test]
fn the_planned_rules_are_those_of_the_list() {
    let listed: BTreeSet<String> =
        rows(&read("docs/protocol/README.md")).iter().flat_map(|row| numbers(&row[0])).collect();
    let planned: BTreeSet<String> =
        table(PROTOCOL).into_iter().filter(|(_, cell)| cell == PLANNED).map(|(number, _)| number).collect();
    assert_eq!(planned, listed);
}

#[test]
fn forms_that_are_read() {
    assert_eq!(numbers("1.7–1.9, 2.18"), ["1.7", "1.8", "1.9", "2.18"]);
    assert!(has_test("fn one() {}", "one") && has_test("on_each_store!(\n    two,", "two"));
    assert!(!has_test("fn one_more() {}", "one") && !has_test("one()", "one"));
}
