//! Collects lines from pieces that may end anywhere.

use bytes::Bytes;

/// The bytes of a line, or of a section of lines up to the blank one, received so far.
///
/// A lone line feed ends a line too, as RFC 9112 section 2.2 allows. Every byte is examined once.
#[derive(Debug, Default)]
pub(super) struct Section {
    text: Vec<u8>,
    /// Start of the incomplete line.
    line: usize,
}

/// The section exceeds its limit.
#[derive(Debug)]
pub(super) struct TooLong;

impl Section {
    /// The bytes received so far.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Takes bytes from `input` up to the end of the line; `Some` is the line without its end.
    pub(super) fn take_line(&mut self, input: &mut Bytes, max: usize) -> Result<Option<&[u8]>, TooLong> {
        let feed = input.iter().position(|&b| b == b'\n');
        let part = input.split_to(feed.map_or(input.len(), |at| at + 1));
        if self.text.len() + part.len() > max {
            return Err(TooLong);
        }
        self.text.extend_from_slice(&part);
        if feed.is_none() {
            return Ok(None);
        }
        let begin = std::mem::replace(&mut self.line, self.text.len());
        Ok(self.text[begin..].split_last().map(|(_, line)| line.strip_suffix(b"\r").unwrap_or(line)))
    }

    /// Takes lines from `input` up to the blank one; `true` when it was reached.
    pub(super) fn take_to_blank_line(&mut self, input: &mut Bytes, max: usize) -> Result<bool, TooLong> {
        while let Some(line) = self.take_line(input, max)? {
            if line.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
