//! The other side of an app connection, written from the protocol texts alone like [`super::peer`].

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::broker::INSTANCE;
use super::crypto::sha256_hex;
use super::peer::{guarded, open_from};
use super::raw::LOCALHOST;
use super::secrets;

/// The digest of a log-in without `info` (`docs/protocol/appwebsocket.md` 3.3).
pub fn app_digest(app: &str, domain: &str, sip: &str, challenge: &str, password: &str) -> String {
    let digest = sha256_hex(&format!("{app}:{domain}:{sip}:::{challenge}:{password}"));
    secrets::note(&digest);
    digest
}

/// An app connection.
pub struct App {
    socket: WebSocketStream<TcpStream>,
    notices: VecDeque<Value>,
    requests: u64,
    /// The session key of the last log-in (`docs/protocol/appwebsocket.md` 3.5).
    pub session_key: String,
}

impl App {
    /// Connects without logging in.
    pub async fn open(to: SocketAddr) -> Self {
        Self::open_from(LOCALHOST, to).await.expect("not refused")
    }

    /// The same from another address.
    pub async fn open_from(from: IpAddr, to: SocketAddr) -> Result<Self, (u16, Option<u64>)> {
        Self::open_at(from, to, &format!("{INSTANCE}/innovaphone-devices-api")).await
    }

    /// The same at another address of the server.
    pub async fn open_at(from: IpAddr, to: SocketAddr, path: &str) -> Result<Self, (u16, Option<u64>)> {
        let socket = open_from(from, to, path).await?;
        Ok(Self { socket, notices: VecDeque::new(), requests: 0, session_key: String::new() })
    }

    /// Connects and logs in.
    pub async fn login(to: SocketAddr, app: &str, domain: &str, sip: &str, password: &str) -> Self {
        let mut this = Self::open(to).await;
        let result = this.try_login(app, domain, sip, password).await;
        assert_eq!(result["ok"], true, "{result}");
        this
    }

    /// Tries a log-in; the whole result.
    pub async fn try_login(&mut self, app: &str, domain: &str, sip: &str, password: &str) -> Value {
        self.send_login(app, domain, sip, password).await;
        let result = self.receive().await;
        assert_eq!(result["mt"], "AppLoginResult");
        result
    }

    /// Tries a log-in; whether it succeeds, or the code with which the connection is closed instead of an answer.
    pub async fn try_login_or_close(&mut self, app: &str, domain: &str, password: &str) -> Result<bool, u16> {
        self.send_login(app, domain, "", password).await;
        match self.next().await {
            Message::Text(text) => Ok(serde_json::from_str::<Value>(&text).unwrap()["ok"] == true),
            Message::Close(Some(frame)) => Err(frame.code.into()),
            other => panic!("an answer or a close frame, not {other:?}"),
        }
    }

    /// Asks for a challenge and sends a log-in, without waiting for the answer.
    pub async fn send_login(&mut self, app: &str, domain: &str, sip: &str, password: &str) {
        self.send(&json!({"mt": "AppChallenge"})).await;
        let challenge = self.receive().await["challenge"].as_str().unwrap().to_owned();
        let digest = app_digest(app, domain, sip, &challenge, password);
        self.session_key = sha256_hex(&format!("innovaphoneAppSessionKey:{challenge}:{password}"));
        secrets::note(&self.session_key);
        let login =
            json!({"mt": "AppLogin", "app": app, "domain": domain, "sip": sip, "guid": "", "dn": "", "digest": digest});
        self.send(&login).await;
    }

    pub async fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string()).await;
    }

    pub async fn send_text(&mut self, text: &str) {
        guarded("sending", self.socket.send(Message::text(text))).await.unwrap();
    }

    pub async fn send_binary(&mut self, bytes: &[u8]) {
        guarded("sending", self.socket.send(Message::binary(bytes.to_vec()))).await.unwrap();
    }

    async fn next(&mut self) -> Message {
        match guarded("a message to the app", self.socket.next()).await {
            Some(Ok(message)) => message,
            other => panic!("the connection to the app has ended: {other:?}"),
        }
    }

    /// The next message. The WebSocket library answers pings.
    pub async fn receive(&mut self) -> Value {
        serde_json::from_str(&self.receive_text().await).unwrap()
    }

    /// The same, byte for byte.
    pub async fn receive_text(&mut self) -> String {
        loop {
            match self.next().await {
                Message::Text(text) => return text.as_str().to_owned(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("a text message, not {other:?}"),
            }
        }
    }

    /// Sends a request and waits for its answer; notices that arrive meanwhile are kept.
    pub async fn request(&mut self, mut request: Value) -> Value {
        self.requests += 1;
        if request["src"].is_null() {
            request["src"] = format!("request-{}", self.requests).into();
        }
        self.send(&request).await;
        let name = format!("{}Result", request["mt"].as_str().unwrap());
        loop {
            let message = self.receive().await;
            if message["mt"] == name.as_str() && message["src"] == request["src"] {
                return message;
            }
            assert_eq!(message["mt"], "DeviceProvisioned", "neither answer nor notice");
            self.notices.push_back(message);
        }
    }

    /// Requests a code with this `src`.
    pub async fn code(&mut self, category: &str, src: &str) -> String {
        self.any_code(category, src, false).await
    }

    /// A code that gives the administrative password of the domain.
    pub async fn administrative_code(&mut self, category: &str, src: &str) -> String {
        self.any_code(category, src, true).await
    }

    async fn any_code(&mut self, category: &str, src: &str, administrative: bool) -> String {
        let mut request = json!({"mt": "GetProvisioningCode", "category": category, "sip": "anna", "src": src});
        if administrative {
            request["administrative"] = json!(true);
        }
        let result = self.request(request).await;
        let code = result["code"].as_str().unwrap_or_else(|| panic!("{result}")).to_owned();
        assert!(code.len() == 12 && code.bytes().all(|b| b.is_ascii_digit()), "{code}");
        secrets::note(&code);
        code
    }

    /// The next `DeviceProvisioned`.
    pub async fn next_notice(&mut self) -> Value {
        let notice = match self.notices.pop_front() {
            Some(notice) => notice,
            None => self.receive().await,
        };
        assert_eq!(notice["mt"], "DeviceProvisioned", "{notice}");
        notice
    }

    /// Waits until everything sent so far was handled, and asserts that nothing but the answer was received.
    pub async fn quiet(&mut self) {
        self.requests += 1;
        let src = format!("fence-{}", self.requests);
        self.send(&json!({"mt": "KeepAlive", "src": src})).await;
        assert_eq!(self.receive().await, json!({"mt": "KeepAlive", "src": src}));
        assert!(self.notices.is_empty(), "{:?}", self.notices);
    }

    /// The payload of the next ping; no other message comes before it.
    pub async fn next_ping(&mut self) -> Vec<u8> {
        match self.next().await {
            Message::Ping(payload) => payload.to_vec(),
            other => panic!("a ping, not {other:?}"),
        }
    }

    pub async fn close_code(&mut self) -> u16 {
        loop {
            match self.next().await {
                Message::Close(Some(frame)) => return frame.code.into(),
                Message::Ping(_) => {}
                other => panic!("a close frame, not {other:?}"),
            }
        }
    }

    pub async fn expect_close(&mut self, code: u16) {
        assert_eq!(self.close_code().await, code);
    }

    /// Closes the connection and waits for the end.
    pub async fn leave(mut self) {
        guarded("close", self.socket.close(None)).await.unwrap();
        while let Some(Ok(_)) = guarded("the end", self.socket.next()).await {}
    }
}
