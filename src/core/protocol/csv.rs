//! Escapes CSV cells for spreadsheets.

use std::borrow::Cow;

/// The text of a cell; one that a spreadsheet would take for a formula gets a leading apostrophe.
pub fn guarded(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_is_escaped() {
        for (cell, expected) in
            [("=1+1", "'=1+1"), ("+49", "'+49"), ("-2", "'-2"), ("@S", "'@S"), ("\tx", "'\tx"), ("\rx", "'\rx")]
        {
            assert_eq!(guarded(cell), expected);
        }
        for cell in ["", "a=b", "'=1", " =1"] {
            assert_eq!(guarded(cell), cell);
        }
    }
}
