//! A user object as `GetObject` shows it, and the only change that is made to it (`docs/protocol/pbx.md` 2.2, 2.3).
//!
//! `UpdateObject` without a GUID creates an object, and members that are sent overwrite. Therefore an [`Update`] can
//! only be made from a [`UserObject`], and that only from an answer. It contains a GUID and the full array of
//! devices, nothing else, and can be sent once, within [`FRESH`] of the answer.

use std::time::Duration;

use super::entry::{self, DeviceEntry};
use super::guid::Guid;
use super::message::{Interface, failure, head};
use crate::core::model::time::Tick;
use crate::core::protocol::json::{Object, Value};

/// Longest time between reading an object and changing it (`docs/protocol/pbx.md` section 4, step 6).
pub const FRESH: Duration = Duration::from_secs(2);

/// Longest message to an exchange, in bytes (`docs/protocol/pbx.md` section 6).
pub const LONGEST_MESSAGE: usize = 16 * 1024;

/// Why an answer to `GetObject` contains no user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoUser {
    /// There is no such object.
    #[error("no such object")]
    Gone,
    /// The object is neither a user nor an executive, or not the requested one.
    #[error("not the requested user")]
    Other,
}

/// A user object as just read.
#[derive(Debug)]
pub struct UserObject {
    guid: Guid,
    devices: Vec<DeviceEntry>,
    read_at: Tick,
}

impl UserObject {
    /// Parses the answer to a `GetObject` for `asked`.
    pub(super) fn read(answer: &Object<'_>, asked: &Guid, now: Tick) -> Result<Self, NoUser> {
        if failure(answer).is_some() {
            return Err(NoUser::Gone);
        }
        let guid = answer.str("guid").filter(|text| !text.is_empty()).ok_or(NoUser::Gone)?;
        let guid = Guid::parse(guid).map_err(|_| NoUser::Other)?;
        let is_user = match answer.get("pseudo") {
            None | Some(Value::Null) => true,
            Some(Value::Object(pseudo)) => matches!(pseudo.str("type"), None | Some("" | "executive")),
            Some(_) => false,
        };
        if guid != *asked || !is_user {
            return Err(NoUser::Other);
        }
        Ok(Self { guid, devices: DeviceEntry::read_all(answer), read_at: now })
    }

    /// The entries, in order.
    pub fn devices(&self) -> &[DeviceEntry] {
        &self.devices
    }

    /// Whether it may still be changed.
    pub fn is_fresh(&self, now: Tick) -> bool {
        now.since(self.read_at) <= FRESH
    }

    /// An update of its devices to `devices`.
    pub fn update(self, devices: &[DeviceEntry]) -> Update {
        Update { guid: self.guid, devices: entry::array(devices), read_at: self.read_at }
    }
}

/// Why an update cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// The object was read too long ago.
    #[error("read too long ago")]
    Stale,
    /// Longer than [`LONGEST_MESSAGE`].
    #[error("longer than an exchange accepts")]
    TooLong,
}

/// A change of the devices of one user.
#[derive(Debug)]
pub struct Update {
    guid: Guid,
    devices: String,
    read_at: Tick,
}

impl Update {
    /// The message; it has only these members.
    pub(super) fn write(self, src: u64, now: Tick) -> Result<String, Unsendable> {
        if now.since(self.read_at) > FRESH {
            return Err(Unsendable::Stale);
        }
        let head = head("UpdateObject", Interface::Admin, &src.to_string());
        let text = format!(r#"{head},"guid":"{}","devices":{}}}"#, self.guid, self.devices);
        if text.len() > LONGEST_MESSAGE { Err(Unsendable::TooLong) } else { Ok(text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::session::exchange::entry::Flag;

    const GUID: &str = "a41c7e0b93d2460f8b5e17c2d9604f3a";

    fn read(text: &str) -> Result<UserObject, NoUser> {
        UserObject::read(&Object::parse(text.as_bytes()).unwrap(), &Guid::parse(GUID).unwrap(), Tick(1_000))
    }

    #[test]
    fn the_published_exchange() {
        let object = read(concat!(
            r#"{"mt":"GetObjectResult","api":"PbxAdminApi","src":"20","guid":"a41c7e0b93d2460f8b5e17c2d9604f3a","#,
            r#""cn":"Anna Berg","pwd":"secret","h323":"anna","e164":"201","config":"Staff","devices":["#,
            r#"{"hw":"softphone_anna","text":"Softphone","app":"softphone","tls":true,"sreg":true}]}"#
        ));
        let object = object.unwrap();
        let mut devices = object.devices().to_vec();
        devices.push(DeviceEntry::new("00903341a0b1", "IP112", "phone", &[Flag::Tls, Flag::Trusted]));
        assert_eq!(
            object.update(&devices).write(21, Tick(3_000)).unwrap(),
            concat!(
                r#"{"mt":"UpdateObject","api":"PbxAdminApi","src":"21","guid":"a41c7e0b93d2460f8b5e17c2d9604f3a","devices":["#,
                r#"{"hw":"softphone_anna","text":"Softphone","app":"softphone","tls":true,"sreg":true},"#,
                r#"{"hw":"00903341a0b1","text":"IP112","app":"phone","tls":true,"trusted":true}]}"#
            )
        );
    }

    #[test]
    fn what_is_no_user_is_never_changed() {
        for (text, why) in [
            (r#"{"error":1,"errorText":"x"}"#, NoUser::Gone),
            (r#"{"error":"gone","guid":"a41c7e0b93d2460f8b5e17c2d9604f3a"}"#, NoUser::Gone),
            ("{}", NoUser::Gone),
            (r#"{"guid":""}"#, NoUser::Gone),
            (r#"{"guid":"a41c7e0b93d2460f8b5e17c2d9604f3b"}"#, NoUser::Other),
            (r#"{"guid":"*"}"#, NoUser::Other),
            (r#"{"guid":"a41c7e0b93d2460f8b5e17c2d9604f3a","pseudo":{"type":"waiting"}}"#, NoUser::Other),
        ] {
            assert_eq!(read(text).unwrap_err(), why, "{text}");
        }
        let executive = format!(r#"{{"error":0,"guid":"{GUID}","pseudo":{{"type":"executive"}}}}"#);
        assert_eq!(read(&executive).unwrap().devices(), []);
    }

    #[test]
    fn a_change_is_not_sent_late_or_long() {
        let user = format!(r#"{{"guid":"{GUID}"}}"#);
        assert_eq!(read(&user).unwrap().update(&[]).write(1, Tick(3_001)), Err(Unsendable::Stale));
        let long = DeviceEntry::new("a", &"x".repeat(LONGEST_MESSAGE), "phone", &[]);
        assert_eq!(read(&user).unwrap().update(&[long]).write(1, Tick(1_000)), Err(Unsendable::TooLong));
    }
}
