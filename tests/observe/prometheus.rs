//! A real Prometheus for a test: from `PATH`, on a port of its own choice, in a temporary directory.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::raw::get;

/// A running server; killed and cleaned up when it is dropped.
pub struct Prometheus {
    child: Child,
    addr: SocketAddr,
    _dir: TempDir,
}

impl Prometheus {
    /// Scrapes `target` five times a second, and evaluates the delivered rules as often.
    pub fn scraping(target: SocketAddr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/grafana/alerts.yml");
        let config = format!(
            "global: {{ scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms }}\n\
             rule_files: [\"{rules}\"]\n\
             scrape_configs: [{{ job_name: provbroker, static_configs: [{{ targets: [\"{target}\"] }}] }}]\n"
        );
        std::fs::write(dir.path().join("prometheus.yml"), config).unwrap();
        let mut child = Command::new("prometheus")
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address=127.0.0.1:0"])
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("prometheus is in PATH");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let (mut addr, mut said) = (None, String::new());
        while let Some(line) = lines.next().filter(|line| !line.contains("Server is ready")) {
            if let Some((_, address)) = line.split_once("msg=\"Listening on\" address=") {
                addr = address.parse().ok();
            }
            said += &(line + "\n");
        }
        let addr = addr.unwrap_or_else(|| panic!("prometheus does not start: {said}"));
        // Its output has to be read all the time.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, addr, _dir: dir }
    }

    /// The `data` of an answer of its API; the error text if it refuses.
    pub async fn ask(&self, target: &str) -> Result<Value, String> {
        let answer = get(self.addr, &format!("/api/v1/{target}")).await;
        // A longer answer is sent in chunks.
        let json = match (answer.body.find('{'), answer.body.rfind('}')) {
            (Some(from), Some(to)) if answer.field("transfer-encoding").is_none() => answer.body[from..=to].to_owned(),
            _ => unchunked(&answer.body),
        };
        let mut answer: Value = serde_json::from_str(&json).map_err(|error| format!("{error}: {json}"))?;
        if answer["status"] == "success" { Ok(answer["data"].take()) } else { Err(answer["error"].to_string()) }
    }

    /// The current values of a query.
    pub async fn query(&self, query: &str) -> Result<Vec<f64>, String> {
        let query = utf8_percent_encode(query, NON_ALPHANUMERIC);
        let data = self.ask(&format!("query?query={query}")).await?;
        let value = |sample: &Value| sample["value"][1].as_str().and_then(|value| value.parse().ok());
        match data["result"].as_array() {
            Some(samples) => Ok(samples.iter().filter_map(value).collect()),
            None => Err(format!("no samples: {data}")),
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn unchunked(mut rest: &str) -> String {
    let mut whole = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || after.len() < size {
            break;
        }
        whole += &after[..size];
        rest = after[size..].trim_start_matches("\r\n");
    }
    whole
}
