//! Reads a bundle.

use ring::aead::{Aad, LessSafeKey};

use super::file_key::FileKey;
use super::manifest::{Manifest, begin, is_by};
use super::writer::{cipher, nonce};
use super::{Fault, LAST, MANIFEST_TAG, PIECE, RECORD_MAX, TAG};

/// Reads a bundle from the bytes of its file, in whatever portions they come.
pub struct Opener {
    key: FileKey,
    waiting: Vec<u8>,
    /// How many bytes were read, apart from those that wait.
    at: u64,
    pieces: Option<Pieces>,
}

struct Pieces {
    manifest: Manifest,
    cipher: LessSafeKey,
    number: u64,
    plain: Vec<u8>,
    ended: bool,
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opener(…)")
    }
}

impl Opener {
    /// A reader with the key of the bundle.
    pub const fn new(key: FileKey) -> Self {
        Self { key, waiting: Vec::new(), at: 0, pieces: None }
    }

    /// The manifest, as soon as it was read and the key has turned out to be the right one.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.pieces.as_ref().map(|pieces| &pieces.manifest)
    }

    /// Takes the next bytes of the file, and adds the records that are whole with them.
    pub fn take(&mut self, bytes: &[u8], records: &mut Vec<Vec<u8>>) -> Result<(), Fault> {
        // In portions, so that it never holds more than a record and a piece.
        for portion in bytes.chunks(PIECE) {
            self.waiting.extend_from_slice(portion);
            while self.step(records)? {}
        }
        Ok(())
    }

    /// The file has ended: whether the bundle has, too.
    pub fn end(self) -> Result<Manifest, Fault> {
        match self.pieces {
            Some(pieces) if pieces.ended => Ok(pieces.manifest),
            _ => Err(Fault::CutOff),
        }
    }

    /// Reads the manifest or a piece. False if more bytes are needed.
    fn step(&mut self, records: &mut Vec<Vec<u8>>) -> Result<bool, Fault> {
        let Some(pieces) = &mut self.pieces else {
            let Some(begun) = begin(&self.waiting)? else { return Ok(false) };
            let (beginning, _) = self.waiting.split_at(begun.length);
            if !is_by(&self.key, beginning) {
                return Err(Fault::WrongKey);
            }
            let cipher = cipher(&self.key, &beginning[beginning.len() - MANIFEST_TAG..]);
            self.pieces = Some(Pieces { manifest: begun.manifest, cipher, number: 0, plain: Vec::new(), ended: false });
            self.drop_first(begun.length);
            return Ok(true);
        };
        if pieces.ended {
            return if self.waiting.is_empty() { Ok(false) } else { Err(Fault::Behind) };
        }
        let Some((length, rest)) = self.waiting.split_first_chunk() else { return Ok(false) };
        let length = u32::from_be_bytes(*length);
        let (last, length) = (length & LAST != 0, usize::try_from(length & !LAST).unwrap_or(usize::MAX));
        if !(TAG..=PIECE + TAG).contains(&length) {
            return Err(Fault::Damaged(self.at));
        }
        if rest.len() < length {
            return Ok(false);
        }
        let mut piece = rest[..length].to_vec();
        let opened = pieces.cipher.open_in_place(nonce(pieces.number, last), Aad::empty(), &mut piece);
        pieces.plain.extend_from_slice(opened.map_err(|_| Fault::Damaged(self.at))?);
        pieces.number += 1;
        pieces.ended = last;
        pieces.split(records).map_err(|()| Fault::Damaged(self.at))?;
        self.drop_first(4 + length);
        Ok(true)
    }

    fn drop_first(&mut self, length: usize) {
        self.waiting.drain(..length);
        self.at += length as u64;
    }
}

impl Pieces {
    /// Takes the whole records off. Fails at one that is too long, and at the end if a part of one is left.
    fn split(&mut self, records: &mut Vec<Vec<u8>>) -> Result<(), ()> {
        let mut from = 0;
        while let Some((length, rest)) = self.plain[from..].split_first_chunk() {
            let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
            if length > RECORD_MAX {
                return Err(());
            }
            let Some(record) = rest.get(..length) else { break };
            records.push(record.to_vec());
            from += 4 + length;
        }
        self.plain.drain(..from);
        if self.ended && !self.plain.is_empty() { Err(()) } else { Ok(()) }
    }
}
