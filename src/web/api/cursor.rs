//! Query parameters of lists: cursor (an opaque text that clients send back unchanged), limit, and bounds of filters.

use super::Answer;
use crate::admin::{AdminError, MAX_PAGE};
use crate::core::model::ids::DeviceId;

/// Default number of entries in a page.
const USUAL: usize = 100;

pub(super) fn write(after: DeviceId) -> String {
    format!("{:x}", after.0)
}

pub(super) fn read(cursor: Option<&str>) -> Answer<DeviceId> {
    let Some(cursor) = cursor else { return Ok(DeviceId(0)) };
    let digits = (1..=13).contains(&cursor.len()) && cursor.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let number = u64::from_str_radix(cursor, 16).ok().filter(|_| digits);
    number.map(DeviceId).ok_or_else(|| AdminError::invalid("cursor", "use `next` of the previous page").into())
}

pub(super) fn limit_of(limit: Option<u64>) -> Answer<usize> {
    let Some(limit) = limit else { return Ok(USUAL) };
    let limit = usize::try_from(limit).ok().filter(|limit| (1..=MAX_PAGE).contains(limit));
    limit.ok_or_else(|| AdminError::invalid("limit", "from 1 to 1000").into())
}

/// Checks a number of a domain, category or job.
pub(super) fn number_of(field: &str, number: Option<u64>) -> Answer<Option<u64>> {
    match number {
        Some(number) if number >= 1 << 53 => Err(AdminError::invalid(field, "at most 9007199254740991").into()),
        number => Ok(number),
    }
}

/// A text of at most `most` characters.
pub(super) fn text_of(field: &str, text: Option<&String>, most: usize) -> Answer<Option<String>> {
    match text {
        Some(text) if text.chars().count() > most => {
            Err(AdminError::invalid(field, format!("at most {most} characters")).into())
        }
        text => Ok(text.cloned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_kept_and_a_cursor_comes_back_as_it_went() {
        for number in [0, 1, 0xfff, (1 << 52) - 1] {
            assert_eq!(read(Some(&write(DeviceId(number)))).unwrap(), DeviceId(number));
        }
        for text in ["", "+1", "FF", "x", "12345678901234"] {
            assert!(read(Some(text)).is_err(), "{text}");
        }
        assert!(number_of("n", Some(1 << 53)).is_err() && number_of("n", Some((1 << 53) - 1)).is_ok());
        assert!(text_of("t", Some(&"üü".into()), 1).is_err() && text_of("t", Some(&"ü".into()), 1).is_ok());
        assert_eq!(limit_of(None).unwrap(), USUAL);
        assert!(limit_of(Some(0)).is_err() && limit_of(Some(1001)).is_err());
    }
}
