//! The commands of the documents work, with the files of `examples/`, the delivered configuration and the real program.
//!
//! A block of commands that a test runs has a comment on the line above it, `<!-- test: NAME -->`:
//!
//! * `files`: needs only the files of the repository;
//! * `broker`: needs a broker with `config/provbroker.toml`, as `make run` starts it;
//! * `nodes`: each line starts a node, all of them on one Redis.
//!
//! A block that names a file below `examples/` must have such a comment.

// Helpers of tests may fail like tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

#[path = "support/redis_server.rs"]
mod redis_server;

use redis_server::RedisServer;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const PROGRAM: &str = env!("CARGO_BIN_EXE_provbroker");

/// The names that a block may have.
const NAMES: [&str; 3] = ["files", "broker", "nodes"];

/// The longest README.
const README_LINES: usize = 150;

/// A broker that does not serve after this time does not start at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who runs the commands against the delivered tenant.
const OPERATOR: [(&str, &str); 2] = [("PROVBROKER_PASSWORD", "domain-secret"), ("PROVBROKER_DOMAIN", "example.com")];

/// A fenced block of a document.
#[derive(Debug)]
struct Block {
    /// File and line.
    place: String,
    /// What stands behind the opening fence.
    language: String,
    /// The name in the comment on the line above.
    test: Option<String>,
    text: String,
}

/// The files in a folder and in the folders within it, in order.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(below(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|its| its == extension)
}

/// The path from the root of the repository.
fn short(path: &Path) -> String {
    path.strip_prefix(ROOT).unwrap().display().to_string()
}

/// Name and text of every document: those at the root, all below `docs`, and the list of the tests.
fn documents() -> Vec<(String, String)> {
    let root = Path::new(ROOT);
    let at_root = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = at_root.filter(|path| path.is_file()).collect();
    paths.extend(below(&root.join("docs")));
    paths.push(root.join("tests/README.md"));
    paths.retain(|path| has_extension(path, "md"));
    paths.sort();
    paths.iter().map(|path| (short(path), std::fs::read_to_string(path).unwrap())).collect()
}

/// Every fenced block of every document.
fn blocks() -> Vec<Block> {
    let mut all = Vec::new();
    for (name, text) in documents() {
        let mut open: Option<Block> = None;
        let mut above = "";
        for (number, line) in text.lines().enumerate() {
            match (&mut open, line.trim().strip_prefix("```")) {
                (None, Some(language)) => {
                    let comment = above.trim().strip_prefix("<!-- test:").and_then(|rest| rest.strip_suffix("-->"));
                    open = Some(Block {
                        place: format!("{name}:{}", number + 1),
                        language: language.to_owned(),
                        test: comment.map(|test| test.trim().to_owned()),
                        text: String::new(),
                    });
                }
                (Some(block), None) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (Some(_), Some(_)) => all.extend(open.take()),
                (None, None) => {}
            }
            above = line;
        }
        assert!(open.is_none(), "{name}: a fenced block does not end");
    }
    all
}

/// The blocks with a name; there is at least one.
fn named(name: &str) -> Vec<Block> {
    let found: Vec<Block> = blocks().into_iter().filter(|block| block.test.as_deref() == Some(name)).collect();
    assert!(!found.is_empty(), "no document has a block of commands named {name}");
    found
}

/// Runs commands as a person in the folder of the repository does. The first one that fails ends them.
fn shell(script: &str, environment: &[(&str, &str)]) -> Output {
    let programs = Path::new(PROGRAM).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    Command::new("sh")
        .args(["-euc", script])
        .current_dir(ROOT)
        .env_clear()
        .env("PATH", path)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The standard output of commands that succeed.
fn output_of(place: &str, script: &str, environment: &[(&str, &str)]) -> String {
    let done = shell(script, environment);
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{place}: {}\n{script}\n{out}{err}", done.status);
    out.into_owned()
}

/// A running broker; ended when it is dropped.
struct Broker {
    child: Child,
    url: String,
    _folder: TempDir,
}

impl Broker {
    /// Starts `provbroker serve …` on free ports and waits until it serves. Phones are entered in a temporary folder, and so is
    /// the store, unless it is elsewhere.
    fn start(arguments: &[&str], store: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let embedded = format!("embedded:{}", folder.path().join("store.redb").display());
        let mut child = Command::new(PROGRAM)
            .args(arguments)
            .args(["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"])
            .args(["--store", store.unwrap_or(&embedded)])
            .current_dir(ROOT)
            .env_clear()
            .env("PROVBROKER__LOG__FORMAT", "json")
            .env("PROVBROKER__USERS__FILE__PHONES", folder.path().join("phones.csv"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let (sender, receiver) = mpsc::channel::<SocketAddr>();
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                let event: Value = serde_json::from_str(&line).unwrap_or_default();
                match event["listen"].as_str() {
                    // The receiver is gone once the broker serves.
                    Some(listen) if event["message"] == "serving" => drop(sender.send(listen.parse().unwrap())),
                    _ => eprintln!("broker: {line}"),
                }
            }
        });
        // Dropped, and so ended, if it does not serve.
        let mut broker = Self { child, url: String::new(), _folder: folder };
        let address = receiver.recv_timeout(PATIENCE).expect("the broker serves");
        broker.url = format!("http://{address}");
        broker
    }

    /// What commands need to reach it as the operator of the delivered tenant.
    fn environment(&self) -> Vec<(&str, &str)> {
        [&[("PROVBROKER_URL", self.url.as_str())], &OPERATOR[..]].concat()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_block_that_names_an_example_is_run() {
    for block in blocks() {
        if let Some(name) = &block.test {
            assert!(NAMES.contains(&name.as_str()), "{}: there is no test named {name}", block.place);
            assert_eq!(block.language, "sh", "{}: only blocks of sh are run", block.place);
        } else {
            let free = block.language != "sh" || !block.text.contains("examples/");
            assert!(free, "{}: put <!-- test: NAME --> above this block", block.place);
        }
    }
}

#[test]
fn the_documents_name_all_examples_and_no_others() {
    let in_path = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let mut named = BTreeSet::new();
    for (document, text) in documents() {
        for word in text.split(|c| !in_path(c)) {
            let Some((before, rest)) = word.split_once("examples/") else { continue };
            if !before.is_empty() && !before.ends_with("../") {
                continue;
            }
            let path = format!("examples/{}", rest.trim_end_matches(['.', '/']));
            assert!(Path::new(ROOT).join(&path).exists(), "{document}: there is no {path}");
            named.insert(path);
        }
    }
    for path in below(&Path::new(ROOT).join("examples")) {
        assert!(named.contains(&short(&path)), "no document names {}", short(&path));
    }
}

#[test]
fn every_configuration_is_right() {
    let root = Path::new(ROOT);
    let all = [below(&root.join("config")), below(&root.join("examples"))].concat();
    let files: Vec<String> = all.iter().filter(|path| has_extension(path, "toml")).map(|path| short(path)).collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let out = output_of(&file, &format!("provbroker check-config {file}"), &[]);
        assert!(out.starts_with("ok: "), "{file}: {out}");
        assert!(!out.contains("warning: "), "{file}: {out}");
    }
}

#[test]
fn the_list_of_users_has_the_columns_of_the_document() {
    let document = std::fs::read_to_string(Path::new(ROOT).join("docs/users.md")).unwrap();
    let mut list = csv::Reader::from_path(Path::new(ROOT).join("examples/users.csv")).unwrap();
    for column in &list.headers().unwrap().clone() {
        assert!(document.contains(&format!("\n| `{column}` |")), "{column}");
    }
    // A row with more or less cells than the head line is an error.
    let people: Vec<csv::StringRecord> = list.records().map(Result::unwrap).collect();
    assert_eq!(&people[0][0], "anna");
}

#[test]
fn commands_about_files() {
    for block in named("files") {
        output_of(&block.place, &block.text, &[]);
    }
}

#[test]
fn commands_against_a_broker() {
    for block in named("broker") {
        let broker = Broker::start(&["serve", "--config", "config/provbroker.toml"], None);
        output_of(&block.place, &block.text, &broker.environment());
    }
}

#[test]
fn nodes_on_one_redis() {
    for block in named("nodes") {
        let redis = RedisServer::start(&[]);
        let start = |line: &str| {
            let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
            assert_eq!(words[..2], ["provbroker", "serve"], "{}: {line}", block.place);
            Broker::start(&words[1..], Some(&redis.url()))
        };
        let nodes: Vec<Broker> = block.text.lines().map(start).collect();
        assert!(nodes.len() > 1, "{}", block.place);

        // A code that one node issues is known to all of them.
        let issue = "provbroker ctl codes issue --category 'Desk phones' --json";
        let issued: Value = serde_json::from_str(&output_of(&block.place, issue, &nodes[0].environment())).unwrap();
        for node in &nodes {
            let list = output_of(&block.place, "provbroker ctl codes list --json", &node.environment());
            let list: Value = serde_json::from_str(&list).unwrap();
            assert_eq!(list[0]["code"], issued["code"], "{list}");
        }
    }
}

#[test]
fn every_test_binary_has_a_line() {
    let tests = Path::new(ROOT).join("tests");
    let list = std::fs::read_to_string(tests.join("README.md")).unwrap();
    for entry in std::fs::read_dir(&tests).unwrap() {
        let path = entry.unwrap().path();
        if has_extension(&path, "rs") || path.join("main.rs").is_file() {
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert!(list.contains(&format!("\n| `{name}` |")), "tests/README.md has no line for {name}");
        }
    }
}

#[test]
fn the_readme_is_short() {
    let lines = std::fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap().lines().count();
    assert!(lines <= README_LINES, "README.md has {lines} lines; move what is not for a newcomer to docs/");
}
