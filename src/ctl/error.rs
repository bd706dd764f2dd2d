//! Why a command was not done, as one line and an exit code.

use serde_json::Value;

use super::escape::escaped;
use crate::core::model::root_cause::innermost;

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum CtlError {
    /// The arguments, or the files that they name, are wrong.
    #[error("{0}")]
    Arguments(String),
    /// The interface has refused.
    #[error("{0}")]
    Refused(String),
    /// The broker cannot be reached, or the connection is lost.
    #[error("{url} cannot be reached: {why}")]
    Unreachable {
        /// Address of the broker.
        url: String,
        /// The innermost cause.
        why: String,
    },
    /// The answer is not one of the interface, or not a whole one.
    #[error("{0}")]
    Answer(String),
    /// The answer cannot be written.
    #[error("standard output: {0}")]
    Output(#[from] std::io::Error),
}

impl CtlError {
    /// 1: refused, or not to be reached; 2: the arguments are wrong.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Arguments(_) => 2,
            Self::Refused(_) | Self::Unreachable { .. } | Self::Answer(_) | Self::Output(_) => 1,
        }
    }

    /// A problem document (RFC 9457), or whatever came instead of one.
    pub(super) fn refused(status: u16, body: &[u8]) -> Self {
        let problem: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |member: &str| problem.get(member).and_then(Value::as_str).map(escaped);
        Self::Refused(match (text("field"), text("detail")) {
            (Some(field), Some(detail)) => format!("{field}: {detail} ({status})"),
            (None, Some(detail)) => format!("{detail} ({status})"),
            (_, None) => format!("status {status} without a reason; is this the address of a broker?"),
        })
    }

    /// What the HTTP client says, without the address: it may hold a code.
    pub(super) fn unreachable(url: &str, error: &reqwest::Error) -> Self {
        let why = if error.is_timeout() { "no answer in time".into() } else { escaped(&innermost(error).to_string()) };
        Self::Unreachable { url: url.to_owned(), why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_line() {
        let line = |body: &str| CtlError::refused(422, body.as_bytes()).to_string();
        assert_eq!(line(r#"{"detail":"is missing","field":"values.server"}"#), "values.server: is missing (422)");
        assert_eq!(line(r#"{"detail":"a\nb\u001b[1m"}"#), "a\\nb\\u{1b}[1m (422)");
        assert!(line("<html>").contains("422"));
    }
}
