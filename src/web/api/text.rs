//! Texts in requests, checked as the schemas state them.
//!
//! In a schema the pattern of a text without control characters ends with `$(?!\n)`: for some validators `$` matches in front of
//! a line end, too.

use crate::admin::AdminError;

/// Refuses a text that is shorter or longer than this, in characters, or has control characters.
pub(super) fn check(field: &str, text: &str, shortest: usize, longest: usize) -> Result<(), AdminError> {
    if text.chars().count() < shortest || text.chars().count() > longest {
        return Err(AdminError::invalid(field, format!("must have {shortest} to {longest} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(AdminError::invalid(field, "has control characters"));
    }
    Ok(())
}
