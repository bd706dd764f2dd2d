//! The GUID of an object of an exchange.

use std::fmt;

/// 32 hex digits in lower case. No other value is possible, so a request can never contain the special forms `*` and
/// `?` of `UpdateObject`, or lack a GUID (`docs/protocol/pbx.md` 2.3).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Guid(Box<str>);

/// A text is not 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not 32 hex digits")]
pub struct InvalidGuid;

impl Guid {
    /// Reads 32 hex digits of either case.
    pub fn parse(text: &str) -> Result<Self, InvalidGuid> {
        if text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            Ok(Self(text.to_ascii_lowercase().into()))
        } else {
            Err(InvalidGuid)
        }
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_32_hex_digits_are_a_guid() {
        assert_eq!(
            Guid::parse("A41C7E0B93D2460F8B5E17C2D9604F3A").unwrap().as_str(),
            "a41c7e0b93d2460f8b5e17c2d9604f3a"
        );
        for text in ["", "*", "?", "a41c7e0b93d2460f8b5e17c2d9604f3", "a41c7e0b93d2460f8b5e17c2d9604f3g"] {
            assert_eq!(Guid::parse(text), Err(InvalidGuid), "{text}");
        }
    }
}
