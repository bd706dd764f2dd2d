//! Escapes CSV cells for spreadsheets, and takes the escape back when a list is read.
//!
//! A spreadsheet splits a line at the separator of its own language: one with German settings at `;`, others at a tab.
//! So not only the beginning of a cell can become the beginning of a formula, but whatever follows a separator in it.

use std::borrow::Cow;

/// Marks the part of a cell that must stay text.
const MARK: char = '\'';

/// Whether a spreadsheet of some language begins a new cell behind it.
const fn separates(c: char) -> bool {
    matches!(c, ',' | ';' | '|' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Whether a spreadsheet takes a cell that begins with it for a formula. Some fold the full-width forms.
const fn begins_formula(c: char) -> bool {
    matches!(
        c,
        '=' | '+'
            | '-'
            | '@'
            | '＝'
            | '＋'
            | '－'
            | '＠'
            | '\u{2212}'
            | '\u{fe62}'
            | '\u{fe63}'
            | '\u{fe66}'
            | '\u{fe6b}'
    )
}

/// Whether a spreadsheet drops it before it looks for a formula.
fn is_dropped(c: char) -> bool {
    const INVISIBLE: [char; 6] = ['\u{200b}', '\u{200c}', '\u{200d}', '\u{2060}', '\u{feff}', '\u{ad}'];
    c == '"' || c.is_whitespace() || c.is_control() || INVISIBLE.contains(&c)
}

/// Whether this part of a cell needs the mark, or has it already: then it gets one more, so that none is lost.
fn needs_mark(part: &str) -> bool {
    part.trim_start_matches(MARK).chars().find(|c| !is_dropped(*c)).is_some_and(begins_formula)
}

/// Whether the cell begins with a separator that a spreadsheet may drop, so that what follows begins the cell.
fn begins_blank(cell: &str) -> bool {
    cell.trim_start_matches(MARK).starts_with(['\t', '\r'])
}

/// The parts of a cell, each with the separator in front of it.
fn parts(cell: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = Some(cell);
    let mut separator = "";
    std::iter::from_fn(move || {
        let text = rest?;
        let end = text.char_indices().find(|(_, c)| separates(*c));
        let before = separator;
        let (part, next) = match end {
            Some((at, c)) => {
                let (part, behind) = text.split_at(at);
                let (mark, next) = behind.split_at(c.len_utf8());
                separator = mark;
                (part, Some(next))
            }
            None => (text, None),
        };
        rest = next;
        Some((before, part))
    })
}

/// The text of a cell: every part that a spreadsheet could take for a formula gets a leading apostrophe.
pub fn guarded(cell: &str) -> Cow<'_, str> {
    let whole = begins_blank(cell);
    if !whole && !parts(cell).any(|(_, part)| needs_mark(part)) {
        return Cow::Borrowed(cell);
    }
    let mut out = String::with_capacity(cell.len() + 2);
    if whole {
        out.push(MARK);
    }
    for (separator, part) in parts(cell) {
        out.push_str(separator);
        if needs_mark(part) {
            out.push(MARK);
        }
        out.push_str(part);
    }
    Cow::Owned(out)
}

/// The text that [`guarded`] was made from.
pub fn unguarded(cell: &str) -> Cow<'_, str> {
    fn unmarked(part: &str) -> Option<&str> {
        part.strip_prefix(MARK).filter(|rest| needs_mark(rest))
    }
    let whole = cell.strip_prefix(MARK).filter(|rest| begins_blank(rest));
    let cell = match whole {
        Some(rest) => Cow::Owned(rest.to_owned()),
        None => Cow::Borrowed(cell),
    };
    if !parts(&cell).any(|(_, part)| unmarked(part).is_some()) {
        return cell;
    }
    let mut out = String::with_capacity(cell.len());
    for (separator, part) in parts(&cell) {
        out.push_str(separator);
        out.push_str(unmarked(part).unwrap_or(part));
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_is_escaped() {
        for (cell, expected) in [
            ("=1+1", "'=1+1"),
            ("+49", "'+49"),
            ("-2", "'-2"),
            ("@S", "'@S"),
            ("\tx", "'\tx"),
            ("\rx", "'\rx"),
            (" =1", "' =1"),
            ("\"=1\"", "'\"=1\""),
            ("\u{feff}=1", "'\u{feff}=1"),
            ("＝1", "'＝1"),
            ("＠S", "'＠S"),
            ("'=1", "''=1"),
        ] {
            assert_eq!(guarded(cell), expected);
        }
        for cell in ["", "a=b", "'a", "Ann, A.", "a;b", "1-2", "a\nb"] {
            assert_eq!(guarded(cell), cell);
        }
    }

    #[test]
    fn so_is_one_behind_a_separator_of_any_language() {
        for (cell, expected) in [
            ("a;=1", "a;'=1"),
            ("a; \"=1\"", "a;' \"=1\""),
            ("a,=1", "a,'=1"),
            ("a\t=1", "a\t'=1"),
            ("a\n=1", "a\n'=1"),
            ("a\r\n@S", "a\r\n'@S"),
            ("a;;-2;b", "a;;'-2;b"),
            ("=1;=2", "'=1;'=2"),
            (";=1", ";'=1"),
            ("a|+1", "a|'+1"),
        ] {
            assert_eq!(guarded(cell), expected);
        }
    }

    #[test]
    fn what_was_escaped_comes_back() {
        let pieces = ["", "a", "=", "+1", "'", ";", ",", "\t", "\n", "\r", " ", "\"", "＝", "''="];
        for one in pieces {
            for two in pieces {
                for three in pieces {
                    for four in pieces {
                        let cell = [one, two, three, four].concat();
                        let safe = guarded(&cell);
                        assert_eq!(unguarded(&safe), cell, "{safe:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_text_that_was_never_escaped_stays() {
        for cell in ["'quoted'", "O'Hara", "'", "''", "'a;'b"] {
            assert_eq!(unguarded(cell), cell);
        }
    }
}
