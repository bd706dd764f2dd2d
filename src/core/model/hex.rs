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

/// What stands in [`VALUES`] for a byte that is no digit.
const NO_DIGIT: u8 = 0xff;

/// The value of each byte as a digit, in either case.
const VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut value: u8 = 0;
    while value < 16 {
        let digit = b"0123456789abcdef"[value as usize];
        values[digit as usize] = value;
        values[digit.to_ascii_uppercase() as usize] = value;
        value += 1;
    }
    values
};

/// The bytes of a text in either case.
pub fn decode(text: impl AsRef<[u8]>) -> Result<Vec<u8>, NotHex> {
    let (pairs, []) = text.as_ref().as_chunks::<2>() else { return Err(NotHex) };
    let mut all = 0;
    let byte = |&[high, low]: &[u8; 2]| {
        let (high, low) = (VALUES[usize::from(high)], VALUES[usize::from(low)]);
        all |= high | low;
        high << 4 | low
    };
    let bytes = pairs.iter().map(byte).collect();
    if all == NO_DIGIT { Err(NotHex) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back_in_either_case() {
        let bytes: Vec<u8> = (0..=255).collect();
        let text = encode(&bytes);
        assert_eq!(decode(&text), Ok(bytes.clone()));
        assert_eq!(decode(text.to_uppercase()), Ok(bytes));
    }

    #[test]
    fn any_other_byte_in_any_place_is_refused() {
        for byte in (0..=255).filter(|byte: &u8| !byte.is_ascii_hexdigit()) {
            for place in 0..4 {
                let mut text = *b"00ff";
                text[place] = byte;
                assert_eq!(decode(text), Err(NotHex), "{text:?}");
            }
        }
        assert_eq!(decode("abc"), Err(NotHex));
        assert_eq!(decode(""), Ok(Vec::new()));
    }
}
