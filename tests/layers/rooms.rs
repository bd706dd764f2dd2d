//! Which module within `core` may use which: `model` knows no other one, `protocol` only `model`, `policy` both,
//! `session` all.
//!
//! `policy` uses `protocol` for one reason: what a job means for a device is a list of its script lines and
//! configuration items.
//!
//! Paths count as they are written, so a name that a lower module takes from a re-export of a higher one is found too.
//! What stands under `#[cfg(test)]` does not count.

use crate::tree::{self, Unit, is_test};

/// The modules of `core` from the bottom up, each with those that it may use.
pub const ROOMS: [(&str, &[&str]); 4] = [
    ("model", &[]),
    ("protocol", &["model"]),
    ("policy", &["model", "protocol"]),
    ("session", &["model", "protocol", "policy"]),
];

/// The module of `core` that a file belongs to.
pub fn room(file: &str) -> Option<&str> {
    let inside = file.strip_prefix("src/core/")?;
    inside.split_once('/').map(|(room, _)| room)
}

/// Every use against the order in a file, one line each.
fn violations(file: &str, source: &str) -> Vec<String> {
    let Some(own) = room(file).filter(|_| !is_test(file)) else { return Vec::new() };
    let Some((_, may_use)) = ROOMS.iter().find(|(room, _)| *room == own) else {
        return vec![format!("{file}: {own} is no module of core")];
    };
    let unit = Unit::new(file, source);
    let mut found = Vec::new();
    for path in unit.paths.iter().filter_map(|path| unit.absolute(path)) {
        let [first, second, ..] = &path[..] else { continue };
        let is_room = first == "core" && ROOMS.iter().any(|(room, _)| room == second);
        if is_room && second != own && !may_use.contains(&second.as_str()) {
            found.push(format!("{file}: {own} uses {second}: {}", path.join("::")));
        }
    }
    found.sort();
    found.dedup();
    found
}

#[test]
fn every_file_of_core_keeps_to_its_room() {
    let mut found = Vec::new();
    for (file, source) in tree::sources(std::path::Path::new(env!("CARGO_MANIFEST_DIR"))) {
        found.extend(violations(&file, &source));
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn a_use_upwards_is_found() {
    for (file, source, complaint) in [
        ("src/core/model/a.rs", "use crate::core::protocol::json::Value;", "model uses protocol"),
        ("src/core/model/a.rs", "fn f() -> super::super::policy::entry::Step {}", "model uses policy"),
        ("src/core/protocol/a/b.rs", "use crate::core::{model::ids, policy::limits};", "protocol uses policy"),
        ("src/core/protocol/a/b.rs", "use crate::core::session::device::client;", "protocol uses session"),
        ("src/core/policy/mod.rs", "fn f() { super::session::run() }", "policy uses session"),
        ("src/core/other/a.rs", "", "other is no module"),
    ] {
        let found = violations(file, source);
        assert!(found.iter().any(|line| line.contains(complaint)), "{file}: {source}\n→ {found:?}");
    }
    for (file, source) in [
        ("src/core/model/a.rs", "use crate::core::model::ids; use super::time::Tick; //! [`crate::core::policy`]"),
        ("src/core/model/a.rs", "#[cfg(test)] mod tests { use crate::core::policy::entry; }"),
        ("src/core/model/tests.rs", "use crate::core::policy::entry;"),
        ("src/core/session/a.rs", "use crate::core::{model::ids, policy::limits, protocol::json};"),
        ("src/store/a.rs", "use crate::core::session::device;"),
    ] {
        let found = violations(file, source);
        assert!(found.is_empty(), "{file}: {source}\n→ {found:?}");
    }
}
