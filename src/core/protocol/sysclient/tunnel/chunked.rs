//! Decodes the chunked transfer coding of an answer (`docs/protocol/sysclient.md` 8.4, rule 2); extensions and trailer
//! fields are skipped.

use bytes::Bytes;

use super::section::Section;
use super::{ANSWER_HEAD_MAX, Failure};

/// Longest chunk size line, in bytes, including extensions.
const SIZE_LINE_MAX: usize = 4_096;

#[derive(Debug)]
pub(super) enum Chunked {
    /// In the size line.
    Size(Section),
    /// This many bytes of the chunk are still missing.
    Data(u64),
    /// In the line end after the data of a chunk.
    DataEnd(Section),
    /// After the last chunk.
    Trailer(Section),
    /// Complete.
    End,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self::Size(Section::default())
    }

    /// Decodes the next bytes onto `out`; `true` when the trailer section has ended.
    pub(super) fn push(&mut self, input: &mut Bytes, out: &mut Vec<u8>) -> Result<bool, Failure> {
        while !input.is_empty() {
            match self {
                Self::Size(section) => {
                    let line = section.take_line(input, SIZE_LINE_MAX).map_err(|_| Failure::NotHttp)?;
                    match line.map(size).transpose()? {
                        None => {}
                        Some(0) => *self = Self::Trailer(Section::default()),
                        Some(size) => *self = Self::Data(size),
                    }
                }
                Self::Data(left) => {
                    let part = take_at_most(input, *left);
                    out.extend_from_slice(&part);
                    *left -= part.len() as u64;
                    if *left == 0 {
                        *self = Self::DataEnd(Section::default());
                    }
                }
                Self::DataEnd(section) => {
                    // Only the two bytes of the line end are allowed here.
                    if section.take_line(input, 2).map_err(|_| Failure::NotHttp)?.is_some_and(|line| !line.is_empty()) {
                        return Err(Failure::NotHttp);
                    }
                    if section.text().ends_with(b"\n") {
                        *self = Self::new();
                    }
                }
                Self::Trailer(section) => {
                    if section.take_to_blank_line(input, ANSWER_HEAD_MAX).map_err(|_| Failure::TooLong)? {
                        *self = Self::End;
                    }
                }
                Self::End => return Ok(true),
            }
        }
        Ok(matches!(self, Self::End))
    }
}

/// Splits off the first `max` bytes, or all if there are fewer.
pub(super) fn take_at_most(input: &mut Bytes, max: u64) -> Bytes {
    input.split_to(usize::try_from(max).map_or(input.len(), |max| max.min(input.len())))
}

/// Parses the size line of a chunk.
fn size(line: &[u8]) -> Result<u64, Failure> {
    let digits = line.split(|&b| b == b';').next().unwrap_or_default().trim_ascii();
    let text = std::str::from_utf8(digits).map_err(|_| Failure::NotHttp)?;
    if !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Failure::NotHttp);
    }
    u64::from_str_radix(text, 16).map_err(|_| Failure::NotHttp)
}
