//! What all messages to and from an exchange have in common (`docs/protocol/pbx.md` section 2): the start of a
//! request, and the error of an answer.

use super::entry::quoted;
use crate::core::protocol::json::{Object, Value};

/// An interface of the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interface {
    /// `PbxAdminApi`: single objects.
    Admin,
    /// `PbxTableUsers`: replication of all users.
    Table,
}

impl Interface {
    /// Its name in `api`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "PbxAdminApi",
            Self::Table => "PbxTableUsers",
        }
    }
}

/// The start of every request, without the closing brace.
pub(super) fn head(mt: &str, interface: Interface, src: &str) -> String {
    format!(r#"{{"mt":"{mt}","api":"{}","src":{}"#, interface.name(), quoted(src))
}

/// The text of an error, if the answer is one (`docs/protocol/pbx.md` section 2).
pub fn failure(answer: &Object<'_>) -> Option<Box<str>> {
    let error = match answer.get("error")? {
        Value::Null | Value::Bool(false) => return None,
        Value::Number(number) if number.parse() == Ok(0.0) => return None,
        Value::String(text) if text.is_empty() => return None,
        Value::String(text) => Box::from(&**text),
        other => other.canonical().into(),
    };
    Some(match answer.str("errorText") {
        Some(text) if !text.is_empty() => format!("{error}: {text}").into(),
        _ => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_numbers_and_texts() {
        for (text, expected) in [
            (r#"{"error":1,"errorText":"no such object"}"#, Some("1: no such object")),
            (r#"{"error":"denied"}"#, Some("denied")),
            (r#"{"error":true}"#, Some("true")),
            (r#"{"error":{"code":3}}"#, Some(r#"{"code":3}"#)),
            (r#"{"error":0,"errorText":"fine"}"#, None),
            (r#"{"error":0.0}"#, None),
            (r#"{"error":""}"#, None),
            (r#"{"error":false}"#, None),
            (r#"{"error":null}"#, None),
            ("{}", None),
        ] {
            assert_eq!(failure(&Object::parse(text.as_bytes()).unwrap()).as_deref(), expected, "{text}");
        }
    }
}
