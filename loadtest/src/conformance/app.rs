//! An app as `docs/protocol/appwebsocket.md` and `docs/protocol/devices-api.md` describe it.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::crypto::sha256_hex;
use super::finding::{Step, Transcript, Unexpected, ensure, without_secrets};
use super::socket::{Incoming, Socket, TEXT};
use super::target::{PATIENCE, Target};

/// The members of a log-in.
#[derive(Clone)]
pub struct Login {
    /// Name of the app.
    pub app: String,
    /// Domain.
    pub domain: String,
    /// SIP name.
    pub sip: String,
    /// `info` as it is written, and as the digest has it.
    pub info: Option<(String, String)>,
    /// The secret.
    pub password: String,
}

impl Login {
    /// The text of `AppLogin` for this challenge.
    pub fn text(&self, challenge: &str) -> String {
        let Self { app, domain, sip, info, password } = self;
        let (member, canonical) = match info {
            Some((written, canonical)) => (format!("\"info\":{written},"), format!("{canonical}:")),
            None => (String::new(), String::new()),
        };
        let digest = sha256_hex(&format!("{app}:{domain}:{sip}:::{canonical}{challenge}:{password}"));
        let [app, domain, sip] = [app, domain, sip].map(|text| Value::from(text.as_str()));
        format!(
            "{{\"mt\":\"AppLogin\",\"app\":{app},\"domain\":{domain},\"sip\":{sip},\"guid\":\"\",\"dn\":\"\",\
             {member}\"digest\":\"{digest}\"}}"
        )
    }
}

/// An app connection.
pub struct App {
    /// The connection.
    pub socket: Socket,
    notices: VecDeque<Value>,
    requests: u64,
}

impl App {
    /// Connects without logging in.
    pub async fn open(target: &Target, log: &Transcript, path: &str) -> Step<Self> {
        let socket = Socket::open(target, log, path, "").await?;
        Ok(Self { socket, notices: VecDeque::new(), requests: 0 })
    }

    /// Sends a text.
    pub async fn send_text(&mut self, text: &str) -> Step {
        let shown = serde_json::from_str(text).map_or_else(|_| text.to_owned(), |v| without_secrets(&v).to_string());
        self.socket.log.sent(shown);
        self.socket.message(TEXT, text.as_bytes()).await
    }

    /// Sends a message.
    pub async fn send(&mut self, message: &Value) -> Step {
        self.send_text(&message.to_string()).await
    }

    /// The next message within this time. Notices about codes are kept: they may be about those of other checks.
    pub async fn next(&mut self, wait: Duration) -> Step<Option<Value>> {
        let until = Instant::now() + wait;
        loop {
            match self.next_of_any_kind(until).await? {
                Some(message) if message["mt"] == "DeviceProvisioned" => self.notices.push_back(message),
                other => return Ok(other),
            }
        }
    }

    async fn next_of_any_kind(&mut self, until: Instant) -> Step<Option<Value>> {
        loop {
            match self.socket.next_until(until).await? {
                None => return Ok(None),
                Some(Incoming::Text(text)) => {
                    let value: Value =
                        serde_json::from_slice(&text).map_err(|error| Unexpected(format!("no JSON: {error}")))?;
                    self.socket.log.came(without_secrets(&value));
                    return Ok(Some(value));
                }
                Some(Incoming::Binary(_)) => return Err("a binary message".into()),
                Some(Incoming::Ping(_) | Incoming::Pong(_)) => {}
                Some(Incoming::Close(code)) => return Err(Unexpected(format!("closed with {code}"))),
                Some(Incoming::End) => return Err("the connection has ended".into()),
            }
        }
    }

    /// The next message, which has to come.
    pub async fn receive(&mut self) -> Step<Value> {
        self.next(PATIENCE).await?.ok_or_else(|| "nothing in 10 s".into())
    }

    /// A challenge.
    pub async fn challenge(&mut self) -> Step<String> {
        self.send(&json!({"mt": "AppChallenge"})).await?;
        let answer = self.receive().await?;
        ensure(answer["mt"] == "AppChallengeResult", || format!("{answer} instead of a challenge"))?;
        Ok(answer["challenge"].as_str().ok_or("AppChallengeResult without a text challenge")?.to_owned())
    }

    /// Tries a log-in: challenge and result.
    pub async fn try_login(&mut self, login: &Login) -> Step<(String, Value)> {
        let challenge = self.challenge().await?;
        self.send_text(&login.text(&challenge)).await?;
        let result = self.receive().await?;
        ensure(result["mt"] == "AppLoginResult", || format!("{} instead of AppLoginResult", result["mt"]))?;
        Ok((challenge, result))
    }

    /// The answer to a request, which gets a `src` if it has none. What comes meanwhile is kept as notices.
    pub async fn request(&mut self, mut request: Value) -> Step<Value> {
        self.requests += 1;
        if request["src"].is_null() {
            request["src"] = format!("c{}", self.requests).into();
        }
        self.send(&request).await?;
        self.answer_to(&request).await
    }

    /// The answer to a request that was sent.
    pub async fn answer_to(&mut self, request: &Value) -> Step<Value> {
        let mt = request["mt"].as_str().unwrap_or_default();
        let name = format!("{mt}Result");
        let until = Instant::now() + PATIENCE;
        loop {
            let wait = until.saturating_duration_since(Instant::now());
            let Some(message) = self.next(wait).await? else {
                return Err(Unexpected(format!("no {name} with the src of the request in 10 s")));
            };
            if message["mt"] == name.as_str() && message["src"] == request["src"] {
                return Ok(message);
            }
            self.notices.push_back(message);
        }
    }

    /// All parts of a list.
    pub async fn list(&mut self, request: Value, member: &str) -> Step<Vec<Value>> {
        let mut part = self.request(request.clone()).await?;
        let request = json!({"mt": request["mt"], "src": part["src"]});
        let mut all = Vec::new();
        loop {
            all.extend(part[member].as_array().cloned().unwrap_or_default());
            if part["last"] != false {
                return Ok(all);
            }
            part = self.answer_to(&request).await?;
        }
    }

    /// The next notice that fits, within ten seconds; others are dropped.
    pub async fn notice(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Step<Value> {
        let until = Instant::now() + PATIENCE;
        loop {
            let message = match self.notices.pop_front() {
                Some(message) => message,
                None => match self.next_of_any_kind(until).await? {
                    Some(message) => message,
                    None => return Err(Unexpected(format!("no {what} in 10 s"))),
                },
            };
            if message["mt"] == what && fits(&message) {
                return Ok(message);
            }
        }
    }
}
