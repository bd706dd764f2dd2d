//! The file in which data goes between a centre and a site that never meet (`docs/offline.md`).
//!
//! ```text
//! magic              19 bytes, "provbroker bundle\n" and a zero
//! version            2 bytes, 1
//! length             4 bytes, of the manifest
//! manifest           JSON, readable without the key
//! tag                32 bytes, HMAC-SHA256 of everything before
//! pieces             each: 4 bytes length, the first bit set in the last one; sealed bytes
//! ```
//!
//! All numbers have the most significant byte first. Opened and put together, the pieces are records, each with 4 bytes
//! of length in front. A piece is sealed with ChaCha20-Poly1305. Its nonce is its number, with a mark for the last one,
//! and its key belongs to this manifest only, so a piece can be neither changed, moved, left out nor taken from another
//! file. What a record means is in `src/core/policy/bundle.rs`.
//!
//! The reader takes bytes in whatever portions they come, and never holds more than a record and a piece.

mod file_key;
mod manifest;
mod opener;
mod writer;

#[cfg(test)]
mod tests;

pub use file_key::{FileKey, Lock, LockError};
pub use manifest::{Begun, Kind, Manifest, begin};
pub use opener::Opener;
pub use writer::Writer;

/// What every bundle begins with.
const MAGIC: &[u8; 19] = b"provbroker bundle\n\0";

/// The version of the format that this program writes, and the newest that it reads.
pub const VERSION: u16 = 1;

/// Longest manifest, in bytes.
pub const MANIFEST_MAX: usize = 8 * 1024;

/// Longest record, in bytes: a build list fits in.
pub const RECORD_MAX: usize = 4 * 1024 * 1024;

/// Bytes of a piece before it is sealed.
const PIECE: usize = 64 * 1024;

/// Bytes that sealing adds.
const TAG: usize = 16;

/// Bytes of the tag of the manifest.
const MANIFEST_TAG: usize = 32;

/// The bit of a length that marks the last piece.
const LAST: u32 = 1 << 31;

/// Why a file is not read as a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It begins in another way.
    #[error("this is no bundle; name the file that `provbroker bundle export` has written")]
    NoBundle,
    /// It has a newer format.
    #[error("the bundle has the format {0}, and this program reads formats up to {VERSION}; update this program")]
    Newer(u16),
    /// The manifest cannot be read.
    #[error("the manifest of the bundle is damaged; carry the file here again")]
    Manifest,
    /// The key is not the one that it was sealed with.
    #[error("the passphrase or key file is not the one that the bundle was made with; use that one")]
    WrongKey,
    /// A piece was changed.
    #[error("the bundle is damaged behind byte {0}; carry the file here again")]
    Damaged(u64),
    /// It ends too early.
    #[error("the bundle is cut off; carry the file here again")]
    CutOff,
    /// There is something behind its end.
    #[error("there is something behind the end of the bundle; carry the file here again")]
    Behind,
}
