//! The parts of records that both backends write the same way, as JSON.
//!
//! Not here: keys, expiry, and fields that a script or a transaction changes separately.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{CodeRecord, Result, StoreError};
use crate::core::model::bundle::SiteName;
use crate::core::model::device::{Category, CodeState, IssuedCode, KEEP_USED, Notice, Requester};
use crate::core::model::hex;
use crate::core::model::ids::{CategoryId, Code, DeviceKey, DomainName, NodeId, Secret};
use crate::core::model::time::UnixMillis;
use crate::core::policy::jobs::Job;
use crate::store::seal::Sealer;

/// Digits of a code.
const CODE_DIGITS: usize = 12;

/// No code is listed longer than this after its issue: longer than any validity that can be configured, plus
/// [`KEEP_USED`].
pub(super) const LISTED: Duration = Duration::from_secs(60 * 24 * 3600).saturating_add(KEEP_USED);

/// The part of an issued code that never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    pub category: CategoryId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sip: Option<Box<str>>,
    pub requester: Requester,
    pub rollout: bool,
    /// Codes of before the flag gave the administrative password of the domain.
    #[serde(default = "yes")]
    pub administrative: bool,
    pub valid_until: UnixMillis,
}

const fn yes() -> bool {
    true
}

impl About {
    pub fn of(new: &CodeRecord) -> Self {
        Self {
            category: new.category,
            sip: new.sip.clone(),
            requester: new.requester.clone(),
            rollout: new.rollout,
            administrative: new.administrative,
            valid_until: new.valid_until,
        }
    }

    pub fn issued(self, code: Code, domain: DomainName, holder: Option<NodeId>, state: CodeState) -> IssuedCode {
        IssuedCode {
            code,
            domain,
            category: self.category,
            sip: self.sip,
            requester: self.requester,
            holder,
            rollout: self.rollout,
            administrative: self.administrative,
            valid_until: self.valid_until,
            state,
        }
    }

    pub fn notice(self, code: Code, device: DeviceKey, port: Option<Box<str>>, holder: Option<NodeId>) -> Notice {
        Notice { code, device, port, requester: self.requester, holder }
    }
}

/// What stands in a lent code for the device that has used it. Whoever looks only for that finds the code used.
pub(super) fn lent_mark(site: &SiteName) -> Result<DeviceKey> {
    DeviceKey::parse(&format!("site:{site}")).map_err(|e| corrupt("code", &e))
}

/// The JSON text of a record.
pub(super) fn to_json(record: &impl Serialize) -> String {
    // Every record here consists of strings, numbers and lists, which JSON can always express.
    #[allow(clippy::expect_used)]
    serde_json::to_string(record).expect("plain records are JSON")
}

/// A record from its JSON text. `place` names it in the error and must not be a secret.
pub(super) fn from_json<T: DeserializeOwned>(place: &str, json: &[u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(|e| corrupt(place, &e))
}

/// A record that cannot be read.
pub(super) fn corrupt(place: &str, why: &impl ToString) -> StoreError {
    StoreError::Corrupt { key: place.into(), why: without_codes(&why.to_string()) }
}

/// A text in which no code can be read: whatever looks like one is replaced. What is said of a JSON text that cannot be
/// read may quote a part of it.
fn without_codes(text: &str) -> String {
    let mut parts = String::with_capacity(text.len());
    for part in text.split_inclusive(|c: char| !c.is_ascii_digit()) {
        let digits = part.trim_end_matches(|c: char| !c.is_ascii_digit());
        if digits.len() == CODE_DIGITS {
            parts.push('…');
            parts.push_str(part.get(digits.len()..).unwrap_or_default());
        } else {
            parts.push_str(part);
        }
    }
    parts
}

/// Opens a sealed field of a record.
pub(super) fn open(sealer: &Sealer, place: &str, field: &str, bytes: &[u8]) -> Result<Secret> {
    sealer.open(&sealed_place(place, field), bytes).map_err(|e| corrupt(place, &e))
}

/// Seals a field of a record, bound to record and field, so that two sealed fields cannot be exchanged.
pub(super) fn seal(sealer: &Sealer, place: &str, field: &str, secret: &Secret) -> Vec<u8> {
    sealer.seal(&sealed_place(place, field), secret.expose())
}

/// Seals a whole job, because its values may be passwords.
pub(super) fn seal_job(sealer: &Sealer, place: &str, job: &Job) -> Vec<u8> {
    seal(sealer, place, &job.id.0.to_string(), &Secret::new(to_json(job)))
}

/// Opens the job with this number.
pub(super) fn open_job(sealer: &Sealer, place: &str, id: &str, bytes: &[u8]) -> Result<Job> {
    let json = open(sealer, place, id, bytes)?;
    // What serde says about the JSON may quote a value.
    serde_json::from_str(json.expose()).map_err(|_| corrupt(place, &format!("job {id} is of another version")))
}

/// What a sealed field is bound to.
pub(super) fn sealed_place(place: &str, field: &str) -> String {
    [place, "#", field].concat()
}

/// The keyed hash by which directory codes are looked up.
pub(super) fn code_hash(sealer: &Sealer, code: Code) -> String {
    sealer.hash("directory code", code.expose())
}

/// The other hash under which a code may be listed, while there may be records of before.
pub(super) fn other_code_hash(sealer: &Sealer, code: Code) -> Option<String> {
    sealer.other_hash("directory code", code.expose())
}

/// All hashes under which a code may be listed.
pub(super) fn code_hashes(sealer: &Sealer, code: Code) -> impl Iterator<Item = String> {
    std::iter::once(code_hash(sealer, code)).chain(other_code_hash(sealer, code))
}

/// The purpose of the hashes of answers.
const ANSWER: &str = "directory answer";

/// The keyed hash by which remembered answers are looked up. The length keeps (`ab`, `c`) and (`a`, `bc`) apart.
pub(super) fn answer_hash(sealer: &Sealer, credential: &str, key: &str) -> String {
    sealer.hash(ANSWER, &answer_text(credential, key))
}

/// All hashes under which an answer may be remembered.
pub(super) fn answer_hashes(sealer: &Sealer, credential: &str, key: &str) -> impl Iterator<Item = String> {
    let other = sealer.other_hash(ANSWER, &answer_text(credential, key));
    std::iter::once(answer_hash(sealer, credential, key)).chain(other)
}

fn answer_text(credential: &str, key: &str) -> String {
    format!("{}:{credential}:{key}", credential.len())
}

/// Sealed bytes as JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sealed(pub Vec<u8>);

impl Serialize for Sealed {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Sealed {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_str(Hex)
    }
}

/// Decodes from the borrowed text. This runs whenever a device reconnects, and a `String` would be a copy.
struct Hex;

impl serde::de::Visitor<'_> for Hex {
    type Value = Sealed;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("hex")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> std::result::Result<Sealed, E> {
        hex::decode(text).map(Sealed).map_err(|_| E::custom("not hex"))
    }
}

/// The categories of `wanted` that `have` lacks.
pub(super) fn missing_categories<'a>(have: &[Category], wanted: &'a [(Box<str>, bool)]) -> Vec<&'a (Box<str>, bool)> {
    wanted.iter().filter(|(name, _)| !have.iter().any(|c| c.name == *name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_bytes_survive_json() {
        let sealed = Sealed((0..=255).collect());
        assert_eq!(from_json::<Sealed>("test", to_json(&sealed).as_bytes()).unwrap(), sealed);
        assert!(from_json::<Sealed>("test", b"\"abc\"").is_err());
        assert!(from_json::<Sealed>("test", b"\"zz\"").is_err());
    }

    #[test]
    fn an_error_quotes_no_code() {
        let wrong = from_json::<u64>("place", br#""402817739164""#).unwrap_err().to_string();
        assert!(wrong.contains("invalid type: string \"…\", expected u64"), "{wrong}");
        for text in ["402817739164", "x402817739164", "a 402817739164, 402817739164!", "402817739164 402817739164"] {
            let shown = without_codes(text);
            assert!(!shown.contains("4028") && shown.contains('…'), "{text} → {shown}");
        }
        for text in ["", "line 1 column 20", "1767225600123", "ä40281773916ö"] {
            assert_eq!(without_codes(text), text);
        }
    }

    #[test]
    fn a_sealed_field_does_not_open_as_another_one() {
        let sealer = Sealer::random();
        let bytes = seal(&sealer, "device", "password", &Secret::new("letmein"));
        assert_eq!(open(&sealer, "device", "password", &bytes).unwrap(), Secret::new("letmein"));
        assert!(open(&sealer, "device", "admin", &bytes).is_err());
    }
}
