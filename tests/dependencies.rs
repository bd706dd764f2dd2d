//! Checks licences, sources and duplicates of all dependencies against `deny.toml`.
//!
//! `cargo deny` reads the same file and checks more, but takes longer to install than the whole test run. Known
//! vulnerabilities are checked by `cargo deny` only.

// Helper functions may fail like tests; clippy only excuses functions marked as tests.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

const POLICY: &str = include_str!("../deny.toml");

fn policy() -> toml::Table {
    toml::from_str(POLICY).unwrap()
}

fn texts(list: &toml::Value) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// The packages of this platform: a build does not download those of others.
fn packages() -> Vec<Value> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let rustc = Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(rustc.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", host])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Whether the allowed licences satisfy a licence expression. `AND` binds closer than `OR`; an exception adds rights,
/// so `WITH …` is ignored; `/` is the old form of `OR`.
fn allowed(expression: &str, licences: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let met = either(&words, &mut at, licences);
    assert_eq!(at, words.len(), "not understood: {expression}");
    met
}

fn either(words: &[&str], at: &mut usize, licences: &BTreeSet<String>) -> bool {
    let mut met = both(words, at, licences);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= both(words, at, licences);
    }
    met
}

fn both(words: &[&str], at: &mut usize, licences: &BTreeSet<String>) -> bool {
    let mut met = one(words, at, licences);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(words, at, licences);
    }
    met
}

fn one(words: &[&str], at: &mut usize, licences: &BTreeSet<String>) -> bool {
    let word = words.get(*at).copied().unwrap_or_default();
    *at += 1;
    if word == "(" {
        let met = either(words, at, licences);
        assert_eq!(words.get(*at), Some(&")"), "bracket not closed");
        *at += 1;
        return met;
    }
    if words.get(*at) == Some(&"WITH") {
        *at += 2;
    }
    licences.contains(word)
}

#[test]
fn every_licence_is_allowed() {
    let licences = texts(&policy()["licenses"]["allow"]);
    for package in packages() {
        let (name, expression) = (&package["name"], package["license"].as_str().unwrap_or("none"));
        assert!(allowed(expression, &licences), "{name}: {expression}");
    }
}

#[test]
fn everything_comes_from_the_registry() {
    let registries = texts(&policy()["sources"]["allow-registry"]);
    for package in packages() {
        let Some(source) = package["source"].as_str() else {
            let path = package["manifest_path"].as_str().unwrap();
            assert!(path.starts_with(env!("CARGO_MANIFEST_DIR")), "outside of the workspace: {path}");
            continue;
        };
        let registry = source.strip_prefix("registry+").unwrap_or(source);
        assert!(registries.contains(registry), "{}: {source}", package["name"]);
    }
}

#[test]
fn nothing_is_built_in_twice_without_a_reason() {
    let policy = policy();
    let skipped: BTreeSet<&str> = policy["bans"]["skip"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            assert!(entry["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{entry}");
            entry["crate"].as_str().unwrap()
        })
        .collect();
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages() {
        let (name, version) = (package["name"].as_str().unwrap(), package["version"].as_str().unwrap());
        let excused = skipped.iter().any(|entry| {
            entry
                .split_once('@')
                .is_some_and(|(of, at)| of == name && format!("{version}.").starts_with(&format!("{at}.")))
        });
        if !excused {
            versions.entry(name.into()).or_default().push(version.into());
        }
    }
    let twice: Vec<_> = versions.iter().filter(|(_, versions)| versions.len() > 1).collect();
    assert!(twice.is_empty(), "give a reason in deny.toml, or agree on one version: {twice:?}");
}

#[test]
fn licence_expressions_are_read_rightly() {
    let licences: BTreeSet<String> = ["MIT", "ISC", "Apache-2.0"].map(str::to_owned).into();
    for good in [
        "MIT",
        "GPL-3.0 OR MIT",
        "GPL-3.0/MIT",
        "MIT AND ISC",
        "(GPL-3.0 OR MIT) AND ISC",
        "GPL-3.0 AND ISC OR MIT",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(allowed(good, &licences), "{good}");
    }
    for bad in ["GPL-3.0", "none", "MIT AND GPL-3.0", "(GPL-3.0 OR MIT) AND GPL-2.0", "GPL-3.0 OR MIT AND GPL-2.0"] {
        assert!(!allowed(bad, &licences), "{bad}");
    }
}
