//! The other side of both protocols, written from the protocol texts alone: it uses nothing of `provbroker`, so that a
//! fault of the broker is not repeated in its test.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::broker::INSTANCE;
use super::crypto::{rc4, sha256_hex, unhex};
use super::raw::{self, LOCALHOST};
use super::secrets;
use super::tunnel::{RECEIVE, RECEIVE_RESULT, SEND, SEND_RESULT, SHUTDOWN};

/// Only prevents hanging for ever; no test waits for it. Long enough for a machine that stalls for a while.
const GUARD: Duration = Duration::from_secs(60);

/// Waits for something that has to happen.
pub async fn guarded<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(GUARD, future).await.unwrap_or_else(|_| panic!("{what}: nothing has come"))
}

/// Polls until the condition holds. The pause does not synchronise, it only leaves the core to the broker.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    guarded(what, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Opens a WebSocket from the address `from`; status and head of the answer if it is refused.
pub async fn open_from(
    from: IpAddr,
    to: SocketAddr,
    target: &str,
) -> Result<WebSocketStream<TcpStream>, (u16, Option<u64>)> {
    open_over(raw::connect(from, to).await, to, target, &[]).await
}

/// Opens a WebSocket on a connection, with further header fields.
pub async fn open_over(
    stream: TcpStream,
    to: SocketAddr,
    target: &str,
    fields: &[(&'static str, &str)],
) -> Result<WebSocketStream<TcpStream>, (u16, Option<u64>)> {
    let mut request = format!("ws://{to}{target}").into_client_request().unwrap();
    for (name, value) in fields {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    match guarded("upgrade", tokio_tungstenite::client_async(request, stream)).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(answer)) => {
            let wait = answer.headers().get("retry-after").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
            Err((answer.status().as_u16(), wait))
        }
        Err(error) => panic!("upgrade: {error}"),
    }
}

/// The identify of a device.
pub fn identify(id: &str) -> Value {
    json!({
        "id": id, "product": "IP112", "version": "13r3 sr9 [13.6012/136012/300]", "fwBuild": "136012",
        "platform": {"type": "PHONE", "fxs": false},
        "ethIfs": [{"if": "ETH0", "ipv4": "192.0.2.17"}],
    })
}

/// The same with a code.
pub fn identify_with(id: &str, code: &str) -> Value {
    let mut identify = identify(id);
    identify["provisioningCode"] = code.into();
    identify
}

/// The digest of an identify (`docs/protocol/sysclient.md` section 4).
pub fn device_digest(identify: &Value, challenge: &str, password: &str) -> String {
    let member = |name: &str| identify[name].as_str().unwrap().to_owned();
    let digest =
        sha256_hex(&format!("{}:{}:{}:{challenge}:{password}", member("id"), member("product"), member("version")));
    secrets::note(&digest);
    digest
}

/// An admin message.
pub fn admin_message(kind: u16, json: &str) -> Vec<u8> {
    [&[1][..], &kind.to_be_bytes(), json.as_bytes()].concat()
}

/// A device on its WebSocket. It answers the broker's own requests (`/!…`) by itself whenever a message is read.
pub struct Device {
    socket: WebSocketStream<TcpStream>,
    fences: u64,
    /// The command lines received from the broker, as paths.
    pub lines: Vec<String>,
    errands: HashSet<u32>,
}

impl Device {
    /// Connects to the address of the instance with this query (empty: none).
    pub async fn connect(to: SocketAddr, query: &str) -> Self {
        Self::connect_from(LOCALHOST, to, query).await.expect("not refused")
    }

    /// The same from another address; status and `Retry-After` if refused.
    pub async fn connect_from(from: IpAddr, to: SocketAddr, query: &str) -> Result<Self, (u16, Option<u64>)> {
        let mark = if query.is_empty() { "" } else { "?" };
        let socket = open_from(from, to, &format!("{INSTANCE}/sysclients{mark}{query}")).await?;
        Ok(Self { socket, fences: 0, lines: Vec::new(), errands: HashSet::new() })
    }

    /// The same on a connection, with further header fields.
    pub async fn connect_over(stream: TcpStream, to: SocketAddr, fields: &[(&'static str, &str)]) -> Self {
        let socket = open_over(stream, to, &format!("{INSTANCE}/sysclients"), fields).await.expect("not refused");
        Self { socket, fences: 0, lines: Vec::new(), errands: HashSet::new() }
    }

    /// Connects and identifies.
    pub async fn identified(to: SocketAddr, identify: &Value) -> Self {
        let mut device = Self::connect(to, "").await;
        device.identify(identify).await;
        device
    }

    /// Enters with a code; returns the device and its password. Reads the administrative password of the domain if
    /// there is one.
    pub async fn enter(to: SocketAddr, id: &str, code: &str) -> (Self, String) {
        let mut device = Self::identified(to, &identify_with(id, code)).await;
        let password = device.expect_password().await;
        (device, password)
    }

    /// Reconnects with its password; a member again when this returns.
    pub async fn come_back(to: SocketAddr, id: &str, password: &str) -> Self {
        let mut device = Self::identified(to, &identify(id)).await;
        let challenge = device.expect_challenge().await;
        device.answer(&identify(id), &challenge, password).await;
        device
    }

    pub async fn send(&mut self, message: Vec<u8>) {
        guarded("sending", self.socket.send(Message::Binary(message.into()))).await.unwrap();
    }

    pub async fn admin(&mut self, kind: u16, json: &Value) {
        self.send(admin_message(kind, &json.to_string())).await;
    }

    /// Sends `0000`.
    pub async fn identify(&mut self, identify: &Value) {
        if let Some(code) = identify["provisioningCode"].as_str().filter(|code| code.len() >= 12) {
            secrets::note(code);
        }
        self.admin(0, identify).await;
    }

    /// Sends `0000` and a ping together: when this returns, the server has at least started to handle the identify.
    pub async fn identify_taken(&mut self, identify: &Value) {
        if let Some(code) = identify["provisioningCode"].as_str() {
            secrets::note(code);
        }
        self.socket.feed(Message::Ping(b"taken?".to_vec().into())).await.unwrap();
        self.admin(0, identify).await;
        match self.next().await {
            Message::Pong(payload) if payload[..] == *b"taken?" => {}
            other => panic!("the pong, not {other:?}"),
        }
    }

    /// Sends `0000` with the digest.
    pub async fn answer(&mut self, identify: &Value, challenge: &str, password: &str) {
        let mut identify = identify.clone();
        identify["digest"] = device_digest(&identify, challenge, password).into();
        self.identify(&identify).await;
    }

    async fn next(&mut self) -> Message {
        match self.next_or_end("a message to the device").await {
            Some(Ok(message)) => message,
            other => panic!("the connection to the device has ended: {other:?}"),
        }
    }

    async fn next_or_end(&mut self, what: &str) -> Option<Result<Message, Error>> {
        loop {
            let came = guarded(what, self.socket.next()).await;
            let answer = match &came {
                Some(Ok(Message::Binary(message))) => self.errand(message),
                _ => None,
            };
            match answer {
                // The connection may be gone already; the next read tells.
                Some(answer) => drop(self.socket.send(Message::Binary(answer.into())).await),
                None => return came,
            }
        }
    }

    /// The answer to a message about a command line of the broker (`docs/protocol/update-script.md` section 6).
    fn errand(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let (&2, header) = message.split_first()? else { return None };
        let (session, rest) = header.split_first_chunk::<4>()?;
        let (event, data) = rest.split_first_chunk::<4>()?;
        let number = u32::from_be_bytes(*session);
        let own = data.windows(16).any(|field| field == b"\r\nHost: device\r\n");
        if u32::from_be_bytes(*event) == SEND && own && data.starts_with(b"GET /!") {
            self.errands.insert(number);
            let path = String::from_utf8_lossy(data).split(' ').nth(1).unwrap_or_default().to_owned();
            self.lines.push(path);
        } else if !self.errands.contains(&number) {
            return None;
        }
        let (event, data): (u32, &[u8]) = match u32::from_be_bytes(*event) {
            SEND => (SEND_RESULT, b""),
            RECEIVE => (RECEIVE_RESULT, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            SHUTDOWN => {
                self.errands.remove(&number);
                (SHUTDOWN, b"")
            }
            other => panic!("event {other} of a server"),
        };
        Some([&[2][..], session, &event.to_be_bytes(), data].concat())
    }

    /// The next binary message.
    pub async fn binary(&mut self) -> Vec<u8> {
        loop {
            match self.next().await {
                Message::Binary(message) => return message.into(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("a binary message, not {other:?}"),
            }
        }
    }

    /// The next admin message: type and members.
    pub async fn receive(&mut self) -> (u16, Value) {
        let message = self.binary().await;
        assert_eq!(message[0], 1, "an admin message");
        (u16::from_be_bytes([message[1], message[2]]), serde_json::from_slice(&message[3..]).unwrap())
    }

    async fn expect(&mut self, kind: u16) -> Value {
        let (received, members) = self.receive().await;
        assert_eq!(received, kind, "type of {members}");
        members
    }

    /// `0001`: exactly 32 letters and digits.
    pub async fn expect_password(&mut self) -> String {
        let password = self.expect(1).await["password"].as_str().unwrap().to_owned();
        assert_eq!(password.len(), 32);
        assert!(password.bytes().all(|b| b.is_ascii_alphanumeric()), "{password}");
        secrets::note(&password);
        password
    }

    /// `0002`: ten decimal digits.
    pub async fn expect_challenge(&mut self) -> String {
        let challenge = self.expect(2).await["challenge"].as_str().unwrap().to_owned();
        assert!(challenge.len() == 10 && challenge.bytes().all(|b| b.is_ascii_digit()), "{challenge}");
        challenge
    }

    /// `0003`, decrypted with the device password.
    pub async fn expect_admin_password(&mut self, password: &str) -> String {
        let members = self.expect(3).await;
        let (seed, pwd) = (members["seed"].as_str().unwrap(), members["pwd"].as_str().unwrap());
        assert!(seed.len() == 16 && seed.bytes().all(|b| b.is_ascii_alphanumeric()), "{seed}");
        let plain = String::from_utf8(rc4(format!("{seed}:{password}").as_bytes(), &unhex(pwd))).unwrap();
        secrets::note(&plain);
        plain
    }

    /// `0005`: its error, if any.
    pub async fn expect_provision_result(&mut self) -> Option<String> {
        self.expect(5).await["error"].as_str().map(str::to_owned)
    }

    /// `0006`.
    pub async fn expect_configuration(&mut self) -> Value {
        self.expect(6).await
    }

    /// Waits until everything sent so far was handled, and asserts that the server has sent nothing.
    pub async fn quiet(&mut self) {
        self.fences += 1;
        let fence = self.fences.to_be_bytes();
        guarded("ping", self.socket.send(Message::Ping(fence.to_vec().into()))).await.unwrap();
        loop {
            match self.next().await {
                Message::Pong(payload) if payload[..] == fence => return,
                Message::Ping(_) => {}
                other => panic!("silence, not {other:?}"),
            }
        }
    }

    /// A binary message that arrives before the answer to a ping sent now, if there is one.
    pub async fn before_pong(&mut self) -> Option<Vec<u8>> {
        self.fences += 1;
        let fence = self.fences.to_be_bytes();
        guarded("ping", self.socket.send(Message::Ping(fence.to_vec().into()))).await.unwrap();
        let mut came = None;
        loop {
            match self.next().await {
                Message::Pong(payload) if payload[..] == fence => return came,
                Message::Binary(message) => assert!(came.replace(message.into()).is_none(), "one message"),
                Message::Ping(_) => {}
                other => panic!("a message or a pong, not {other:?}"),
            }
        }
    }

    /// Waits until everything sent so far was handled; returns whether the connection is still open.
    pub async fn is_quiet(&mut self) -> bool {
        let _ = self.socket.send(Message::Ping(b"quiet?".to_vec().into())).await;
        loop {
            match self.next_or_end("pong or close").await {
                Some(Ok(Message::Pong(payload))) if payload[..] == *b"quiet?" => return true,
                Some(Ok(Message::Ping(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return false,
                other => panic!("silence or the end, not {other:?}"),
            }
        }
    }

    /// Waits for the close of the server; returns its code. No other message may come before it.
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

/// Asks the directory as a phone does.
pub async fn init(to: SocketAddr, query: &str) -> raw::Answer {
    raw::get(to, &format!("/init?{query}")).await
}
