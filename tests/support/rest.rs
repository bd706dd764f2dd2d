//! An operator at the REST interface, over plain HTTP and JSON.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::broker::INSTANCE_PASSWORD;
use super::raw::{LOCALHOST, exchange};
use super::secrets;

/// A caller with a token.
pub struct Operator {
    to: SocketAddr,
    token: String,
}

impl Operator {
    /// Gets a token with the password of a domain.
    pub async fn of(to: SocketAddr, domain: &str, password: &str) -> Self {
        let nobody = Self { to, token: String::new() };
        let (status, answer) =
            nobody.call("POST", "/token", Some(json!({"domain": domain, "password": password}))).await;
        assert_eq!(status, 200, "{answer}");
        let token = answer["token"].as_str().unwrap().to_owned();
        secrets::note(&token);
        Self { to, token }
    }

    /// Gets a token with the password of the instance.
    pub async fn of_instance(to: SocketAddr) -> Self {
        Self::of(to, "", INSTANCE_PASSWORD).await
    }

    /// Status and JSON of the answer; null without a body. `path` follows `/api/v1`.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let token =
            if self.token.is_empty() { String::new() } else { format!("Authorization: Bearer {}\r\n", self.token) };
        let host = self.to;
        let request = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{token}{kind}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = exchange(LOCALHOST, self.to, &request).await;
        let json = if answer.body.is_empty() { Value::Null } else { serde_json::from_str(&answer.body).unwrap() };
        if answer.status >= 400 {
            assert_eq!(answer.field("content-type"), Some("application/problem+json"), "{method} {path}");
            assert_eq!(json["status"], answer.status, "{json}");
        }
        (answer.status, json)
    }

    /// A call that has to succeed.
    pub async fn done(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.call(method, path, body).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    pub async fn get(&self, path: &str) -> Value {
        self.done("GET", path, None).await
    }

    /// A call that has to fail with this status; returns the detail of the problem.
    pub async fn refused(&self, status: u16, method: &str, path: &str, body: Option<Value>) -> String {
        let (got, answer) = self.call(method, path, body).await;
        assert_eq!(got, status, "{method} {path}: {answer}");
        answer["detail"].as_str().unwrap_or_default().to_owned()
    }
}
