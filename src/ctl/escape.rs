//! Text from elsewhere, made harmless for a terminal.

/// A text from elsewhere, such that it moves neither cursor nor window: control characters, and those that turn the direction
/// of what follows, are spelled out.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || turns {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}
