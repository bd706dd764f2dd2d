//! What stands for a provisioning code in the store.
//!
//! A code is a bearer secret, so the store never holds its digits: keys, members of indexes and fields that identify a
//! code hold its *name*, a keyed hash; where a code has to be shown or sent again, its record holds it sealed. Each use
//! has hashes of its own, so that names of different uses cannot be compared.
//!
//! Stores before version 1 held codes in clear: the digits are the name there. The backends read such names, too, for
//! as long as there may be any (`schema.rs`).

use serde::{Deserialize, Serialize};

use super::Result;
use super::record::{Sealed, corrupt, open, seal, sealed_place};
use super::seal::Sealer;
use crate::core::model::ids::{Code, DeviceKey, DomainName, Secret};
use crate::core::model::users_role::RequestId;

/// Where a name of a code is used. Names that are compared with each other are of one use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CodeUse {
    /// The record of Devices with all that belongs to it: pointer, indexes, device, notice.
    Record,
    /// The timeline.
    Timeline,
    /// The phone request of the Users role.
    Request,
}

impl CodeUse {
    const fn purpose(self) -> &'static str {
        match self {
            Self::Record => "code",
            Self::Timeline => "code timeline",
            Self::Request => "code request",
        }
    }
}

/// The name of a code.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct CodeName(Box<str>);

impl std::fmt::Debug for CodeName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CodeName(…)")
    }
}

impl CodeName {
    /// The keyed hash of a code.
    pub fn hashed(sealer: &Sealer, of: CodeUse, code: Code) -> Self {
        Self(sealer.lasting_hash(of.purpose(), code.expose()).into())
    }

    /// The code itself, as stores before version 1 have it.
    pub fn clear(code: Code) -> Self {
        Self(code.expose().into())
    }

    /// A name as it was read from the store; it may be of either form.
    pub fn stored(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The code, if the name is the code itself.
    pub fn in_clear(&self) -> Option<Code> {
        Code::parse(&self.0).ok()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The place of a sealed code: the record of that name. Notice and device hold copies of what that record holds.
fn place(domain: &DomainName, name: &CodeName) -> String {
    format!("{{{domain}}}:code:{}", name.as_str())
}

/// What the sealed code of the record with this name is bound to.
pub(super) fn sealed_code_place(domain: &str, name: &str) -> String {
    sealed_place(&format!("{{{domain}}}:code:{name}"), "code")
}

/// Seals the code with this name.
pub(super) fn seal_code(sealer: &Sealer, domain: &DomainName, name: &CodeName, code: Code) -> Vec<u8> {
    seal(sealer, &place(domain, name), "code", &Secret::new(code.expose()))
}

/// The code with this name, from its sealed form. `shown` is what an error names.
pub(super) fn open_code(
    sealer: &Sealer,
    shown: &str,
    domain: &DomainName,
    name: &CodeName,
    bytes: Option<&[u8]>,
) -> Result<Code> {
    if let Some(code) = name.in_clear() {
        return Ok(code);
    }
    let bytes = bytes.ok_or_else(|| corrupt(shown, &"the sealed code is missing"))?;
    let text = open(sealer, &place(domain, name), "code", bytes).map_err(|_| corrupt(shown, &"not this code"))?;
    Code::parse(text.expose()).map_err(|e| corrupt(shown, &e))
}

/// A code that is part of a record: sealed, or in clear as stores before version 1 have it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredCode {
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "code")]
    clear: Option<Code>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<Sealed>,
}

impl StoredCode {
    /// Sealed for the record at `place`.
    pub fn sealed(sealer: &Sealer, place: &str, code: Code) -> Self {
        let bytes = seal(sealer, place, "code", &Secret::new(code.expose()));
        Self { clear: None, sealed: Some(Sealed(bytes)) }
    }

    /// In clear, for programs before version 1.
    pub const fn clear(code: Code) -> Self {
        Self { clear: Some(code), sealed: None }
    }

    /// The code, if it is in clear.
    pub const fn in_clear(&self) -> Option<Code> {
        self.clear
    }

    /// Whether there is a code at all.
    pub const fn is_some(&self) -> bool {
        self.clear.is_some() || self.sealed.is_some()
    }

    /// The code.
    pub fn open(&self, sealer: &Sealer, place: &str) -> Result<Code> {
        if let Some(code) = self.clear {
            return Ok(code);
        }
        let bytes = self.sealed.as_ref().ok_or_else(|| corrupt(place, &"the code is missing"))?;
        let text = open(sealer, place, "code", &bytes.0)?;
        Code::parse(text.expose()).map_err(|e| corrupt(place, &e))
    }
}

/// What contained a code in clear in a store before version 1, by its key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CodePlace {
    /// The key that leads from a code to its domain.
    Pointer(Code),
    /// A key of this code that goes with its record.
    Code(DomainName, Code),
    /// The timeline of a code.
    Timeline(DomainName, Code),
    /// An index whose members are names of codes.
    Index(DomainName, CodeUse),
    /// A device.
    Device(DomainName, DeviceKey),
    /// The key that leads from a code to its phone request.
    RequestCode(DomainName, Code),
    /// A phone request.
    Request(DomainName, RequestId),
    /// The rows of a roll-out.
    Rows(DomainName),
}

impl CodePlace {
    /// `key` is that of the embedded store; those of Redis are the same behind `pb:`.
    pub fn of(key: &str) -> Option<Self> {
        if let Some(code) = key.strip_prefix("code:") {
            return Code::parse(code).ok().map(Self::Pointer);
        }
        let (domain, rest) = key.strip_prefix('{')?.split_once("}:")?;
        let domain = DomainName::parse(domain).ok()?;
        let code = |text| Code::parse(text).ok();
        let (kind, of) = rest.split_once(':').unwrap_or((rest, ""));
        Some(match kind {
            "code" | "window" | "mail" | "lease" => Self::Code(domain, code(of)?),
            "open" | "codes" | "mailbox" => Self::Index(domain, CodeUse::Record),
            "timeline" => Self::Timeline(domain, code(of.strip_prefix("code:")?)?),
            "device" => Self::Device(domain, DeviceKey::parse(of).ok()?),
            "rows" => Self::Rows(domain),
            "people" => match of.split_once(':').unwrap_or((of, "")) {
                ("open", _) => Self::Index(domain, CodeUse::Request),
                ("code", text) => Self::RequestCode(domain, code(text)?),
                ("request", id) => Self::Request(domain, RequestId::parse(id).ok()?),
                _ => return None,
            },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain() -> DomainName {
        DomainName::parse("example.com").unwrap()
    }

    #[test]
    fn a_name_tells_nothing_and_is_of_one_use() {
        let (sealer, code) = (Sealer::random(), Code::from_number(402_817_739_164).unwrap());
        let names =
            [CodeUse::Record, CodeUse::Timeline, CodeUse::Request].map(|of| CodeName::hashed(&sealer, of, code));
        assert!(names[0] != names[1] && names[1] != names[2] && names[0] != names[2]);
        for name in &names {
            assert_eq!((name.as_str().len(), name.in_clear()), (64, None));
            assert_eq!(CodeName::stored(name.as_str()), *name);
        }
        assert_eq!(CodeName::clear(code).in_clear(), Some(code));
    }

    #[test]
    fn a_sealed_code_opens_under_its_own_name_only() {
        let (sealer, code) = (Sealer::random(), Code::from_number(7).unwrap());
        let name = |number| CodeName::hashed(&sealer, CodeUse::Record, Code::from_number(number).unwrap());
        let sealed = seal_code(&sealer, &domain(), &name(7), code);
        let opened = |domain: &DomainName, name: &CodeName| open_code(&sealer, "x", domain, name, Some(&sealed)).ok();
        assert_eq!(opened(&domain(), &name(7)), Some(code));
        assert_eq!(opened(&domain(), &name(8)), None);
        assert_eq!(opened(&DomainName::parse("other.example").unwrap(), &name(7)), None);
        assert!(open_code(&sealer, "x", &domain(), &name(7), None).is_err());
        assert_eq!(open_code(&sealer, "x", &domain(), &CodeName::clear(code), None).unwrap(), code);
    }

    #[test]
    fn a_code_in_a_record_is_read_in_both_forms() {
        let (sealer, code) = (Sealer::random(), Code::from_number(7).unwrap());
        for stored in [StoredCode::sealed(&sealer, "rows:1#0", code), StoredCode::clear(code)] {
            let json = serde_json::to_string(&stored).unwrap();
            assert_eq!(json.contains(code.expose()), stored.in_clear().is_some());
            let read: StoredCode = serde_json::from_str(&json).unwrap();
            assert_eq!(read.open(&sealer, "rows:1#0").unwrap(), code);
            assert_eq!(read.open(&sealer, "rows:1#1").is_ok(), stored.in_clear().is_some());
        }
        let neither: StoredCode = serde_json::from_str("{}").unwrap();
        assert!(neither.open(&sealer, "rows:1#0").is_err());
    }

    #[test]
    fn everything_that_may_hold_a_code_is_recognised_by_its_key() {
        let domain = || DomainName::parse("example.com").unwrap();
        let code = Code::parse("402817739164").unwrap();
        let of = |rest: &str| CodePlace::of(&format!("{{example.com}}:{rest}"));
        assert_eq!(CodePlace::of("code:402817739164"), Some(CodePlace::Pointer(code)));
        for kind in ["code", "window", "mail", "lease"] {
            assert_eq!(of(&format!("{kind}:402817739164")), Some(CodePlace::Code(domain(), code)), "{kind}");
            assert_eq!(of(&format!("{kind}:{}", "a1".repeat(32))), None, "{kind}");
        }
        assert_eq!(of("timeline:code:402817739164"), Some(CodePlace::Timeline(domain(), code)));
        // A device may be called so.
        assert_eq!(of("timeline:device:402817739164"), None);
        for index in ["open:short", "open:rollout", "codes", "mailbox"] {
            assert_eq!(of(index), Some(CodePlace::Index(domain(), CodeUse::Record)), "{index}");
        }
        for index in ["people:open", "people:open:guid-of-anna", "people:open:a:b"] {
            assert_eq!(of(index), Some(CodePlace::Index(domain(), CodeUse::Request)), "{index}");
        }
        let device = DeviceKey::parse("402817739164").unwrap();
        assert_eq!(of("device:402817739164"), Some(CodePlace::Device(domain(), device)));
        assert_eq!(of("people:code:402817739164"), Some(CodePlace::RequestCode(domain(), code)));
        let id = RequestId::parse(&"a1".repeat(16)).unwrap();
        assert_eq!(of(&format!("people:request:{}", id.as_str())), Some(CodePlace::Request(domain(), id)));
        assert_eq!(of("rows:7:500"), Some(CodePlace::Rows(domain())));
        assert_eq!(of("rows:7"), Some(CodePlace::Rows(domain())));
        for other in
            ["people:rows:7", "rollout:7", "devices", "presence", "offer:402817739164", "people:of:402817739164"]
        {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(CodePlace::of("dir:{dir}:code:402817739164"), None);
    }
}
