//! What all messages of a PBX have in common (`docs/protocol/pbx.md` section 2): how a request begins, and how an answer says
//! that something failed.

use super::entry::quoted;
use crate::core::protocol::json::{Object, Value};

/// An interface of a PBX.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interface {
    /// Single objects.
    Admin,
    /// The mirror.
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

/// The beginning of every request; the closing brace is still missing.
pub(super) fn head(mt: &str, interface: Interface, src: &str) -> String {
    format!(r#"{{"mt":"{mt}","api":"{}","src":{}"#, interface.name(), quoted(src))
}

/// The text of a failure, if an answer says that something failed (`docs/protocol/pbx.md` section 2).
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
