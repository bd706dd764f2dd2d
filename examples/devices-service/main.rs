//! A service that gets a provisioning code from Devices and waits until a device has entered with it.
//!
//! It is written against the vendor's documents and shares no code with the broker: log-in of
//! `docs/protocol/appwebsocket.md` section 3, messages of `docs/protocol/devices-api.md` 2.3 and 2.5.
//! `examples/devices-service/devices_service.py` does the same in Python.
//!
//! `DEVICES_PASSWORD=… cargo run --example devices-service -- --domain example.com --category "Desk phones" URL`
//!
//! Whoever asks for codes gets the notices that nobody has taken yet, too. So do not run it in a domain whose Users
//! service is away: it would take the notices of that service.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Parser;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Name under which the service logs in.
const APP: &str = "innovaphone-devices-api";
/// Mark of the request for the code, which its notice has as well.
const SRC: &str = "code";
/// Longest time for an answer; a log-in after failed ones may wait for 30 s.
const ANSWER: Duration = Duration::from_secs(40);
/// A message is sent after this time without one, because routers forget connections that are silent.
const SILENCE: Duration = Duration::from_secs(60);
/// The server counts a notice as delivered if the connection stays open for 5 s after the pong.
const STAY: Duration = Duration::from_secs(6);

/// Gets a provisioning code from Devices and waits for the device. The password of the domain is taken from the
/// environment variable `DEVICES_PASSWORD`.
#[derive(Parser)]
struct Arguments {
    /// Address of the Devices service: <wss://HOST/DOMAIN/INSTANCE>
    url: String,
    /// Domain that the device enters
    #[arg(long)]
    domain: String,
    /// Name of the category that the device gets
    #[arg(long)]
    category: String,
    /// SIP name of the user who gets the device
    #[arg(long)]
    sip: Option<String>,
    /// Longest time to wait for the device, in seconds
    #[arg(long, default_value_t = 600)]
    wait: u64,
}

/// A connection to Devices.
struct Devices(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Devices {
    async fn send(&mut self, message: &Value) -> Result<()> {
        self.0.send(Message::text(message.to_string())).await.context("cannot send")
    }

    /// The next message within this time. Pings are answered by the library while it reads.
    async fn receive(&mut self, within: Duration) -> Result<Option<Value>> {
        let end = Instant::now() + within;
        loop {
            match timeout(end.saturating_duration_since(Instant::now()), self.0.next()).await {
                Err(_) => return Ok(None),
                Ok(Some(Ok(Message::Text(text)))) => {
                    return serde_json::from_str(&text).map(Some).context("the server sends no JSON");
                }
                Ok(Some(Ok(Message::Close(Some(frame))))) => {
                    bail!("the server closes: {} {}", frame.code, frame.reason)
                }
                Ok(Some(Ok(Message::Close(None))) | None) => bail!("the connection has ended"),
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(error))) => return Err(error).context("the connection has ended"),
            }
        }
    }

    /// Sends a request and waits for its answer.
    async fn request(&mut self, request: Value) -> Result<Value> {
        let name = request["mt"].as_str().unwrap_or_default();
        self.send(&request).await?;
        let end = Instant::now() + ANSWER;
        while let Some(answer) = self.receive(end.saturating_duration_since(Instant::now())).await? {
            if answer["mt"] == format!("{name}Result").as_str() && answer["src"] == request["src"] {
                return answer["error"].as_str().map_or(Ok(answer.clone()), |error| Err(anyhow!("{name}: {error}")));
            }
        }
        bail!("{name}: no answer")
    }

    /// `docs/protocol/appwebsocket.md` 3.3, without `info`; `guid` and `dn` are empty.
    async fn login(&mut self, domain: &str, password: &str) -> Result<()> {
        let answer = self.request(json!({"mt": "AppChallenge"})).await?;
        let challenge = answer["challenge"].as_str().context("the answer has no challenge")?;
        let digest = Sha256::digest(format!("{APP}:{domain}::::{challenge}:{password}"));
        let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        let login =
            json!({"mt": "AppLogin", "app": APP, "domain": domain, "sip": "", "guid": "", "dn": "", "digest": digest});
        let ok = self.request(login).await.context("the log-in fails: wrong domain or password")?["ok"] == true;
        ok.then_some(()).context("the log-in fails: wrong domain or password")
    }

    /// Waits until a device has entered with the code.
    async fn device(&mut self, code: &str, wait: Duration) -> Result<Value> {
        let end = Instant::now() + wait;
        while Instant::now() < end {
            match self.receive(SILENCE.min(end.saturating_duration_since(Instant::now()))).await? {
                None => self.send(&json!({"mt": "KeepAlive"})).await?,
                Some(notice) if notice["mt"] != "DeviceProvisioned" => {}
                Some(notice) if notice["code"] == code => return Ok(notice["device"].clone()),
                Some(notice) => println!("notice of another code: device {}", text(&notice["device"]["hwId"])),
            }
        }
        bail!("no device has entered within {} s", wait.as_secs())
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

async fn run(arguments: &Arguments) -> Result<()> {
    let password = std::env::var("DEVICES_PASSWORD").context("DEVICES_PASSWORD is not set")?;
    // Fails only if there is a provider already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let connected = timeout(ANSWER, connect_async(&arguments.url)).await.context("cannot connect: no answer")?;
    let mut devices = Devices(connected.context("cannot connect")?.0);
    println!("connected to {}", arguments.url);

    devices.login(&arguments.domain, &password).await?;
    println!("logged in to {} as {APP}", arguments.domain);

    let mut request = json!({"mt": "GetProvisioningCode", "category": arguments.category, "src": SRC});
    if let Some(sip) = &arguments.sip {
        request["sip"] = sip.as_str().into();
    }
    let answer = devices.request(request).await?;
    let code = answer["code"].as_str().context("the answer has no code")?;
    #[expect(clippy::disallowed_methods, reason = "this program has no store whose clock it could use")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    println!("code {code}, valid for {} s", answer["validUntil"].as_u64().unwrap_or(now).saturating_sub(now));

    println!("waiting for a device");
    let device = devices.device(code, Duration::from_secs(arguments.wait)).await?;
    println!("device {} has entered: {} {}", text(&device["hwId"]), text(&device["product"]), text(&device["version"]));

    // Reads on, so that pings are answered.
    let end = Instant::now() + STAY;
    while devices.receive(end.saturating_duration_since(Instant::now())).await?.is_some() {}
    devices.0.close(None).await.context("cannot close")?;
    println!("done");
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if let Err(error) = run(&Arguments::parse()).await {
        eprintln!("devices-service: {error:#}");
        std::process::exit(1);
    }
}
