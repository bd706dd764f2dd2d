//! Every task of the manual is a command that makes the call next to it, and together they cover the whole interface.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clap::Parser;
use provbroker::ctl::Ctl;
use provbroker::ctl::call::{Call, Files};
use serde_json::Value;

const MANUAL: &str = include_str!("../../docs/operators.md");

/// Operations without a command, and why.
const NO_COMMAND: &[(&str, &str)] = &[
    ("POST /api/v1/token", "every command begins with it"),
    ("POST /api/v1/domains/{domain}/bundles", "`provbroker bundle export` makes files, with a key of this machine"),
    ("POST /api/v1/bundles", "`provbroker bundle import` reads them"),
];

/// Parameters that belong to the paging of lists.
const OF_LISTS: [&str; 2] = ["cursor", "limit"];

#[derive(Parser)]
struct Whole {
    #[command(flatten)]
    ctl: Ctl,
}

/// File access with fixed contents.
struct FixedFiles;

impl Files for FixedFiles {
    fn read(&self, file: &Path) -> std::io::Result<String> {
        Ok(if file.extension().is_some_and(|kind| kind == "json") { "{}" } else { "a secret\n" }.into())
    }
}

/// Splits a line with double quotes into words, as a shell does.
fn words(line: &str) -> Vec<String> {
    let (mut all, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for c in line.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => all.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    assert!(!quoted, "{line}");
    all.extend(word);
    all
}

fn call_of(line: &str) -> Call {
    let words = words(line);
    assert_eq!(words[..2], ["provbroker", "ctl"], "{line}");
    let whole = Whole::try_parse_from(&words[1..]).unwrap_or_else(|error| panic!("{line}\n{error}"));
    let call = whole.ctl.call(&FixedFiles).unwrap_or_else(|error| panic!("{line}\n{error}"));
    call.path().unwrap_or_else(|error| panic!("{line}\n{error}"));
    call
}

/// The commands of the manual with the calls next to them.
fn tasks() -> Vec<(&'static str, &'static str)> {
    let rows = MANUAL.lines().filter(|line| line.starts_with("| ") && line.contains("`provbroker ctl "));
    let rows = rows.map(|row| {
        let code: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
        assert_eq!(code.len(), 2, "{row}");
        (code[0], code[1])
    });
    rows.collect()
}

/// Operation → members of its query and its JSON body.
fn operations() -> BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> {
    let document = provbroker::web::api::document();
    let mut all = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let query = operation["parameters"].as_array().into_iter().flatten().filter(|one| one["in"] == "query");
            let query = query.map(|one| one["name"].as_str().unwrap().to_owned()).collect();
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let schema = schema["$ref"]
                .as_str()
                .map_or(&Value::Null, |name| &document["components"]["schemas"][name.rsplit('/').next().unwrap()]);
            let properties = match &schema["oneOf"] {
                Value::Array(alternatives) => &alternatives[0]["properties"],
                _ => &schema["properties"],
            };
            let members = properties.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
            all.insert(format!("{} {path}", method.to_uppercase()), (query, members));
        }
    }
    all
}

#[test]
fn the_tasks_of_the_manual_are_all_operations_of_the_interface() {
    let operations = operations();
    let mut done = BTreeSet::new();
    for (line, beside) in tasks() {
        let (method, path) = call_of(line).operation();
        assert_eq!(beside, format!("{method} {path}"), "{line}");
        done.insert(beside.to_owned());
    }
    let except = NO_COMMAND.iter().map(|(operation, _)| (*operation).to_owned());
    assert!(except.clone().all(|operation| operations.contains_key(&operation)));
    assert_eq!(done.into_iter().chain(except).collect::<BTreeSet<_>>(), operations.into_keys().collect());
}

#[test]
fn commands_cover_all_parameters_of_the_interface_and_no_others() {
    let operations = operations();
    let mut said: BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
    for (line, beside) in tasks() {
        let (query, members) = &operations[beside];
        let call = call_of(line);
        let (all_query, all_members) = said.entry(beside.into()).or_default();
        for name in call.query_names() {
            assert!(query.contains(name), "{line}: {name}");
            all_query.insert(name.into());
        }
        for name in call.members().unwrap_or_default() {
            assert!(members.contains(name), "{line}: {name}");
            all_members.insert(name.into());
        }
        if call.members().is_none() {
            // Its members come from a file.
            all_members.extend(members.iter().cloned());
        }
    }
    for (operation, (query, members)) in &said {
        let (may_query, may_members) = &operations[operation];
        let wanted = |name: &&String| !OF_LISTS.contains(&name.as_str());
        assert_eq!(
            query.iter().collect::<Vec<_>>(),
            may_query.iter().filter(wanted).collect::<Vec<_>>(),
            "{operation}"
        );
        assert_eq!(members, may_members, "{operation}");
    }
}

#[test]
fn every_line_of_the_manual_is_a_command() {
    let blocks = MANUAL.split("```sh\n").skip(1).map(|block| block.split_once("```").unwrap().0);
    let lines: Vec<&str> = blocks.flat_map(str::lines).filter(|line| line.starts_with("provbroker ctl ")).collect();
    assert!(lines.len() >= 3, "{lines:?}");
    for line in lines {
        let line = line.split(" > ").next().unwrap().split(" # ").next().unwrap();
        call_of(line.trim_end());
    }
}

#[test]
fn the_manual_explains_every_reason_of_a_standstill() {
    let names = include_str!("../../src/core/model/blocked_reason.rs");
    let (_, rest) = names.split_once("pub enum Reason {").unwrap();
    let variants = rest.split_once('}').unwrap().0.lines().map(str::trim).filter(|line| line.ends_with(','));
    let mut count = 0;
    for variant in variants {
        let mut name = String::new();
        for c in variant.trim_end_matches(',').chars() {
            if c.is_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.extend(c.to_lowercase());
        }
        assert!(MANUAL.contains(&format!("| `{name}` |")), "{name}");
        count += 1;
    }
    assert_eq!(count, 14);
}

#[test]
fn wrong_arguments_are_reported_before_anything_is_sent() {
    let refused = |line: &str| Whole::try_parse_from(words(line)).map(|whole| whole.ctl.call(&FixedFiles)).is_err();
    for line in [
        "ctl",
        "ctl devices",
        "ctl devices list --online maybe",
        "ctl codes list --state gone",
        "ctl codes issue",
        "ctl domains create x --password hush",
        "ctl jobs update --utc-offset 60",
        "ctl categories get first",
    ] {
        assert!(refused(line), "{line}");
    }
    let unclear = Whole::try_parse_from(words("ctl devices list")).unwrap().ctl.call(&FixedFiles).unwrap();
    assert_eq!(unclear.path().unwrap_err().exit_code(), 2);
}
