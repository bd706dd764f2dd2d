//! The identify message (`docs/protocol/sysclient.md` 3.1).
//!
//! Reads and writes the JSON members; the message around them is handled in [`frame`](super::frame).

use std::fmt;

use serde::Serialize;

use super::auth;
use crate::core::model::device::{EthIf, Facts};
use crate::core::model::ids::{Code, HardwareId, Secret};
use crate::core::protocol::json::{Object, Value};

/// Longest `product`, in bytes.
pub const PRODUCT_MAX: usize = 128;
/// Longest `version`, in bytes.
pub const VERSION_MAX: usize = 256;
/// Most network interfaces kept of one identify.
pub const INTERFACES_MAX: usize = 16;
/// Longest `platform.type`, in bytes.
pub const PLATFORM_MAX: usize = 32;
/// Longest `name`, in bytes.
pub const NAME_MAX: usize = 256;
/// Longest `fwBuild`, `bcBuild` and `major`, each, in bytes.
pub const BUILD_MAX: usize = 64;
/// Longest `fw` and `bc`, each, in bytes.
pub const FILE_MAX: usize = 128;
/// Longest name and longest address of a network interface, each, in bytes.
pub const INTERFACE_TEXT_MAX: usize = 64;
/// Longest name of an analogue port, in bytes.
pub const PORT_MAX: usize = 64;
/// Most bytes of all texts of one identify that are stored, counted as JSON writes them.
pub const STORED_MAX: usize = 1536;

/// Longest digest that is compared; a longer one is no right answer.
const DIGEST_MAX: usize = 64;

/// A required member is absent, empty, of the wrong type or invalid, or a text is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("member {0} is missing or not acceptable")]
pub struct MemberError(pub &'static str);

/// A provisioning code as a device offers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferedCode {
    /// No code, or an empty one.
    None,
    /// A well-formed code; its validity is not known.
    Code(Code),
    /// Something was typed that is no code.
    Malformed,
}

impl OfferedCode {
    /// Reads a code as a person typed it (`docs/protocol/sysclient.md` 3.1).
    pub fn typed(text: Option<&str>) -> Self {
        match text {
            None | Some("") => Self::None,
            Some(text) => Code::parse_typed(text).map_or(Self::Malformed, Self::Code),
        }
    }

    /// A text that parses as this offer; for a malformed one, some text that is no code.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Code(code) => Some(code.expose()),
            Self::Malformed => Some("-"),
        }
    }
}

/// An identify message.
#[derive(Clone, PartialEq, Eq)]
pub struct Identify {
    /// The identifier as sent.
    pub id: HardwareId,
    /// The facts of the device.
    pub facts: Facts,
    /// `provisioningCode`.
    pub code: OfferedCode,
    /// Answer to the challenge; ignored while no challenge is open.
    pub digest: Option<Box<str>>,
}

impl Identify {
    /// Reads the members.
    ///
    /// Optional members of the wrong type and empty optional texts count as absent; interfaces without a name, and
    /// those beyond the first [`INTERFACES_MAX`], are left out. A text that is too long makes the message unacceptable,
    /// because all of it is stored, of devices that belong to nobody, too.
    pub fn read(members: &Object) -> Result<Self, MemberError> {
        let id = HardwareId::parse(required(members, "id")?).map_err(|_| MemberError("id"))?;
        let product = limited(members, "product", PRODUCT_MAX)?;
        let version = limited(members, "version", VERSION_MAX)?;
        let platform = members.object("platform").ok_or(MemberError("platform"))?;
        let platform_type = limited(platform, "type", PLATFORM_MAX).map_err(|_| MemberError("platform.type"))?;
        let flag = |name| members.bool(name).unwrap_or(false);
        let facts = Facts {
            product,
            version,
            platform: platform_type,
            fxs: platform.bool("fxs").unwrap_or(false),
            name: optional(members, "name", NAME_MAX)?,
            fw_build: optional(members, "fwBuild", BUILD_MAX)?,
            bc_build: optional(members, "bcBuild", BUILD_MAX)?,
            major: optional(members, "major", BUILD_MAX)?,
            fw: optional(members, "fw", FILE_MAX)?,
            bc: optional(members, "bc", FILE_MAX)?,
            mini: flag("mini"),
            pbx_active: flag("pbxActive"),
            other: flag("other"),
            eth_ifs: interfaces(members.array("ethIfs").unwrap_or_default())?,
        };
        if is_too_much_to_store(&facts) {
            return Err(MemberError("texts together"));
        }
        let code = OfferedCode::typed(members.str("provisioningCode"));
        // Not refused: an old digest must be ignored whatever it is, and a wrong one has an answer of its own.
        let digest = members.str("digest").filter(|text| !text.is_empty());
        let digest = digest.map(|text| if text.len() > DIGEST_MAX { "-".into() } else { text.into() });
        Ok(Self { id, facts, code, digest })
    }

    /// Whether the digest is the right answer to `challenge` for this password; `false` without digest.
    pub fn answers(&self, challenge: &str, password: &Secret) -> bool {
        let Some(given) = &self.digest else { return false };
        let Facts { product, version, .. } = &self.facts;
        auth::digest_matches(given, &auth::device_digest(self.id.as_str(), product, version, challenge, password))
    }

    pub(super) fn wire(&self) -> impl Serialize {
        let Facts { product, version, platform, fxs, name, fw_build, bc_build, major, fw, bc, .. } = &self.facts;
        IdentifyWire {
            id: self.id.as_str(),
            product,
            version,
            platform: PlatformWire { kind: platform, fxs: *fxs },
            fw_build: fw_build.as_deref(),
            bc_build: bc_build.as_deref(),
            major: major.as_deref(),
            fw: fw.as_deref(),
            bc: bc.as_deref(),
            mini: self.facts.mini,
            pbx_active: self.facts.pbx_active,
            other: self.facts.other,
            name: name.as_deref(),
            provisioning_code: self.code.text(),
            eth_ifs: &self.facts.eth_ifs,
            digest: self.digest.as_deref(),
        }
    }
}

impl fmt::Debug for Identify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identify")
            .field("id", &self.id)
            .field("facts", &self.facts)
            .field("code", &self.code)
            // A digest must not be logged (`docs/protocol/sysclient.md` section 9).
            .field("digest", &self.digest.as_ref().map(|_| "…"))
            .finish()
    }
}

/// A required member that is a non-empty string.
pub(super) fn required<'a>(members: &'a Object, name: &'static str) -> Result<&'a str, MemberError> {
    members.str(name).filter(|text| !text.is_empty()).ok_or(MemberError(name))
}

/// An optional member that is a non-empty string of at most so many bytes.
pub(super) fn optional(
    members: &Object,
    name: &'static str,
    max_bytes: usize,
) -> Result<Option<Box<str>>, MemberError> {
    match members.str(name) {
        Some(text) if text.len() > max_bytes => Err(MemberError(name)),
        text => Ok(text.filter(|text| !text.is_empty()).map(Into::into)),
    }
}

/// A required member that is a non-empty string of at most so many bytes.
pub(super) fn limited(members: &Object, name: &'static str, max_bytes: usize) -> Result<Box<str>, MemberError> {
    let text = required(members, name)?;
    if text.len() > max_bytes { Err(MemberError(name)) } else { Ok(text.into()) }
}

fn interfaces(items: &[Value]) -> Result<Vec<EthIf>, MemberError> {
    let text = |o, name| optional(o, name, INTERFACE_TEXT_MAX).map_err(|_| MemberError("ethIfs"));
    let mut interfaces = Vec::new();
    for item in items {
        let Value::Object(o) = item else { continue };
        let Some(name) = text(o, "if")? else { continue };
        if interfaces.len() == INTERFACES_MAX {
            break;
        }
        interfaces.push(EthIf { name, ipv4: text(o, "ipv4")?, ipv6: text(o, "ipv6")? });
    }
    Ok(interfaces)
}

/// Most bytes that JSON makes of one byte of a text: `\u0000`.
const LONGEST_ESCAPE: usize = 6;

/// Whether the texts take more than [`STORED_MAX`] bytes where JSON escapes them; names of members do not count.
fn is_too_much_to_store(facts: &Facts) -> bool {
    let escaped = |b: u8| if b < b' ' { LONGEST_ESCAPE } else { 1 + usize::from(b == b'"' || b == b'\\') };
    // Short texts, which all devices send, are not looked at byte by byte.
    stored_texts(facts).map(str::len).sum::<usize>() > STORED_MAX / LONGEST_ESCAPE
        && stored_texts(facts).flat_map(str::bytes).map(escaped).sum::<usize>() > STORED_MAX
}

fn stored_texts(facts: &Facts) -> impl Iterator<Item = &str> {
    let Facts { product, version, platform, name, fw_build, bc_build, major, fw, bc, eth_ifs, .. } = facts;
    let optional = [name, fw_build, bc_build, major, fw, bc].into_iter().flatten();
    let addresses = eth_ifs.iter().flat_map(|i| [&i.ipv4, &i.ipv6]).flatten();
    let texts = [product, version, platform].into_iter().chain(optional);
    texts.chain(eth_ifs.iter().map(|i| &i.name)).chain(addresses).map(|text| &**text)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IdentifyWire<'a> {
    id: &'a str,
    product: &'a str,
    version: &'a str,
    platform: PlatformWire<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fw_build: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bc_build: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    major: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fw: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bc: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    mini: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pbx_active: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    other: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provisioning_code: Option<&'a str>,
    #[serde(skip_serializing_if = "<[EthIf]>::is_empty")]
    eth_ifs: &'a [EthIf],
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<&'a str>,
}

#[derive(Serialize)]
struct PlatformWire<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    fxs: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(more: &str) -> Result<Identify, MemberError> {
        let text = format!(r#"{{"id":"a","version":"v","platform":{{"type":"GW"}}{more}}}"#);
        Identify::read(&Object::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn limits_count_bytes() {
        assert!(read(&format!(r#","product":"{}""#, "ü".repeat(64))).is_ok());
        assert_eq!(read(&format!(r#","product":"{}x""#, "ü".repeat(64))), Err(MemberError("product")));
        let text = format!(r#"{{"id":"a","product":"p","version":"{}"}}"#, "v".repeat(257));
        let members = Object::parse(text.as_bytes()).unwrap();
        assert_eq!(Identify::read(&members), Err(MemberError("version")));
    }

    #[test]
    fn every_text_has_a_longest() {
        let text = |name: &str, bytes| format!(r#","product":"p","{name}":"{}""#, "x".repeat(bytes));
        let members = [
            ("name", NAME_MAX),
            ("fwBuild", BUILD_MAX),
            ("bcBuild", BUILD_MAX),
            ("major", BUILD_MAX),
            ("fw", FILE_MAX),
            ("bc", FILE_MAX),
        ];
        for (name, longest) in members {
            assert!(read(&text(name, longest)).is_ok(), "{name}");
            assert_eq!(read(&text(name, longest + 1)), Err(MemberError(name)));
        }
        for name in ["if", "ipv4", "ipv6"] {
            let list = |bytes| format!(r#","product":"p","ethIfs":[{{"if":"E","{name}":"{}"}}]"#, "x".repeat(bytes));
            let list = |bytes| if name == "if" { list(bytes).replace(r#""if":"E","#, "") } else { list(bytes) };
            assert!(read(&list(INTERFACE_TEXT_MAX)).is_ok(), "{name}");
            assert_eq!(read(&list(INTERFACE_TEXT_MAX + 1)), Err(MemberError("ethIfs")), "{name}");
        }
        let kind = format!(r#"{{"id":"a","product":"p","version":"v","platform":{{"type":"{}"}}}}"#, "x".repeat(33));
        assert_eq!(Identify::read(&Object::parse(kind.as_bytes()).unwrap()), Err(MemberError("platform.type")));
    }

    #[test]
    fn all_texts_together_are_bounded_as_they_are_stored() {
        let list = |text: &str| format!(r#","product":"p","ethIfs":[{}{{"if":"E"}}]"#, text.repeat(15));
        let long = format!(r#"{{"if":"{0}","ipv6":"{0}"}},"#, "x".repeat(INTERFACE_TEXT_MAX));
        assert_eq!(read(&list(&long)), Err(MemberError("texts together")));
        let most =
            read(&list(r#"{"if":"ETH0.4094","ipv4":"192.0.2.17","ipv6":"2001:db8:1111:2222:3333:4444:5555:6666"},"#));
        assert!(serde_json::to_string(&most.unwrap().facts).unwrap().len() <= 2048);
        // A control character is six bytes in JSON.
        assert!(read(&format!(r#","product":"p","name":"{}""#, "\\u0001".repeat(250))).is_ok());
        let more = format!(r#","product":"p","name":"{0}","fw":"{1}""#, "\\u0001".repeat(250), "\\n".repeat(10));
        assert_eq!(read(&more), Err(MemberError("texts together")));
    }

    #[test]
    fn a_long_digest_is_a_wrong_one() {
        let digest = |bytes| read(&format!(r#","product":"p","digest":"{}""#, "a".repeat(bytes))).unwrap().digest;
        assert_eq!((digest(64).unwrap().len(), digest(65).as_deref()), (64, Some("-")));
    }

    #[test]
    fn interfaces_without_a_name_do_not_count() {
        let list = format!(r#","product":"p","ethIfs":[{}{{"if":"LAST"}}]"#, r#"{"if":7},1,{"if":"E"},"#.repeat(15));
        let interfaces = read(&list).unwrap().facts.eth_ifs;
        assert_eq!((interfaces.len(), &*interfaces[15].name), (16, "LAST"));
        let list = format!(r#","product":"p","ethIfs":[{}{{"if":"LAST"}}]"#, r#"{"if":"E"},"#.repeat(16));
        assert!(read(&list).unwrap().facts.eth_ifs.iter().all(|i| &*i.name == "E"));
    }

    #[test]
    fn a_code_is_offered_absent_or_malformed() {
        let code = |text: &str| read(&format!(r#","product":"p","provisioningCode":{text}"#)).unwrap().code;
        assert_eq!(code(r#""""#), OfferedCode::None);
        assert_eq!(code("402817739164"), OfferedCode::None);
        assert_eq!(code(r#""4028-1773 9164#""#), OfferedCode::Code(Code::parse("402817739164").unwrap()));
        assert_eq!(code(r#""123""#), OfferedCode::Malformed);
    }

    #[test]
    fn debug_shows_no_digest() {
        let identify = read(r#","product":"p","digest":"5ad83d40","provisioningCode":"402817739164""#).unwrap();
        let text = format!("{identify:?}");
        assert!(!text.contains("5ad83d40") && !text.contains("402817739164"), "{text}");
    }
}
