//! Reads the members of a report and writes them as text: absent, escaped, rounded, with a unit.
//!
//! A member that is missing, of another type, negative or beyond [`HIGHEST`] counts as absent. So no figure on the
//! page is `NaN` or infinite, and no text is unescaped.

use serde_json::Value;

/// A larger figure is taken as corrupt: nothing in a storm comes near, and sums stay exact enough.
const HIGHEST: f64 = 1e15;

/// A smaller figure is drawn as zero.
const LOWEST: f64 = 1e-6;

/// Thousands separator; does not break lines.
const THOUSANDS: char = '\u{202f}';

/// The number at a path of members such as `ratio/cpu`.
pub fn number(of: &Value, path: &str) -> Option<f64> {
    let value = path.split('/').fold(of, |value, member| &value[member]).as_f64()?;
    (0.0..=HIGHEST).contains(&value).then_some(if value < LOWEST { 0.0 } else { value })
}

/// The text of a member, escaped for HTML. An empty one is absent.
pub fn text(of: &Value, member: &str) -> Option<String> {
    of[member].as_str().filter(|text| !text.trim().is_empty()).map(escape)
}

/// The rows of a list member; empty if absent.
pub fn rows<'a>(of: &'a Value, member: &str) -> &'a [Value] {
    of[member].as_array().map_or(&[], Vec::as_slice)
}

/// Escapes text for HTML elements and quoted attributes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(letter),
            // Also characters that change text direction, so that a name cannot disguise the text around it.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            letter if letter.is_control() => out.push('\u{fffd}'),
            letter => out.push(letter),
        }
    }
    out
}

/// A number with about three significant digits and thousands separators.
pub fn plain(value: f64) -> String {
    let decimals = match value {
        value if value >= 99.95 => 0,
        value if value >= 9.995 => 1,
        value if value >= 0.0995 || value == 0.0 => 2,
        value if value >= 0.000_995 => 4,
        _ => 6,
    };
    let text = format!("{value:.decimals$}");
    let (integer, rest) = text.split_once('.').unwrap_or((&text, ""));
    let mut out = String::new();
    for (index, digit) in integer.chars().enumerate() {
        if index > 0 && (integer.len() - index).is_multiple_of(3) {
            out.push(THOUSANDS);
        }
        out.push(digit);
    }
    let rest = rest.trim_end_matches('0');
    if !rest.is_empty() {
        out.push('.');
        out.push_str(rest);
    }
    out
}

/// Milliseconds as a duration.
pub fn millis(value: f64) -> String {
    if value >= 1000.0 { format!("{}\u{a0}s", plain(value / 1000.0)) } else { format!("{}\u{a0}ms", plain(value)) }
}

/// Seconds as a duration.
pub fn seconds(value: f64) -> String {
    format!("{}\u{a0}s", plain(value))
}

/// Processor time as a share of one core.
pub fn percent(value: f64) -> String {
    format!("{}\u{a0}%", plain(value))
}

/// Memory given in MiB.
pub fn mebibytes(value: f64) -> String {
    format!("{}\u{a0}MiB", plain(value))
}

/// Memory given in KiB.
pub fn kibibytes(value: f64) -> String {
    format!("{}\u{a0}KiB", plain(value))
}

/// Processor time given in microseconds.
pub fn micros(value: f64) -> String {
    format!("{}\u{a0}µs", plain(value))
}

/// A factor.
pub fn times(value: f64) -> String {
    format!("{}\u{a0}×", plain(value))
}

/// Concatenates all parts.
pub fn joined(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().collect()
}
