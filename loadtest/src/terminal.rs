//! Terminal input and output shared by `loadtest phone` and `loadtest users`.

use provbroker::core::model::ids::Code;

/// Parses a code as typed by a person.
pub fn typed_code(text: &str) -> Result<Code, String> {
    Code::parse_typed(text).map_err(|_| "a code has twelve digits".into())
}

/// Describes the end of a connection.
pub fn closed(code: Option<u16>, reason: &str) -> String {
    let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    match code {
        Some(code) => format!("connection closed with {code}{reason}"),
        None => format!("connection lost{reason}"),
    }
}
