//! Which top-level module may use which, and what some of them must not touch.
//!
//! Every path counts, also in the unit tests: `use` trees and paths in code. `super::` chains that leave a top-level
//! module are followed.

use std::collections::BTreeSet;
use std::path::Path;

use crate::paths;
use crate::tree;

/// What every module of the server may use.
const LEAVES: [&str; 6] = ["core", "clock", "random", "metrics", "lifecycle", "config"];

/// Which modules of the server each one may use, besides itself and [`LEAVES`]. A module stands below all that use it.
const SERVER: &[(&str, &[&str])] = &[
    ("directory", &["store"]),
    ("attempts", &["store"]),
    ("tenant_cache", &["store"]),
    ("registration", &["attempts", "tenant_cache", "directory", "store"]),
    ("admission", &[]),
    ("connection", &["admission", "store"]),
    ("mailbox", &["connection", "admission", "registration", "attempts", "tenant_cache", "directory", "store"]),
    (
        "tenant",
        &["mailbox", "connection", "admission", "registration", "attempts", "tenant_cache", "directory", "store"],
    ),
    (
        "device",
        &[
            "tenant",
            "mailbox",
            "connection",
            "admission",
            "registration",
            "attempts",
            "tenant_cache",
            "directory",
            "store",
        ],
    ),
    // Requests for a device of its domain go through the tunnel of the device.
    (
        "app_connection",
        &[
            "device",
            "tenant",
            "mailbox",
            "connection",
            "admission",
            "registration",
            "attempts",
            "tenant_cache",
            "directory",
            "store",
        ],
    ),
    (
        "node",
        &[
            "device",
            "app_connection",
            "tenant",
            "mailbox",
            "connection",
            "admission",
            "registration",
            "attempts",
            "tenant_cache",
            "directory",
            "store",
        ],
    ),
    // It takes the services that it uses, not the node, and knows no connection actor.
    ("admin", &["tenant", "connection", "admission", "registration", "attempts", "tenant_cache", "directory", "store"]),
    // It talks to Devices over the wire only, also in the same process.
    ("users_role", &["connection", "attempts", "store"]),
    (
        "web",
        &[
            "accounts",
            "admin",
            "users_role",
            "node",
            "device",
            "app_connection",
            "tenant",
            "mailbox",
            "connection",
            "admission",
            "registration",
            "attempts",
            "tenant_cache",
            "directory",
            "store",
        ],
    ),
    (
        "app",
        &[
            "web",
            "accounts",
            "admin",
            "users_role",
            "node",
            "device",
            "app_connection",
            "tenant",
            "mailbox",
            "connection",
            "admission",
            "registration",
            "attempts",
            "tenant_cache",
            "directory",
            "store",
        ],
    ),
];

/// The other modules, with all that each may use.
const OTHERS: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("clock", &["core"]),
    ("random", &["core"]),
    // The reasons of a close name the series.
    ("metrics", &["core"]),
    ("lifecycle", &["core", "clock", "metrics"]),
    ("config", &["core"]),
    // The simulated side needs time and randomness of its own; it knows nothing of the server.
    ("sim", &["core", "clock", "random"]),
    ("store", &["core", "clock", "random", "metrics"]),
    ("accounts", &["attempts", "tenant_cache", "store", "core", "clock", "random", "config"]),
    ("demo", &["app", "sim", "config", "core", "clock", "random", "lifecycle", "store"]),
    // It speaks HTTP like any operator.
    ("ctl", &["core"]),
    ("logging", &["core", "clock", "metrics"]),
    ("main", &["ctl", "demo", "app", "config", "lifecycle", "logging", "metrics", "core", "cli"]),
    ("loadtest", &["core", "sim"]),
];

fn row(table: &'static [(&str, &[&str])], module: &str) -> Option<&'static [&'static str]> {
    table.iter().find(|(name, _)| *name == module).map(|(_, uses)| *uses)
}

/// The other modules that a module may use; `None`: there is no such module.
fn may_use(module: &str) -> Option<Vec<&'static str>> {
    match row(SERVER, module) {
        Some(uses) => Some([uses, &LEAVES].concat()),
        None => row(OTHERS, module).map(<[&str]>::to_vec),
    }
}

/// What the pure core must not touch: I/O, clocks, randomness, logs, metrics.
const IMPURE: &[&str] = &[
    "actix",
    "actix_codec",
    "actix_http",
    "actix_rt",
    "actix_server",
    "actix_service",
    "actix_web",
    "actix_web_actors",
    "deadpool_redis",
    "getrandom",
    "metrics",
    "metrics_exporter_prometheus",
    "mio",
    "procfs",
    "rand",
    "rand_chacha",
    "rand_core",
    "redb",
    "redis",
    "reqwest",
    "signal_hook_registry",
    "socket2",
    "tempfile",
    "tikv_jemallocator",
    "tokio",
    "tokio_rustls",
    "tokio_tungstenite",
    "tokio_util",
    "tracing",
    "tracing_subscriber",
    "std::env",
    "std::fs",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
];

/// Crates that may only be named in certain files, given by how their paths begin.
const ONLY_IN: &[(&str, &[&str])] = &[
    (
        "actix_web_actors",
        &[
            "src/connection/",
            "src/device/",
            "src/app_connection/",
            "src/node/",
            "src/users_role/exchange_connection",
            "src/web/upgrade",
            "loadtest/src/floor",
        ],
    ),
    ("redis", &["src/store/"]),
    ("deadpool_redis", &["src/store/"]),
    ("redb", &["src/store/"]),
    ("anyhow", &["src/main.rs", "src/app", "src/demo", "loadtest/"]),
];

/// What the simulated side must not touch: it would be the server testing itself.
const NOT_IN_SIM: &[&str] =
    &["actix", "actix_web", "actix_web_actors", "actix_http", "redis", "redb", "deadpool_redis"];

/// The top-level module of a file, and how many modules deep the file is.
pub fn module_of(file: &str) -> Option<(&str, usize)> {
    if file.starts_with("loadtest/src/") {
        return Some(("loadtest", 0));
    }
    let inside = file.strip_prefix("src/")?.strip_suffix(".rs")?;
    let inside = inside.strip_suffix("/mod").unwrap_or(inside);
    let top = inside.split('/').next()?;
    match top {
        "lib" => None,
        "main" | "cli" => Some(("main", 0)),
        _ => Some((top, inside.split('/').count())),
    }
}

/// Every rule that a file breaks, one line each.
fn violations(file: &str, source: &str) -> Vec<String> {
    let mut found = BTreeSet::new();
    let Some((module, depth)) = module_of(file) else { return found.into_iter().collect() };
    let Some(allowed) = may_use(module) else {
        found.insert(format!("{file}: module {module} has no place in the drawing"));
        return found.into_iter().collect();
    };

    let paths = paths::paths(source);
    // A name that was imported from our own crate hides an external crate of the same name.
    let ours: BTreeSet<&str> =
        paths.iter().filter(|path| path.is_internal()).filter_map(|path| path.imported_as()).collect();
    for path in &paths {
        if let Some(top) = path.top_level(depth, module == "main" || module == "loadtest") {
            let known = may_use(top).is_some() || top == "cli";
            if known && top != module && !allowed.contains(&top) {
                found.insert(format!("{file}: {module} uses {top}"));
            }
            continue;
        }
        if path.is_internal() || (!path.global && !path.imports && ours.contains(path.root())) {
            continue;
        }
        let begins = |with: &&&str| path.begins_with(with);
        let banned = match module {
            "core" => IMPURE.iter().find(begins),
            "sim" => NOT_IN_SIM.iter().find(begins),
            _ => None,
        };
        if let Some(name) = banned {
            found.insert(format!("{file}: {module} uses {name}"));
        }
        for (name, places) in ONLY_IN {
            if path.begins_with(name) && !places.iter().any(|place| file.starts_with(place)) {
                found.insert(format!("{file}: {name} belongs in {}", places.join(", ")));
            }
        }
    }
    found.into_iter().collect()
}

#[test]
fn every_file_keeps_to_the_drawing() {
    let mut found = Vec::new();
    for (file, source) in tree::sources(Path::new(env!("CARGO_MANIFEST_DIR"))) {
        found.extend(violations(&file, &source));
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn every_module_of_the_library_has_a_place_in_the_drawing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let library = std::fs::read_to_string(root.join("src/lib.rs")).unwrap();
    let modules = library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    for module in modules {
        assert!(may_use(module).is_some(), "{module}");
        assert!(library.lines().any(|line| line.starts_with("//!") && line.contains(module)), "{module} is not drawn");
    }
}

#[test]
fn a_wrong_line_is_found() {
    for (file, source, complaint) in [
        ("src/core/a.rs", "use crate::store::Store;", "core uses store"),
        ("src/core/a.rs", "use crate::{core::model::ids, store::{self, Codes}};", "core uses store"),
        ("src/core/a.rs", "fn f() { crate::metrics::count(1) }", "core uses metrics"),
        ("src/core/a.rs", "fn f() { super::super::clock::now() }", "core uses clock"),
        ("src/core/mod.rs", "use super::clock;", "core uses clock"),
        ("src/core/a.rs", "use tokio::sync::mpsc;", "core uses tokio"),
        ("src/core/a.rs", "use tokio;", "core uses tokio"),
        ("src/core/a.rs", "fn f() { ::tracing::info!(\"x\") }", "core uses tracing"),
        ("src/core/a.rs", "fn f() { tracing::info!(\"x\") }", "core uses tracing"),
        ("src/core/a.rs", "use std::{fmt, time::{Duration, Instant}};", "core uses std::time::Instant"),
        ("src/core/a.rs", "fn f() { let t = std::time::SystemTime::now(); }", "core uses std::time::SystemTime"),
        ("src/core/a.rs", "use {serde::Serialize, redis as r};", "core uses redis"),
        ("src/store/a.rs", "use crate::tenant::DomainActor;", "store uses tenant"),
        ("src/registration.rs", "use crate::web;", "registration uses web"),
        ("src/directory.rs", "use crate::registration::issue;", "directory uses registration"),
        ("src/registration/tests.rs", "use super::super::device::x;", "registration uses device"),
        ("src/device/a.rs", "use crate::web::x;", "device uses web"),
        ("src/connection/a.rs", "use crate::tenant::x;", "connection uses tenant"),
        ("src/mailbox/a.rs", "use crate::device::x;", "mailbox uses device"),
        ("src/node.rs", "use crate::admin::x;", "node uses admin"),
        ("src/users_role/a.rs", "use crate::registration::x;", "users_role uses registration"),
        ("src/users_role/a.rs", "use crate::tenant::x;", "users_role uses tenant"),
        ("src/admin/a.rs", "use crate::users_role::UsersRole;", "admin uses users_role"),
        ("src/web/a.rs", "use crate::app;", "web uses app"),
        ("src/app.rs", "use crate::demo;", "app uses demo"),
        ("src/sim/a.rs", "use crate::store::Codes;", "sim uses store"),
        ("src/sim/a.rs", "use actix::Actor;", "sim uses actix"),
        ("src/main.rs", "use provbroker::store::Codes;", "main uses store"),
        ("loadtest/src/main.rs", "use provbroker::{core, store};", "loadtest uses store"),
        ("src/web/routes.rs", "use actix_web_actors::ws;", "actix_web_actors belongs in"),
        ("src/app.rs", "use actix_web_actors::ws;", "actix_web_actors belongs in"),
        ("src/web/a.rs", "fn f() { redis::cmd(\"X\") }", "redis belongs in"),
        ("src/web/a.rs", "use anyhow::Result;", "anyhow belongs in"),
        ("src/ctl/a.rs", "use crate::admin::Admin;", "ctl uses admin"),
        ("src/extra.rs", "", "has no place"),
    ] {
        let found = violations(file, source);
        assert!(found.iter().any(|line| line.contains(complaint)), "{file}: {source}\n→ {found:?}");
    }
}

#[test]
fn a_right_line_is_not() {
    for (file, source) in [
        ("src/core/a.rs", "//! [`crate::store`]\n// use tokio::x;\n/* use tokio::y; /* nested */ use redis::z; */"),
        (
            "src/core/a.rs",
            "const A: &str = \"use tokio::x;\"; const B: &str = r#\"crate::store::\"x\"#; const C: char = '\"';",
        ),
        (
            "src/core/a.rs",
            "use crate::core::model::ids; use super::time::Tick; mod tests { use super::*; use std::time::Duration; }",
        ),
        ("src/core/session/app/a.rs", "fn f<'a>(m: &'a M) { m.redis::<u8>(); x::tokio::y(); }"),
        ("src/store/a.rs", "use crate::{core::model::ids, metrics}; fn f() { metrics::count(1); redis::cmd(\"X\"); }"),
        ("src/app.rs", "use crate::store::{embedded, redis}; fn f() { redis::open(); }"),
        ("src/device/actor.rs", "use actix_web_actors::ws; use crate::{registration, metrics::{self, Counter}};"),
        ("src/web/upgrade.rs", "use actix_web_actors::ws;"),
        ("src/main.rs", "mod cli; use crate::cli::Cli; use provbroker::{app, config::{self, Config}};"),
        ("src/lib.rs", "pub mod core;"),
        ("loadtest/src/main.rs", "use provbroker::sim::phone; use tokio::x; use crate::report; mod report;"),
    ] {
        let found = violations(file, source);
        assert!(found.is_empty(), "{file}: {source}\n→ {found:?}");
    }
}
