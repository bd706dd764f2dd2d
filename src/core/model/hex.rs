//! Hexadecimal text, as the device protocol, sealed records and digests use it.
//!
//! Own code, because the general crate costs 6 % of a registration: sealed passwords and digests are on its path.

use std::fmt;

/// A text that is no hexadecimal number of whole bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotHex;

impl fmt::Display for NotHex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not hexadecimal, two digits a byte")
    }
}

impl std::error::Error for NotHex {}

/// Lower-case digits, two a byte.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let bytes = bytes.as_ref();
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 15)]);
    }
    text
}

/// The bytes of a text in either case.
pub fn decode(text: impl AsRef<[u8]>) -> Result<Vec<u8>, NotHex> {
    let digit = |d: u8| char::from(d).to_digit(16).and_then(|n| u8::try_from(n).ok()).ok_or(NotHex);
    let (pairs, []) = text.as_ref().as_chunks::<2>() else { return Err(NotHex) };
    // An iterator that may end early has no length to be collected by.
    let mut bytes = Vec::with_capacity(pairs.len());
    for &[high, low] in pairs {
        bytes.push(digit(high)? << 4 | digit(low)?);
    }
    Ok(bytes)
}
