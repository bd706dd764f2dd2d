//! The path of the App IP on an app platform, as an operator sets it (`docs/protocol/devices-api.md` 3.1).

use serde::{Deserialize, Serialize};

/// Longest path, in bytes as it is given.
const MAX_BYTES: usize = 128;

/// A path such as `ip/`: without a slash at its beginning, with one at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Box<str>")]
pub struct AppIpPath(Box<str>);

/// A text is not the path of an App IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the path of an App IP")]
pub struct InvalidAppIpPath;

impl AppIpPath {
    /// Reads parts of letters, digits, `-`, `.`, `_` and `~` between slashes, none of them empty, `.` or `..`. A slash
    /// at either end makes no difference.
    pub fn parse(text: &str) -> Result<Self, InvalidAppIpPath> {
        let path = text.strip_prefix('/').unwrap_or(text);
        let path = path.strip_suffix('/').unwrap_or(path);
        let is_part = |part: &str| {
            let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
            !matches!(part, "" | "." | "..") && part.bytes().all(is_allowed)
        };
        if text.len() > MAX_BYTES || !path.split('/').all(is_part) {
            return Err(InvalidAppIpPath);
        }
        Ok(Self(format!("{path}/").into()))
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<Box<str>> for AppIpPath {
    type Error = InvalidAppIpPath;

    fn try_from(text: Box<str>) -> Result<Self, InvalidAppIpPath> {
        Self::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_slash_at_its_end() {
        for (text, expected) in [("ip", "ip/"), ("/ip/", "ip/"), ("apps/App-IP_1.2~", "apps/App-IP_1.2~/")] {
            let path = AppIpPath::parse(text).unwrap();
            assert_eq!(path.as_str(), expected);
            assert_eq!(serde_json::from_str::<AppIpPath>(&serde_json::to_string(&path).unwrap()).unwrap(), path);
        }
        assert!(AppIpPath::parse(&"a".repeat(128)).is_ok());
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in ["", "/", "//", "ip//", "a//b", ".", "a/../b", "a?b", "a#b", "a b", "a%2e", "ü", "a\n", "https://x"]
        {
            assert_eq!(AppIpPath::parse(text), Err(InvalidAppIpPath), "{text:?}");
        }
        assert!(AppIpPath::parse(&"a".repeat(129)).is_err());
        assert!(serde_json::from_str::<AppIpPath>(r#""../""#).is_err());
    }
}
