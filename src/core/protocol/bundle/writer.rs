//! Writes a bundle.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

use super::file_key::FileKey;
use super::manifest::Manifest;
use super::{LAST, MANIFEST_TAG, PIECE, RECORD_MAX, TAG};

/// The cipher of the pieces behind a manifest with this tag.
pub(super) fn cipher(key: &FileKey, tag: &[u8]) -> LessSafeKey {
    // The key has the length of the cipher.
    #[allow(clippy::expect_used)]
    let key = UnboundKey::new(&CHACHA20_POLY1305, &key.for_pieces(tag)).expect("a key of the cipher's length");
    LessSafeKey::new(key)
}

/// The nonce of a piece: used once, because the key is of one bundle.
pub(super) fn nonce(number: u64, last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[0] = u8::from(last);
    nonce[4..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

/// Writes records into a bundle.
pub struct Writer {
    cipher: LessSafeKey,
    number: u64,
    plain: Vec<u8>,
    ready: Vec<u8>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer(…)")
    }
}

impl Writer {
    /// Begins a bundle. Its mark must be a new random one.
    pub fn new(manifest: &Manifest, key: &FileKey) -> Self {
        let ready = manifest.write(key);
        let cipher = cipher(key, &ready[ready.len().saturating_sub(MANIFEST_TAG)..]);
        Self { cipher, number: 0, plain: Vec::new(), ready }
    }

    /// Adds a record. False if it is too long; then nothing is added.
    #[must_use]
    pub fn add(&mut self, record: &[u8]) -> bool {
        let Some(length) = u32::try_from(record.len()).ok().filter(|_| record.len() <= RECORD_MAX) else {
            return false;
        };
        self.plain.extend_from_slice(&length.to_be_bytes());
        self.plain.extend_from_slice(record);
        while self.plain.len() > PIECE {
            let rest = self.plain.split_off(PIECE);
            let piece = std::mem::replace(&mut self.plain, rest);
            self.seal(piece, false);
        }
        true
    }

    /// The bytes that are ready.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.ready)
    }

    /// The last bytes.
    pub fn finish(mut self) -> Vec<u8> {
        let piece = std::mem::take(&mut self.plain);
        self.seal(piece, true);
        self.ready
    }

    fn seal(&mut self, mut piece: Vec<u8>, last: bool) {
        // Encryption only fails beyond 256 GiB.
        #[allow(clippy::expect_used)]
        self.cipher
            .seal_in_place_append_tag(nonce(self.number, last), Aad::empty(), &mut piece)
            .expect("a piece is short");
        debug_assert!(piece.len() <= PIECE + TAG);
        let length = u32::try_from(piece.len()).unwrap_or_default() | if last { LAST } else { 0 };
        self.ready.extend_from_slice(&length.to_be_bytes());
        self.ready.extend_from_slice(&piece);
        self.number += 1;
    }
}
