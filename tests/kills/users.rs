//! The Users of the domain: requests codes, receives notices, acknowledges them or not.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::broker::{CATEGORY, DOMAIN, PASSWORD};
use super::device::sha256_hex;
use super::fuse::Fuse;
use super::wire::{Frame, Result, Wire};

const APP: &str = "users";
const SIP: &str = "users";

/// What Users has learned; kept when a connection ends.
#[derive(Debug, Default)]
pub struct Learned {
    /// Code → hardware identifier.
    pub devices: BTreeMap<String, String>,
    /// Code → when the pong after its notice was first sent.
    pub acknowledged: BTreeMap<String, Instant>,
    /// Notices received, including repeated ones.
    pub notices: u64,
}

impl Learned {
    fn learn(&mut self, notice: &Value) -> String {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let (code, id) = (text(&notice["code"]), text(&notice["device"]["hwId"]));
        self.notices += 1;
        if let Some(other) = self.devices.insert(code.clone(), id.clone()) {
            assert_eq!(other, id, "one code, two devices");
        }
        code
    }
}

/// A connection of Users.
pub struct Users {
    wire: Wire,
    /// Notices whose ping has not arrived yet.
    read: Vec<String>,
    requests: u64,
}

impl Users {
    /// Connects and logs in, always under the same names.
    pub async fn login(to: SocketAddr) -> Result<Self> {
        let wire = Wire::open(to, "", None).await?;
        let mut this = Self { wire, read: Vec::new(), requests: 0 };
        let mut nothing = Learned::default();
        this.say(&json!({"mt": "AppChallenge"})).await?;
        let challenge = this.answer(&mut nothing).await?;
        let challenge = challenge["challenge"].as_str().expect("a challenge");
        let digest = sha256_hex(&format!("{APP}:{DOMAIN}:{SIP}:::{challenge}:{PASSWORD}"));
        let login =
            json!({"mt": "AppLogin", "app": APP, "domain": DOMAIN, "sip": SIP, "guid": "", "dn": "", "digest": digest});
        this.say(&login).await?;
        let result = this.answer(&mut nothing).await?;
        assert_eq!(result["ok"], true, "{result}");
        assert_eq!(nothing.notices, 0, "no notice before the log-in is answered");
        Ok(this)
    }

    /// Counts every message with this fuse from now on.
    pub fn light(&mut self, fuse: &Rc<Fuse>) {
        self.wire.light(fuse);
    }

    async fn say(&mut self, message: &Value) -> Result<()> {
        self.wire.send(1, message.to_string().as_bytes()).await
    }

    /// The next message: an answer is returned, a notice or ping is recorded and acknowledged.
    async fn step(&mut self, learned: &mut Learned) -> Result<Option<Value>> {
        match self.wire.next().await? {
            Frame::Text(text) => {
                let message: Value = serde_json::from_str(&text).unwrap();
                if message["mt"] != "DeviceProvisioned" {
                    return Ok(Some(message));
                }
                self.read.push(learned.learn(&message));
            }
            Frame::Ping(payload) => {
                let sent = Instant::now();
                for code in self.read.drain(..) {
                    learned.acknowledged.entry(code).or_insert(sent);
                }
                self.wire.send(10, &payload).await?;
            }
            other => panic!("a text or a ping, not {other:?}"),
        }
        Ok(None)
    }

    async fn answer(&mut self, learned: &mut Learned) -> Result<Value> {
        loop {
            if let Some(answer) = self.step(learned).await? {
                return Ok(answer);
            }
        }
    }

    async fn request(&mut self, mut request: Value, learned: &mut Learned) -> Result<Value> {
        self.requests += 1;
        request["src"] = self.requests.to_string().into();
        self.say(&request).await?;
        let answer = self.answer(learned).await?;
        assert_eq!(answer["src"], request["src"], "{answer}");
        Ok(answer)
    }

    /// Requests a code.
    pub async fn code(&mut self, learned: &mut Learned) -> Result<String> {
        let request = json!({"mt": "GetProvisioningCode", "category": CATEGORY, "sip": "anna"});
        let result = self.request(request, learned).await?;
        Ok(result["code"].as_str().unwrap_or_else(|| panic!("{result}")).to_owned())
    }

    /// Requests several codes.
    pub async fn codes(&mut self, many: usize, learned: &mut Learned) -> Result<Vec<String>> {
        let mut codes = Vec::new();
        for _ in 0..many {
            codes.push(self.code(learned).await?);
        }
        Ok(codes)
    }

    /// The device that has used a code, if any.
    pub async fn device(&mut self, code: &str, learned: &mut Learned) -> Result<Option<String>> {
        let result = self.request(json!({"mt": "GetProvisionedDevice", "code": code}), learned).await?;
        assert!(result["code"] == code && result["error"].is_null(), "{result}");
        Ok(result["device"]["hwId"].as_str().map(str::to_owned))
    }

    /// Receives and acknowledges notices until `enough`.
    pub async fn take_until(&mut self, learned: &mut Learned, enough: impl Fn(&Learned) -> bool) -> Result<()> {
        while !enough(learned) {
            let answer = self.step(learned).await?;
            assert!(answer.is_none(), "not asked for: {answer:?}");
        }
        Ok(())
    }

    /// Reads this many notices or pings without answering any, then disconnects.
    pub async fn read_and_die(mut self, frames: u64, learned: &mut Learned) -> Result<()> {
        for _ in 0..frames {
            match self.wire.next().await? {
                Frame::Text(text) => drop(learned.learn(&serde_json::from_str(&text).unwrap())),
                Frame::Ping(_) => {}
                other => panic!("a notice or a ping, not {other:?}"),
            }
        }
        self.wire.reset();
        Ok(())
    }

    /// Reads this many notices or pings, acknowledges as many as it can, and disconnects before that counts.
    pub async fn acknowledge_and_die(mut self, frames: u64, learned: &mut Learned) -> Result<()> {
        for _ in 0..frames {
            let answer = self.step(learned).await?;
            assert!(answer.is_none(), "not asked for: {answer:?}");
        }
        self.wire.reset();
        Ok(())
    }
}
