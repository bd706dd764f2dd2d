//! Strict percent-encoding of addresses; a plus sign stays a plus sign (`docs/protocol/sysclient.md` section 6).
//!
//! This is not the form encoding of browsers. The caller decides which parameters a query may or must have.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why a text cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PercentError {
    /// A `%` without two hex digits after it.
    #[error("bad percent sequence")]
    BadSequence,
    /// The decoded bytes are not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
}

/// Why a query is invalid as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A name or a value cannot be decoded.
    #[error(transparent)]
    Percent(#[from] PercentError),
    /// A name occurs twice.
    #[error("repeated parameter")]
    Repeated,
}

/// Encodes everything but letters, digits and `-._~`, with upper-case hex digits.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Decodes exactly once; `+` is not changed.
pub fn decode(text: &str) -> Result<String, PercentError> {
    let well_formed = |after: &str| after.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if !text.split('%').skip(1).all(well_formed) {
        return Err(PercentError::BadSequence);
    }
    percent_decode_str(text).decode_utf8().map(Into::into).map_err(|_| PercentError::NotUtf8)
}

/// The decoded names and values of a query (the part after `?`), in order.
///
/// A parameter without `=` has an empty value; empty parameters (`a&&b`) do not count.
pub fn query(text: &str) -> Result<Vec<(String, String)>, QueryError> {
    let mut parameters = Vec::new();
    for parameter in text.split('&').filter(|p| !p.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        parameters.push((decode(name)?, decode(value)?));
    }
    let mut names: Vec<&str> = parameters.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let repeated = names.windows(2).any(|pair| pair[0] == pair[1]);
    if repeated { Err(QueryError::Repeated) } else { Ok(parameters) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn unreserved_characters_stay() {
        assert_eq!(encode("~A-b_c.d!*'()"), "~A-b_c.d%21%2A%27%28%29");
        assert_eq!(encode("tökén/%"), "t%C3%B6k%C3%A9n%2F%25");
    }

    #[test]
    fn broken_sequences_are_refused() {
        for text in ["%", "%2", "a%zz", "%%41", "%+1", "%2ü"] {
            assert_eq!(decode(text), Err(PercentError::BadSequence), "{text}");
        }
        assert_eq!(decode("%C3"), Err(PercentError::NotUtf8));
        assert_eq!(decode("%c3%bc+%2B").as_deref(), Ok("ü++"));
    }

    #[test]
    fn a_query_keeps_its_order() {
        let pairs = query("b=1&&a=x=y&c&%64=").unwrap();
        let expected = [("b", "1"), ("a", "x=y"), ("c", ""), ("d", "")];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(query("a=1&%61=2"), Err(QueryError::Repeated));
        assert_eq!(query(""), Ok(Vec::new()));
    }

    proptest! {
        #[test]
        fn encoding_is_reversible(text in any::<String>()) {
            prop_assert_eq!(decode(&encode(&text)), Ok(text));
        }
    }
}
