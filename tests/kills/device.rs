//! A phone with a code: enters, keeps its password, reconnects.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::rc::Rc;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::fuse::Fuse;
use super::wire::{Frame, Gone, Result, Wire};

const PATH: &str = "/sysclients";
const PRODUCT: &str = "IP112";
const VERSION: &str = "13r3 sr9 [13.6012/136012/300]";

/// Close code for a challenge that was answered too late or wrongly.
pub const REFUSED: u16 = 1008;
/// Close code for "try again later".
pub const LATER: u16 = 1013;

pub fn sha256_hex(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

/// An admin message of the server.
pub struct Admin {
    pub kind: u16,
    pub members: Value,
}

/// The answer to an identify.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// `0001`: it has entered.
    Password(String),
    /// `0002`.
    Challenge(String),
}

/// How a device has registered again.
#[derive(Debug, Clone, Copy, Default)]
pub struct Way {
    /// It sent its code again and was given a password.
    pub by_code: bool,
    /// How often it was challenged for a password that it never received, and had to reconnect.
    pub in_vain: u64,
}

/// What a phone keeps across restarts.
#[derive(Debug, Clone)]
pub struct Device {
    pub id: String,
    pub code: String,
    pub password: Option<String>,
}

impl Device {
    /// A device with a code; `number` determines its MAC address.
    pub fn new(number: u64, code: &str) -> Self {
        Self { id: format!("0090{number:08x}"), code: code.into(), password: None }
    }

    /// The text of an identify: with the code, with a digest, or with neither.
    pub fn identify(&self, code: bool, challenge: Option<&str>) -> Vec<u8> {
        let mut identify = json!({
            "id": self.id, "product": PRODUCT, "version": VERSION, "platform": {"type": "PHONE", "fxs": false},
        });
        if code {
            identify["provisioningCode"] = self.code.as_str().into();
        }
        if let Some(challenge) = challenge {
            let password = self.password.as_deref().expect("has a password");
            let text = format!("{}:{PRODUCT}:{VERSION}:{challenge}:{password}", self.id);
            identify["digest"] = sha256_hex(&text).into();
        }
        [&[1, 0, 0], identify.to_string().as_bytes()].concat()
    }

    /// Connects and identifies: with the code as long as it has no password.
    pub async fn come(&self, to: SocketAddr, fuse: Option<&Rc<Fuse>>) -> Result<Wire> {
        let mut wire = Wire::open(to, PATH, fuse).await?;
        wire.send(2, &self.identify(self.password.is_none(), None)).await?;
        Ok(wire)
    }

    /// Reads `0001` or `0002`; a password is kept.
    pub async fn answer(&mut self, wire: &mut Wire) -> Result<Answer> {
        let Admin { kind, members } = receive(wire).await?;
        match kind {
            1 => {
                let password = members["password"].as_str().expect("a password");
                assert_eq!(password.len(), 32);
                self.password = Some(password.into());
                Ok(Answer::Password(password.into()))
            }
            2 => Ok(Answer::Challenge(members["challenge"].as_str().expect("a challenge").into())),
            other => panic!("0001 or 0002, not {other}: {members}"),
        }
    }

    /// Enters with its code, or fails midway. It is a member when this returns.
    pub async fn enter(&mut self, to: SocketAddr, fuse: Option<&Rc<Fuse>>) -> Result<Wire> {
        let mut wire = self.come(to, fuse).await?;
        let answer = self.answer(&mut wire).await?;
        assert!(matches!(answer, Answer::Password(_)), "{}: a new device is let in, not asked: {answer:?}", self.id);
        admin_password(&mut wire).await?;
        Ok(wire)
    }

    /// Registers with its password, or else with its code again, in as many tries as needed. It only retries if the
    /// broker says "try again later" or challenges it for a password that it never received; anything else is a
    /// failure.
    pub async fn come_in(&mut self, to: SocketAddr) -> (Wire, Way) {
        let mut way = Way::default();
        loop {
            match self.try_come_in(to, &mut way).await {
                Ok(wire) => return (wire, way),
                Err(Gone(Some(REFUSED))) if self.password.is_none() => way.in_vain += 1,
                Err(Gone(Some(LATER))) => {}
                Err(gone) => panic!("{}: not let in ({gone:?}), password: {}", self.id, self.password.is_some()),
            }
        }
    }

    async fn try_come_in(&mut self, to: SocketAddr, way: &mut Way) -> Result<Wire> {
        let had_password = self.password.is_some();
        let mut wire = self.come(to, None).await?;
        match self.answer(&mut wire).await? {
            Answer::Password(_) => {
                assert!(!had_password, "{}: given a password without showing a code", self.id);
                way.by_code = true;
            }
            Answer::Challenge(challenge) if had_password => {
                wire.send(2, &self.identify(false, Some(&challenge))).await?;
            }
            // A phone without a password sends nothing; the server closes after a while.
            Answer::Challenge(_) => {
                let said = receive(&mut wire).await.map(|admin| admin.kind);
                return Err(said.expect_err("no more words for a device that has not answered"));
            }
        }
        admin_password(&mut wire).await?;
        Ok(wire)
    }
}

/// The next admin message; pings are answered.
pub async fn receive(wire: &mut Wire) -> Result<Admin> {
    loop {
        match wire.next().await? {
            // It has no web server, so the broker's clean-up fails.
            Frame::Binary(message) if message[0] == 2 => {}
            Frame::Binary(message) => {
                assert_eq!(message[0], 1, "an admin message");
                let kind = u16::from_be_bytes([message[1], message[2]]);
                return Ok(Admin { kind, members: serde_json::from_slice(&message[3..]).unwrap() });
            }
            Frame::Ping(payload) => wire.send(10, &payload).await?,
            other => panic!("an admin message, not {other:?}"),
        }
    }
}

/// `0003`: shows that the device is a member, since its domain has an administrative password.
pub async fn admin_password(wire: &mut Wire) -> Result<()> {
    let Admin { kind, members } = receive(wire).await?;
    assert_eq!(kind, 3, "{members}");
    Ok(())
}

/// Waits until everything sent so far was handled, and asserts that the server has sent nothing.
pub async fn quiet(wire: &mut Wire) -> Result<()> {
    wire.send(9, b"fence").await?;
    loop {
        match wire.next().await? {
            Frame::Pong => return Ok(()),
            Frame::Ping(payload) => wire.send(10, &payload).await?,
            Frame::Binary(message) if message[0] == 2 => {}
            other => panic!("silence, not {other:?}"),
        }
    }
}

/// Stays until the connection ends.
pub async fn stay(wire: &mut Wire) -> Gone {
    match receive(wire).await {
        Err(gone) => gone,
        Ok(Admin { kind, members }) => panic!("nothing more to say to a member: {kind} {members}"),
    }
}
