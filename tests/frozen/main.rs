//! What others rely on and a restructuring must not change: keys and records of both stores, names of metrics, paths and shapes
//! of the REST interface, addresses of pages, configuration keys, words of the command line.
//!
//! Each test holds what the program has now against a file in `tests/golden/frozen/`. `GOLDEN=write` writes the files anew: do
//! that only for a change that is meant, and say so in the change log. Nothing here depends on where a source file lies or on
//! the name of a type: the program is run, or all of `src` is read.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

mod records;
#[path = "../support/redis_server.rs"]
mod redis_server;
mod sources;

/// A file of this repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Holds a text against the golden file of this name.
fn hold(name: &str, now: &str) {
    let path = repository("tests/golden/frozen").join(name);
    if std::env::var_os("GOLDEN").is_some_and(|what| what == "write") {
        std::fs::write(&path, now).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (now, golden): (Vec<_>, Vec<_>) = (now.lines().collect(), golden.lines().collect());
    let missing: Vec<_> = golden.iter().filter(|line| !now.contains(line)).collect();
    let new: Vec<_> = now.iter().filter(|line| !golden.contains(line)).collect();
    assert!(now == golden, "{name} has changed\ngone: {missing:#?}\nnew: {new:#?}");
}

/// What the program prints.
fn printed(arguments: &[&str]) -> String {
    let done = Command::new(env!("CARGO_BIN_EXE_provbroker")).args(arguments).output().unwrap();
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn lines(all: impl IntoIterator<Item = String>) -> String {
    all.into_iter().fold(String::new(), |text, line| text + &line + "\n")
}

#[test]
fn metrics() {
    let table = printed(&["metrics-table"]);
    let rows = table.lines().map(|row| {
        // The meaning, in the last column, may be said in other words.
        let columns: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(columns.len(), 4, "{row}");
        columns[..3].join(" | ")
    });
    let rows: BTreeSet<String> = rows.skip(2).collect();
    assert!(rows.len() > 50, "{}", rows.len());
    hold("metrics.txt", &lines(rows));
}

#[test]
fn rest_interface() {
    let document = provbroker::web::api::document();
    let mut text = String::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            writeln!(text, "{} {path} ({id})", method.to_uppercase()).unwrap();
            let mut shapes = BTreeSet::new();
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let need = if parameter["required"] == true { "required" } else { "optional" };
                let (place, name) = (parameter["in"].as_str().unwrap(), parameter["name"].as_str().unwrap());
                schema(&document, &parameter["schema"], &format!("{place} {name} ({need})"), &mut shapes);
            }
            content(&document, &operation["requestBody"], "request", &mut shapes);
            for (status, answer) in operation["responses"].as_object().unwrap() {
                shapes.insert(format!("answer {status}"));
                content(&document, answer, &format!("answer {status}"), &mut shapes);
            }
            for shape in shapes {
                writeln!(text, "  {shape}").unwrap();
            }
        }
    }
    hold("rest.txt", &text);
}

/// The bodies of a request or an answer, by media type.
fn content(document: &Value, body: &Value, at: &str, shapes: &mut BTreeSet<String>) {
    for (media, body) in body["content"].as_object().into_iter().flatten() {
        schema(document, &body["schema"], &format!("{at} {media}"), shapes);
    }
}

/// The members of a schema with their types. Names of schemas are not part of it: references are followed.
fn schema(document: &Value, schema: &Value, at: &str, shapes: &mut BTreeSet<String>) {
    fn go(document: &Value, schema: &Value, at: &str, depth: usize, shapes: &mut BTreeSet<String>) {
        if let Some(reference) = schema["$ref"].as_str() {
            // A schema may hold itself.
            if depth < 12 {
                go(document, document.pointer(&reference[1..]).unwrap(), at, depth + 1, shapes);
            }
            return;
        }
        for several in ["oneOf", "anyOf", "allOf"] {
            for one in schema[several].as_array().into_iter().flatten() {
                go(document, one, at, depth + 1, shapes);
            }
        }
        if let Some(values) = schema["enum"].as_array() {
            let values: Vec<_> = values.iter().map(ToString::to_string).collect();
            shapes.insert(format!("{at}: {}", values.join(" ")));
        } else if let Some(kind) = schema.get("type") {
            let format = schema["format"].as_str().map(|format| format!(" {format}")).unwrap_or_default();
            shapes.insert(format!("{at}: {}{format}", kind.to_string().replace('"', "")));
        }
        let required: Vec<_> = schema["required"].as_array().into_iter().flatten().collect();
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            let need = if required.contains(&&Value::from(name.as_str())) { "" } else { "?" };
            go(document, member, &format!("{at}.{name}{need}"), depth + 1, shapes);
        }
        for (word, member) in [("items", "[]"), ("additionalProperties", ".*")] {
            if schema[word].is_object() {
                go(document, &schema[word], &format!("{at}{member}"), depth + 1, shapes);
            }
        }
    }
    go(document, schema, at, 0, shapes);
}

#[test]
fn addresses() {
    let routes = sources::routes();
    assert!(routes.iter().filter(|route| route.contains("/operator/")).count() > 30, "{routes:#?}");
    hold("addresses.txt", &lines(routes));
}

#[test]
fn configuration() {
    let delivered = std::fs::read_to_string(repository("config/provbroker.toml")).unwrap();
    let table: toml::Table = toml::from_str(&delivered).unwrap();
    let mut keys = Vec::new();
    dotted("", &toml::Value::Table(table), &mut keys);
    assert!(keys.len() > 100, "{}", keys.len());
    hold("configuration.txt", &lines(keys));
}

/// Each key with its value, in the order of the file.
fn dotted(at: &str, value: &toml::Value, keys: &mut Vec<String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                dotted(&if at.is_empty() { key.clone() } else { format!("{at}.{key}") }, value, keys);
            }
        }
        toml::Value::Array(all) if all.first().is_some_and(toml::Value::is_table) => {
            for one in all {
                dotted(&format!("{at}[]"), one, keys);
            }
        }
        value => keys.push(format!("{at} = {value}")),
    }
}

/// Keys that the delivered file only names in comments: what can be in the tables of tenants and exchanges.
#[test]
fn configuration_of_tables() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("provbroker.toml");
    let tables = r#"
        [server]
        roles = ["users"]
        [users]
        backend = "pbx"
        devices = "ws://127.0.0.1:1/example.com/devices"
        tenants = [{ name = "example.com", password = "password-of-example-com" }]
        [users.pbx]
        exchanges = [{
            domain = "example.com", object = "users", password = "password-of-the-object", system = "system.example",
            pbx = "master", url = "wss://127.0.0.1:1/PBX0/APPS/websocket",
            fingerprint = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        }]
    "#;
    std::fs::write(&file, tables).unwrap();
    let said = printed(&["check-config", &file.display().to_string()]);
    assert!(said.starts_with("ok: "), "{said}");
}

#[test]
fn command_line() {
    let mut words = BTreeSet::new();
    commands(&mut vec![], &mut words);
    // Hidden ones are not in the help.
    for hidden in ["kinds-table", "metrics-table"] {
        assert!(!printed(&[hidden]).is_empty());
    }
    assert!(words.len() > 80, "{}", words.len());
    hold("command-line.txt", &lines(words));
}

/// The words of a command and of those below it, from their help.
fn commands(path: &mut Vec<String>, words: &mut BTreeSet<String>) {
    let mut arguments: Vec<&str> = path.iter().map(String::as_str).collect();
    arguments.push("--help");
    let help = printed(&arguments);
    let mut below = Vec::new();
    let mut part = "";
    for line in help.lines() {
        if !line.starts_with(' ') && line.ends_with(':') {
            part = line;
        }
        let word = line.split_whitespace().next().unwrap_or_default();
        let at = line.len() - line.trim_start().len();
        match part {
            "Commands:" if at == 2 && word != "help" => below.push(word.to_owned()),
            "Options:" if (2..=6).contains(&at) && word.starts_with('-') && word != "-h," => {
                let named = line.split("  ").map(str::trim).find(|text| !text.is_empty()).unwrap_or_default();
                words.insert(format!("{} {named}", path.join(" ")));
            }
            "Arguments:" if at == 2 => drop(words.insert(format!("{} {word}", path.join(" ")))),
            _ => {}
        }
    }
    for word in below {
        words.insert(format!("{} {word}", path.join(" ")));
        path.push(word);
        commands(path, words);
        path.pop();
    }
}

#[test]
fn redis_keys() {
    let keys = sources::redis_keys();
    assert!(keys.len() > 50, "{keys:#?}");
    hold("redis-keys.txt", &lines(keys));
}

/// What the program leaves in a Redis, and in a file, when it is used for everything once; and what nodes tell each other.
#[test]
fn records_in_redis() {
    let (records, signals) = records::in_redis();
    hold("redis-records.txt", &records);
    hold("signals.txt", &signals);
}

#[test]
fn records_in_file() {
    hold("file-records.txt", &records::in_file());
}
