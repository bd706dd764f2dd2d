//! Checks texts in requests as the schemas declare them.
//!
//! In schemas the pattern of a text without control characters ends with `$(?!\n)`, because `$` matches before a final
//! line break in some validators.

use crate::admin::AdminError;

/// Refuses a text with control characters, or whose length in characters is not from `shortest` to `longest`.
pub(super) fn check(field: &str, text: &str, shortest: usize, longest: usize) -> Result<(), AdminError> {
    if text.chars().count() < shortest || text.chars().count() > longest {
        return Err(AdminError::invalid(field, format!("must have {shortest} to {longest} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(AdminError::invalid(field, "has control characters"));
    }
    Ok(())
}
