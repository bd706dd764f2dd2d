//! Reads the text of a configuration file; errors name line, column and key.

use super::ConfigError;
use super::sections::Config;

/// Keys whose value never goes into an error line, wherever they are.
const SECRETS: [&str; 9] = [
    "password",
    "admin_password",
    "auto_token",
    "client_secret",
    "credential",
    "master_key",
    "previous_keys",
    "secret",
    "url",
];

/// Whether the value of this key (with or without its section) may be a secret.
pub(super) fn is_secret(key: &str) -> bool {
    SECRETS.contains(&key.rsplit('.').next().unwrap_or(key))
}

/// Reads a file. Unknown keys and values of the wrong type or form are errors.
pub(super) fn parse(text: &str, place: &str) -> Result<Config, ConfigError> {
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start.min(text.len()));
        let (line, column) = position(text, at);
        let key = key_at(text, at);
        let problem = describe(key.as_deref(), error.message());
        ConfigError::new(format!("{place}:{line}:{column}"), problem)
    })
}

/// Error text for a key that cannot be read; it does not repeat secrets.
pub(super) fn describe(key: Option<&str>, message: &str) -> String {
    match key {
        Some(key) if is_secret(key) && message.starts_with("invalid") => {
            format!("{key}: must be text in quotes")
        }
        Some(key) if message.starts_with("unknown field") => format!("{key}: {message}; correct or remove it"),
        Some(key) => format!("{key}: {message}"),
        None => message.to_owned(),
    }
}

/// Line and column, counted from 1.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// The key at an offset: the last `key =` at or before it, below the last `[section]`.
fn key_at(text: &str, at: usize) -> Option<String> {
    let end = text.get(at..)?.find('\n').map_or(text.len(), |more| at + more);
    let mut section = None;
    let mut key = None;
    for line in text.get(..end)?.lines() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            section = Some(header.trim_start_matches('[').split(']').next().unwrap_or_default().trim().to_owned());
            key = None;
        } else if let Some((name, _)) = line.split_once('=') {
            let name = name.trim();
            if !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')) {
                key = Some(name.to_owned());
            }
        }
    }
    match (section, key) {
        (Some(section), Some(key)) => Some(format!("{section}.{key}")),
        (section, key) => key.or(section),
    }
}
