//! Requests to an exchange (`docs/protocol/pbx.md` sections 2 and 3), and parsing of errors in answers.

use super::entry::quoted;
use super::guid::Guid;
use super::message::{Interface, head};
use super::object::{Unsendable, Update};
use crate::core::model::time::Tick;

/// Requested columns of a user (`docs/protocol/pbx.md` section 3).
pub const COLUMNS: [&str; 11] =
    ["guid", "h323", "cn", "dn", "e164", "loc", "node", "config", "apps", "pseudo", "devices"];

/// Columns that the mirror requires (`docs/protocol/pbx.md` section 3).
pub const NEEDED: [&str; 4] = ["guid", "h323", "cn", "devices"];

/// A request of `PbxAdminApi`. `UpdateObject` can only be written through [`Update`].
#[derive(Debug)]
pub enum Request {
    /// Up to twenty users after this name.
    Search(Box<str>),
    /// One object.
    Object(Guid),
    /// An update of the devices of one user.
    Update(Update),
    /// All app objects.
    Apps,
    /// The registrations of an object.
    Registrations(Guid),
    /// Keep-alive.
    Alive,
    /// Domain and name of the exchange.
    Names,
}

/// Classes of requests with different limits (`docs/protocol/pbx.md` section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// One at a time, with its own rate and a longer time-out.
    Update,
    /// One at a time.
    Search,
    /// Up to the limit of requests in flight.
    Other,
}

impl Request {
    /// The message type.
    pub const fn mt(&self) -> &'static str {
        match self {
            Self::Search(_) => "SearchUsers",
            Self::Object(_) => "GetObject",
            Self::Update(_) => "UpdateObject",
            Self::Apps => "GetAppObjects",
            Self::Registrations(_) => "GetRegs",
            Self::Alive => "GetPbxConfig",
            Self::Names => "MonitorConfig",
        }
    }

    /// The class of limits.
    pub const fn class(&self) -> Class {
        match self {
            Self::Update(_) => Class::Update,
            Self::Search(_) => Class::Search,
            _ => Class::Other,
        }
    }

    /// The message.
    pub(super) fn write(self, src: u64, now: Tick) -> Result<String, Unsendable> {
        let mut text = head(self.mt(), Interface::Admin, &src.to_string());
        match self {
            Self::Update(update) => return update.write(src, now),
            Self::Search(name) => {
                text.push_str(",\"cn\":");
                text.push_str(&quoted(&name));
            }
            Self::Object(guid) | Self::Registrations(guid) => {
                text.push_str(",\"guid\":");
                text.push_str(&quoted(guid.as_str()));
            }
            Self::Apps | Self::Alive | Self::Names => {}
        }
        text.push('}');
        Ok(text)
    }
}

/// `ReplicateStart`; with `write_devices` only to write through the table (`docs/protocol/pbx.md` section 3).
pub(super) fn start(src: &str, write_devices: bool) -> String {
    let columns: Vec<String> = COLUMNS
        .iter()
        .map(|&name| {
            let form = if write_devices && name == "devices" { r#"{"update":true}"# } else { "{}" };
            format!(r#""{name}":{form}"#)
        })
        .collect();
    let head = head("ReplicateStart", Interface::Table, src);
    format!(r#"{head},"add":false,"del":false,"pseudo":["","executive"],"columns":{{{}}}}}"#, columns.join(","))
}

/// `ReplicateNext`.
pub(super) fn next(src: &str) -> String {
    head("ReplicateNext", Interface::Table, src) + "}"
}

/// `ReplicateUpdate` with a whole row, as JSON.
pub(super) fn write_row(src: &str, row: &str) -> String {
    format!(r#"{},"columns":{row}}}"#, head("ReplicateUpdate", Interface::Table, src))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_those_of_the_text() {
        let guid = || Guid::parse("a41c7e0b93d2460f8b5e17c2d9604f3a").unwrap();
        let text = |request: Request| request.write(12, Tick(0)).unwrap();
        assert_eq!(
            text(Request::Search("Anna \"Berg".into())),
            r#"{"mt":"SearchUsers","api":"PbxAdminApi","src":"12","cn":"Anna \"Berg"}"#
        );
        assert_eq!(
            text(Request::Registrations(guid())),
            r#"{"mt":"GetRegs","api":"PbxAdminApi","src":"12","guid":"a41c7e0b93d2460f8b5e17c2d9604f3a"}"#
        );
        // Without `properties` and `template`, which older exchanges do not know.
        assert_eq!(
            text(Request::Object(guid())),
            r#"{"mt":"GetObject","api":"PbxAdminApi","src":"12","guid":"a41c7e0b93d2460f8b5e17c2d9604f3a"}"#
        );
        assert_eq!(text(Request::Apps), r#"{"mt":"GetAppObjects","api":"PbxAdminApi","src":"12"}"#);
        assert_eq!(
            start("r1", false),
            concat!(
                r#"{"mt":"ReplicateStart","api":"PbxTableUsers","src":"r1","add":false,"del":false,"#,
                r#""pseudo":["","executive"],"columns":{"guid":{},"h323":{},"cn":{},"dn":{},"e164":{},"loc":{},"node":{},"#,
                r#""config":{},"apps":{},"pseudo":{},"devices":{}}}"#
            )
        );
        assert!(start("r1", true).ends_with(r#""pseudo":{},"devices":{"update":true}}}"#));
        assert_eq!(next("r1"), r#"{"mt":"ReplicateNext","api":"PbxTableUsers","src":"r1"}"#);
    }
}
