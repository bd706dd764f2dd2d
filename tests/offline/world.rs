//! A centre, a site, and a folder in which files are carried.

use std::path::PathBuf;
use std::process::Command;

use provbroker::config::Config;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::broker::{Broker, CATEGORY, DOMAIN, INSTANCE_PASSWORD, Keep};
use crate::support::rest::Operator;
use crate::support::secrets;

/// A key file: random bytes in practice.
const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef";

/// The broker of the centre and what carries files from and to it.
pub struct World {
    pub centre: Broker,
    pub site: Broker,
    pub desk: Desk,
    _stores: [Keep; 2],
}

/// Somebody with the program and a folder.
pub struct Desk(TempDir);

/// Result of a command.
#[derive(Debug)]
pub struct Done {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// A site has no domains of its own.
pub fn empty(config: &mut Config) {
    config.domains = Vec::new();
}

impl World {
    /// The centre on Redis, the site on a file.
    pub fn start() -> Self {
        let stores = [Keep::redis(), Keep::embedded()];
        let centre = Broker::on(&stores[0], |_| {});
        Self { centre, site: Broker::on(&stores[1], empty), desk: Desk::new(), _stores: stores }
    }
}

impl Desk {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), KEY).unwrap();
        std::fs::write(dir.path().join("other-key"), KEY.replace('0', "f")).unwrap();
        Self(dir)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs `provbroker bundle …` against a broker.
    pub fn run(&self, broker: &Broker, arguments: &[&str], passphrase: Option<&str>) -> Done {
        let mut command = Command::new(env!("CARGO_BIN_EXE_provbroker"));
        command.arg("bundle").args(arguments).current_dir(self.0.path()).env_clear();
        command.env("PROVBROKER_URL", format!("http://{}", broker.addr)).env("PROVBROKER_PASSWORD", INSTANCE_PASSWORD);
        command.envs(passphrase.map(|passphrase| ("PROVBROKER_BUNDLE_PASSPHRASE", passphrase)));
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Done { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// A command that has to succeed, with the key file.
    pub fn done(&self, broker: &Broker, arguments: &[&str]) -> String {
        let done = self.run(broker, &[arguments, &["--key-file", "key"]].concat(), None);
        assert_eq!(done.code, 0, "{arguments:?}: {done:?}");
        done.out
    }

    /// A command that has to fail; returns its only line.
    pub fn refused(&self, broker: &Broker, arguments: &[&str]) -> String {
        let done = self.run(broker, &[arguments, &["--key-file", "key"]].concat(), None);
        assert!(done.code != 0 && done.out.is_empty(), "{arguments:?}: {done:?}");
        assert_eq!(done.err.lines().count(), 1, "{done:?}");
        done.err
    }

    /// Exports for the site `berlin`.
    pub fn export(&self, centre: &Broker, file: &str, more: &[&str]) {
        let arguments = ["export", file, "--in", DOMAIN, "--site", "berlin"];
        self.done(centre, &[&arguments[..], more].concat());
    }

    /// Exports the results of a site.
    pub fn results(&self, site: &Broker, file: &str) {
        self.done(site, &["export", file, "--in", DOMAIN, "--results"]);
    }

    /// Imports a file; the report.
    pub fn import(&self, broker: &Broker, file: &str) -> Value {
        serde_json::from_str(&self.done(broker, &["import", file, "--json"])).unwrap()
    }
}

/// Begins a roll-out at the centre; its number and the code of each user.
pub async fn rollout(operator: &Operator, users: &[&str]) -> (String, Vec<String>) {
    let users: Vec<_> = users.iter().map(|sip| json!({"sip": sip})).collect();
    let body = json!({"name": "Berlin", "category": CATEGORY, "users": users});
    let made = operator.done("POST", &format!("/domains/{DOMAIN}/rollouts"), Some(body)).await;
    let id = made["id"].to_string();
    let rows = operator.get(&format!("/domains/{DOMAIN}/rollouts/{id}/rows")).await;
    let codes = rows["rows"].as_array().unwrap().iter().map(|row| row["code"].as_str().unwrap().to_owned());
    let codes: Vec<_> = codes.collect();
    for code in &codes {
        secrets::note(code);
    }
    (id, codes)
}

/// State of a code, as an operator sees it.
pub async fn state(operator: &Operator, code: &str) -> String {
    let code = operator.get(&format!("/domains/{DOMAIN}/codes/{code}")).await;
    code["state"].as_str().unwrap().to_owned()
}
