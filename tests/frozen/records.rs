//! What is in a store after the program was used for everything once (`tests/fixtures/fill.py`): the kinds of records with the
//! types of their parts. What differs from run to run is left out of names and values.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use redb::{ReadableDatabase as _, ReadableTable as _, TableDefinition, TableHandle as _};
use regex_lite::Regex;
use serde_json::Value;

use crate::redis_server::RedisServer;
use crate::repository;

/// Kind of record → its parts.
type Kinds = BTreeMap<String, BTreeSet<String>>;

/// Runs the driver on an empty store. Looks into it while somebody is connected.
fn fill<T>(store: &str, folder: &Path, look: impl FnOnce() -> T) -> T {
    let identity = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, identity.cert.pem()).unwrap();
    std::fs::write(&key, identity.signing_key.serialize_pem()).unwrap();
    let mut driver = Command::new("python3")
        .arg("-B")
        .arg(repository("tests/fixtures/fill.py"))
        .args([env!("CARGO_BIN_EXE_provbroker"), store])
        .arg(folder)
        .arg("--certificate")
        .arg(certificate)
        .arg("--key")
        .arg(key)
        .arg("--hold")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 is in PATH");
    let mut line = String::new();
    BufReader::new(driver.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let seen = (line == "held\n").then(look);
    let done = driver.wait_with_output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    seen.expect("it has said so")
}

/// A name without what is different in each run or for each record.
fn general(name: &str) -> String {
    static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let rules = [
            (r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<mark>"),
            (r"\{(?:example\.com|second\.example)\}", "{<domain>}"),
            (r"\b(?:example\.com|second\.example)\b", "<domain>"),
            (r"guid-of-\w+", "<person>"),
            (r"\b(?:009033a000\w\d|gateway-1)\b", "<device>"),
            (r"\b[0-9a-f]{64}\b", "<hash>"),
            (r"\b[0-9a-f]{32}\b", "<id>"),
            (r"(sources:unassigned:of:|\{unassigned\}:of:)[0-9a-f]{12}\b", "${1}<source>"),
            (r"\b\d{12}\b", "<code>"),
            (r"\bnode-1(?:-\w{8})?\b", "<node>"),
            (r"\b(?:anna|otto|eva|clerk|operator)$", "<account>"),
            (r"(^|:)\d+\b", "$1<number>"),
            (r"^[0-9a-f]{12}$", "<source>"),
            (r"^cat:.*", "cat:<name>"),
        ];
        rules.iter().map(|(pattern, general)| (Regex::new(pattern).unwrap(), *general)).collect()
    });
    RULES.iter().fold(name.to_owned(), |name, (pattern, general)| pattern.replace_all(&name, *general).into_owned())
}

/// The parts of a JSON value with their types.
fn shape(at: &str, value: &Value, parts: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) if members.is_empty() => drop(parts.insert(format!("{at} {{}}"))),
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            shape(&format!("{at}.{}", general(name)), value, parts);
        }),
        Value::Array(all) if all.is_empty() => drop(parts.insert(format!("{at} []"))),
        Value::Array(all) => all.iter().for_each(|one| shape(&format!("{at}[]"), one, parts)),
        Value::String(text) => {
            // Words of the program itself: states, events, roles.
            let word = text.len() < 20 && text.contains(|c: char| c.is_ascii_lowercase()) && is_word(at);
            parts.insert(if word { format!("{at} \"{text}\"") } else { format!("{at} text") });
        }
        Value::Number(_) => drop(parts.insert(format!("{at} number"))),
        Value::Bool(_) => drop(parts.insert(format!("{at} truth"))),
        Value::Null => drop(parts.insert(format!("{at} null"))),
    }
}

/// Whether the values of this member are a fixed set of words.
fn is_word(at: &str) -> bool {
    ["event", "state", "kind", "role", "way", "entry", "what", "trouble", "type"]
        .iter()
        .any(|name| at.ends_with(&format!(".{name}")))
}

/// The parts of what Redis keeps as bytes.
fn bytes(at: &str, value: &[u8], parts: &mut BTreeSet<String>) {
    let Ok(text) = std::str::from_utf8(value) else {
        parts.insert(format!("{at} bytes"));
        return;
    };
    let (before, json) = text.split_at(text.find(['{', '[']).unwrap_or(text.len()));
    match serde_json::from_str(json) {
        Ok(json) => {
            let at = if before.is_empty() { at.to_owned() } else { format!("{at} …") };
            shape(&at, &json, parts);
        }
        Err(_) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            parts.insert(format!("{at} digits"));
        }
        Err(_) => drop(parts.insert(format!("{at} text"))),
    }
}

fn kinds_as_text(kinds: Kinds) -> String {
    let mut text = String::new();
    for (kind, parts) in kinds {
        writeln!(text, "{kind}").unwrap();
        for part in parts {
            writeln!(text, "  {}", part.trim()).unwrap();
        }
    }
    text
}

/// Keys that are there for some seconds only.
const PASSING: [&str; 3] = ["pb:ping", "pb:members", "pb:{example.com}:people:turn:codes"];

/// The records, and what the nodes have told each other.
pub fn in_redis() -> (String, String) {
    let (server, folder) = (RedisServer::start(&[]), tempfile::tempdir().unwrap());
    let client = redis::Client::open(server.url()).unwrap();
    let (mut bus, mut line) = (client.get_connection().unwrap(), client.get_connection().unwrap());
    let listener = std::thread::spawn(move || {
        let mut signals = Kinds::new();
        let mut bus = bus.as_pubsub();
        bus.subscribe("pb:bus").unwrap();
        // Until the server is gone.
        while let Ok(message) = bus.get_message() {
            let signal: Value = serde_json::from_slice(message.get_payload_bytes()).unwrap();
            let (name, content) = match &signal {
                Value::String(name) => (name.clone(), Value::Null),
                Value::Object(one) if one.len() == 1 => one.iter().next().map(|(k, v)| (k.clone(), v.clone())).unwrap(),
                other => panic!("{other}"),
            };
            shape("", &content, signals.entry(name).or_default());
        }
        signals
    });
    let kinds = fill(&server.url(), folder.path(), || everything(&mut line));
    drop(server);
    (kinds_as_text(kinds), kinds_as_text(listener.join().unwrap()))
}

fn everything(line: &mut redis::Connection) -> Kinds {
    let mut kinds = Kinds::new();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(line).unwrap();
    for key in keys.iter().filter(|key| !PASSING.contains(&key.as_str())) {
        let ask = |words: &[&str]| {
            let mut command = redis::cmd(words[0]);
            command.arg(key).arg(&words[1..]);
            command
        };
        let kind: String = ask(&["TYPE"]).query(line).unwrap();
        let rest: i64 = ask(&["PTTL"]).query(line).unwrap();
        let kept = if rest < 0 { "kept" } else { "with an end" };
        let mut parts = BTreeSet::new();
        match kind.as_str() {
            "hash" => {
                let fields: BTreeMap<String, Vec<u8>> = ask(&["HGETALL"]).query(line).unwrap();
                for (name, value) in fields {
                    bytes(&format!(".{}", general(&name)), &value, &mut parts);
                }
            }
            "string" => bytes("", &ask(&["GET"]).query::<Vec<u8>>(line).unwrap(), &mut parts),
            _ => {
                let words: &[&str] = match kind.as_str() {
                    "zset" => &["ZRANGE", "0", "-1"],
                    "list" => &["LRANGE", "0", "-1"],
                    _ => &["SMEMBERS"],
                };
                let members: Vec<Vec<u8>> = ask(words).query(line).unwrap();
                for member in members {
                    bytes("", &member, &mut parts);
                }
            }
        }
        kinds.entry(format!("{} {kind} {kept}", general(key))).or_default().append(&mut parts);
    }
    kinds
}

pub fn in_file() -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.redb");
    fill(&format!("embedded:{}", file.display()), folder.path(), || ());
    let file = redb::Database::open(file).unwrap();
    let transaction = file.begin_read().unwrap();
    let tables: BTreeSet<String> = transaction.list_tables().unwrap().map(|table| table.name().to_owned()).collect();
    assert_eq!(tables, ["counts", "expiry", "ranks", "rows", "scores"].map(str::to_owned).into());
    assert_eq!(transaction.list_multimap_tables().unwrap().count(), 0);
    let expiry = TableDefinition::<(u64, &str), ()>::new("expiry");
    let ranks = TableDefinition::<(&str, u64, &str), ()>::new("ranks");
    let scores = TableDefinition::<(&str, &str), u64>::new("scores");
    let counts = TableDefinition::<&str, u64>::new("counts");
    let rows = TableDefinition::<&str, &[u8]>::new("rows");
    transaction.open_table(expiry).unwrap();
    transaction.open_table(scores).unwrap();
    transaction.open_table(counts).unwrap();

    let mut kinds = Kinds::new();
    for row in transaction.open_table(rows).unwrap().iter().unwrap() {
        let (key, value) = row.unwrap();
        let (ends, json) = value.value().split_first_chunk::<8>().unwrap();
        let kept = if u64::from_be_bytes(*ends) == 0 { "kept" } else { "with an end" };
        let parts = kinds.entry(format!("row {} {kept}", general(key.value()))).or_default();
        shape("", &serde_json::from_slice(json).unwrap(), parts);
    }
    for rank in transaction.open_table(ranks).unwrap().iter().unwrap() {
        let rank = rank.unwrap();
        let (index, _, member) = rank.0.value();
        kinds.entry(format!("index {}", general(index))).or_default().insert(general(member));
    }
    kinds_as_text(kinds)
}
