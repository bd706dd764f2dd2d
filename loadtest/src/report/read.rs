//! Reads the members of a report and writes them as text: absent, escaped, rounded, with a unit.
//!
//! A member that is missing, of another kind, negative or beyond [`HIGHEST`] is absent. So no figure on the page is
//! ever `NaN` or infinite, and nothing that was read gets into the page unescaped.

use serde_json::Value;

/// A figure beyond this is taken for damage: nothing that a storm counts comes near, and sums of it stay exact enough.
const HIGHEST: f64 = 1e15;

/// A figure below this is drawn as nothing.
const LOWEST: f64 = 1e-6;

/// Between the thousands of a number; a line does not break there.
const THOUSANDS: char = '\u{202f}';

/// The figure at a path of members such as `ratio/cpu`.
pub fn number(of: &Value, path: &str) -> Option<f64> {
    let value = path.split('/').fold(of, |value, member| &value[member]).as_f64()?;
    (0.0..=HIGHEST).contains(&value).then_some(if value < LOWEST { 0.0 } else { value })
}

/// The text of a member, ready for HTML. An empty one is absent.
pub fn text(of: &Value, member: &str) -> Option<String> {
    of[member].as_str().filter(|text| !text.trim().is_empty()).map(escape)
}

/// The rows of a member that is a list; none when it is absent.
pub fn rows<'a>(of: &'a Value, member: &str) -> &'a [Value] {
    of[member].as_array().map_or(&[], Vec::as_slice)
}

/// The text as HTML, for elements and for quoted attributes.
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
            // Also what turns the direction of the text around it, so that a name cannot dress up its neighbours.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            letter if letter.is_control() => out.push('\u{fffd}'),
            letter => out.push(letter),
        }
    }
    out
}

/// A number for people: about three digits that count, thousands apart.
pub fn plain(value: f64) -> String {
    let decimals = match value {
        value if value >= 99.95 => 0,
        value if value >= 9.995 => 1,
        value if value >= 0.0995 || value == 0.0 => 2,
        value if value >= 0.000_995 => 4,
        _ => 6,
    };
    let text = format!("{value:.decimals$}");
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    let mut out = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
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

/// How many times another figure.
pub fn times(value: f64) -> String {
    format!("{}\u{a0}×", plain(value))
}

/// All parts, one after the other.
pub fn joined(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().collect()
}
