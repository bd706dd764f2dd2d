//! An operator at the REST interface, over a plain socket.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::raw::{Answer, LOCALHOST, exchange};
use super::secrets;

/// A caller with a token.
pub struct Operator {
    to: SocketAddr,
    token: String,
}

impl Operator {
    /// Gets a token for a domain; without one, for the instance.
    pub async fn log_in(to: SocketAddr, domain: Option<&str>, password: &str) -> Self {
        let mut this = Self { to, token: String::new() };
        let answer = this.post("/api/v1/token", &json!({"domain": domain, "password": password})).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        json_of(&answer)["token"].as_str().unwrap().clone_into(&mut this.token);
        secrets::note(&this.token);
        this
    }

    /// The token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Any request. A chunked body is joined; `None` if it is incomplete.
    pub async fn try_request(&self, method: &str, target: &str, kind: &str, body: &str) -> Option<Answer> {
        let authorization = match self.token.as_str() {
            "" => String::new(),
            token => format!("Authorization: Bearer {token}\r\n"),
        };
        let content = match kind {
            "" => String::new(),
            kind => format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len()),
        };
        let host = self.to;
        let head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        let mut answer = exchange(LOCALHOST, self.to, &format!("{head}{authorization}{content}\r\n{body}")).await;
        if answer.field("transfer-encoding") == Some("chunked") {
            answer.body = unchunked(&answer.body)?;
        }
        Some(answer)
    }

    pub async fn get(&self, target: &str) -> Answer {
        self.try_request("GET", target, "", "").await.expect("a whole answer")
    }

    /// The JSON of a successful GET.
    pub async fn read(&self, target: &str) -> Value {
        let answer = self.get(target).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.body);
        json_of(&answer)
    }

    pub async fn post(&self, target: &str, body: &Value) -> Answer {
        let body = body.to_string();
        self.try_request("POST", target, "application/json", &body).await.expect("a whole answer")
    }

    pub async fn delete(&self, target: &str) -> Answer {
        self.try_request("DELETE", target, "", "").await.expect("a whole answer")
    }

    pub async fn post_csv(&self, target: &str, csv: &str) -> Answer {
        self.try_request("POST", target, "text/csv; charset=utf-8", csv).await.expect("a whole answer")
    }
}

/// The body as JSON.
pub fn json_of(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("{e}: {}", answer.body))
}

/// Joins chunks; `None` without the last one.
fn unchunked(mut body: &str) -> Option<String> {
    let mut whole = String::new();
    loop {
        let (length, rest) = body.split_once("\r\n")?;
        let length = usize::from_str_radix(length, 16).expect("the length of a chunk");
        if length == 0 {
            return Some(whole);
        }
        whole.push_str(rest.get(..length)?);
        body = rest.get(length + 2..)?;
    }
}
