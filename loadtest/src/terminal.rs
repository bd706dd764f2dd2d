//! What `loadtest phone` and `loadtest users` read from and write to a terminal in the same form.

use provbroker::core::model::ids::Code;

/// A code as a person types it.
pub fn typed_code(text: &str) -> Result<Code, String> {
    Code::parse_typed(text).map_err(|_| "a code has twelve digits".into())
}

/// The end of a connection in words.
pub fn closed(code: Option<u16>, reason: &str) -> String {
    let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    match code {
        Some(code) => format!("connection closed with {code}{reason}"),
        None => format!("connection lost{reason}"),
    }
}
