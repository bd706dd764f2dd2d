//! HTTP through a device (`docs/protocol/sysclient.md` sections 7 and 8): browsers on one side, a strict device on the
//! other.

mod answers;
mod ends;
mod refusals;
mod sockets;

use std::net::SocketAddr;

use serde_json::json;

use crate::support::app::App;
use crate::support::broker::{Broker, CATEGORY, DOMAIN, INSTANCE, Keep, PASSWORD, with_broker};
use crate::support::peer::Device;
use crate::support::raw::Raw;
use crate::support::secrets;
use crate::support::tls::{Certificate, Client};

const PHONE: &str = "0090334100d1";

/// Runs a test with a member and an app that may reach it.
fn with_phone(max_tunnels: usize, test: impl AsyncFnOnce(&Broker, Way, Device, App)) {
    with_broker(
        &Keep::embedded(),
        |config| config.devices.max_tunnels = max_tunnels,
        async |broker: &Broker| play(broker, broker.addr, test).await,
    );
}

/// The same over TLS.
fn with_phone_over_tls(test: impl AsyncFnOnce(&Broker, Way, Device, App)) {
    let certificate = Certificate::new();
    with_broker(
        &Keep::embedded(),
        |config| certificate.configure(config),
        async |broker: &Broker| {
            let to = Client::new(&[&certificate]).way_to(broker.addr).await;
            play(broker, to, test).await;
        },
    );
}

async fn play(broker: &Broker, to: SocketAddr, test: impl AsyncFnOnce(&Broker, Way, Device, App)) {
    let mut app = App::login(to, "users", DOMAIN, "users", PASSWORD).await;
    let code = app.code(CATEGORY, "p1").await;
    let (mut phone, password) = Device::enter(to, PHONE, &code).await;
    phone.expect_admin_password(&password).await;
    app.next_notice().await;
    let key = key(&mut app).await;
    test(broker, Way { to, key }, phone, app).await;
}

/// The session key.
async fn key(app: &mut App) -> String {
    let key = app.request(json!({"mt": "GetLoginInfo"})).await["key"].as_str().unwrap().to_owned();
    secrets::note(&key);
    key
}

/// The passthrough address of the phone.
#[derive(Clone)]
struct Way {
    to: SocketAddr,
    key: String,
}

/// What came back.
struct Got {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Got {
    fn fields(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields(name).first().copied()
    }

    /// The body of a chunked answer; `None` if it is cut.
    fn unchunked(&self) -> Option<Vec<u8>> {
        assert_eq!(self.field("transfer-encoding"), Some("chunked"));
        let (mut rest, mut out) = (&self.body[..], Vec::new());
        loop {
            let end = rest.windows(2).position(|two| two == b"\r\n")?;
            let size = usize::from_str_radix(str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
            rest = &rest[end + 2..];
            if size == 0 {
                assert_eq!(rest, b"\r\n");
                return Some(out);
            }
            out.extend(rest.get(..size)?);
            rest = rest.get(size + 2..)?;
        }
    }
}

impl Way {
    fn path(&self, rest: &str) -> String {
        format!("{INSTANCE}/passthrough/{PHONE}/{}{rest}", self.key)
    }

    /// Sends a request with these further lines.
    async fn ask(&self, method: &str, path: &str, lines: &str, body: &[u8]) -> Raw {
        let mut raw = Raw::connect(self.to).await;
        let head = format!("{method} {path} HTTP/1.1\r\nHost: broker.example\r\nConnection: close\r\n{lines}\r\n");
        raw.send(&[head.as_bytes(), body].concat()).await;
        raw
    }

    /// The answer.
    async fn at(&self, method: &str, path: &str, lines: &str, body: &[u8]) -> Got {
        let mut raw = self.ask(method, path, lines, body).await;
        let head = raw.head().await;
        Got { status: head[9..12].parse().unwrap(), head, body: raw.rest().await }
    }

    /// The whole answer to a GET of the device.
    async fn get(&self, rest: &str) -> Got {
        self.at("GET", &self.path(rest), "", b"").await
    }
}
