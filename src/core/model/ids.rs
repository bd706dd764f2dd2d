//! Identifiers and secrets as separate types.
//!
//! Each can only be made from valid text, so code that takes one needs no check. `Debug` never shows a secret;
//! [`Secret::expose`] marks every place that does.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest hardware identifier, in characters (`docs/protocol/sysclient.md` 3.1).
pub const MAX_ID_CHARS: usize = 64;

/// A text is not valid as an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {0}")]
pub struct InvalidId(&'static str);

impl InvalidId {
    /// The kind of identifier that the text is not.
    pub(crate) const fn of(kind: &'static str) -> Self {
        Self(kind)
    }
}

/// The hardware identifier of a device exactly as sent; the digest is computed over it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HardwareId(Box<str>);

impl HardwareId {
    /// 1 to 64 characters without control characters, white space, `/ \ ? # %`, and not `.` or `..`.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let forbidden = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '/' | '\\' | '?' | '#' | '%');
        let bad = text.is_empty()
            || text == "."
            || text == ".."
            || text.chars().any(forbidden)
            || text.chars().count() > MAX_ID_CHARS;
        if bad { Err(InvalidId("hardware identifier")) } else { Ok(Self(text.into())) }
    }

    /// The text as sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key of the device.
    pub fn key(&self) -> DeviceKey {
        DeviceKey(mac_digits(&self.0).map_or_else(|| (*self.0).into(), Into::into))
    }
}

/// The twelve hex digits of a MAC address in lower case, if `text` without `-` and `:` is one.
pub fn mac_digits(text: &str) -> Option<Box<str>> {
    let mut digits = String::with_capacity(12);
    for byte in text.bytes().filter(|b| !matches!(b, b'-' | b':')) {
        if digits.len() == 12 || !byte.is_ascii_hexdigit() {
            return None;
        }
        digits.push(char::from(byte.to_ascii_lowercase()));
    }
    (digits.len() == 12).then(|| digits.into())
}

/// The key of a device: the hardware identifier, or for a MAC address its twelve digits in lower case
/// (`docs/protocol/sysclient.md` 3.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Box<str>")]
pub struct DeviceKey(std::sync::Arc<str>);

impl DeviceKey {
    /// Reads a key from text, by the rules of [`HardwareId::parse`].
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        HardwareId::parse(text).map(|id| id.key())
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<Box<str>> for DeviceKey {
    type Error = InvalidId;

    fn try_from(text: Box<str>) -> Result<Self, InvalidId> {
        Self::parse(&text)
    }
}

impl fmt::Display for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A provisioning code: exactly twelve decimal digits. It is a bearer secret, so `Debug` hides it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code([u8; 12]);

impl Code {
    /// The number of codes.
    pub const SPACE: u64 = 1_000_000_000_000;

    /// The code with this number; `None` from [`Code::SPACE`] on.
    pub fn from_number(number: u64) -> Option<Self> {
        if number >= Self::SPACE {
            return None;
        }
        let mut digits = [b'0'; 12];
        let mut rest = number;
        for place in digits.iter_mut().rev() {
            // A remainder of ten fits into a byte.
            *place = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        Some(Self(digits))
    }

    /// Exactly twelve digits, nothing else.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        match <[u8; 12]>::try_from(text.as_bytes()) {
            Ok(digits) if digits.iter().all(u8::is_ascii_digit) => Ok(Self(digits)),
            _ => Err(InvalidId("provisioning code")),
        }
    }

    /// A code as typed by a person: blanks, `-` and one trailing `#` are removed first (`docs/protocol/sysclient.md`
    /// 3.1, `docs/protocol/directory.md` 4).
    pub fn parse_typed(text: &str) -> Result<Self, InvalidId> {
        let text = text.trim_end();
        let text = text.strip_suffix('#').unwrap_or(text);
        let digits: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
        Self::parse(&digits)
    }

    /// The twelve digits.
    pub fn expose(&self) -> &str {
        // It contains only ASCII digits.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(…)")
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// The name of a domain (tenant), in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DomainName(std::sync::Arc<str>);

impl DomainName {
    /// 1 to 253 characters out of letters, digits, `.`, `-` and `_`; case is folded.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let good = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
        if text.is_empty() || text.chars().count() > 253 || !text.chars().all(good) || text == "." || text == ".." {
            return Err(InvalidId("domain name"));
        }
        // Common case: as in the records of devices, already folded.
        if text.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
            return Ok(Self(text.into()));
        }
        Ok(Self(text.to_lowercase().into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DomainName {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(&text)
    }
}

impl From<DomainName> for String {
    fn from(name: DomainName) -> Self {
        name.as_str().into()
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Number of a domain on the wire; below 2^53 (`docs/protocol/devices-api.md` section 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DomainId(pub u64);

/// Number of a category on the wire; below 2^53.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CategoryId(pub u64);

/// Number of a device on the wire; below 2^53.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceId(pub u64);

/// Number of a job; a later job has a greater one. Below 2^53.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub u64);

/// Number of a device configuration on the wire; below 2^53.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConfigId(pub u64);

/// Number of a roll-out; below 2^53.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RolloutId(pub u64);

/// One running broker process; a new one at every start.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(std::sync::Arc<str>);

impl NodeId {
    /// A node id from random text.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One connection of this process; counted up, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConnId(pub u64);

/// A password, token or key. `Debug` hides it; comparison takes the same time wherever the texts differ.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PartialEq for Secret {
    /// Takes a time that depends on the length of `other` only: put there what somebody has shown, and the time tells
    /// neither where the two differ nor how long the right one is.
    fn eq(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq as _;
        let (right, shown) = (self.0.as_bytes(), other.0.as_bytes());
        let mut same = right.len().ct_eq(&shown.len());
        for (n, byte) in shown.iter().enumerate() {
            same &= right.get(n).unwrap_or(&0).ct_eq(byte);
        }
        same.into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_equal_if_all_their_bytes_are() {
        let all = ["", "a", "b", "ab", "ba", "a\0", "\0", "ü", "a secret of some length"].map(Secret::new);
        for (n, one) in all.iter().enumerate() {
            for (m, other) in all.iter().enumerate() {
                assert_eq!(one == other, n == m, "{n} {m}");
            }
        }
    }

    #[test]
    fn mac_addresses_fold_to_one_key() {
        for text in ["00-90-33-41-A0-B1", "00:90:33:41:a0:b1", "00903341a0b1"] {
            assert_eq!(HardwareId::parse(text).unwrap().key().as_str(), "00903341a0b1");
        }
        assert_eq!(HardwareId::parse("f049033123450").unwrap().key().as_str(), "f049033123450");
        assert_eq!(HardwareId::parse("türsprecher-07").unwrap().key().as_str(), "türsprecher-07");
    }

    #[test]
    fn identifiers_that_would_leave_their_path_segment_are_refused() {
        for text in ["", ".", "..", "../etc", "a b", "a\tb", "a%2f", "a?b", "a#b", "a\\b", "a\u{a0}b", "a\u{7f}"] {
            assert!(HardwareId::parse(text).is_err(), "{text:?}");
        }
        assert!(HardwareId::parse(&"x".repeat(64)).is_ok());
        assert!(HardwareId::parse(&"ü".repeat(65)).is_err());
    }

    #[test]
    fn codes_are_read_as_people_type_them() {
        for text in ["402817739164", "4028 1773 9164", "4028-1773-9164#", "402817739164# "] {
            assert_eq!(Code::parse_typed(text).unwrap().expose(), "402817739164");
        }
        for text in ["", "40281773916", "4028177391644", "40281773916a", "402817739164##", "٤٠٢٨١٧٧٣٩١٦٤"] {
            assert!(Code::parse_typed(text).is_err(), "{text:?}");
        }
        assert_eq!(Code::from_number(7).unwrap().expose(), "000000000007");
        assert_eq!(Code::from_number(Code::SPACE - 1).unwrap().expose(), "999999999999");
        assert!(Code::from_number(Code::SPACE).is_none());
    }

    #[test]
    fn debug_shows_no_secret() {
        let code = Code::from_number(402_817_739_164).unwrap();
        assert_eq!(format!("{code:?} {:?}", Secret::new("letmein")), "Code(…) Secret(…)");
    }
}
