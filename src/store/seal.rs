//! Secrets at rest: sealed with a key that is not in the database (`docs/protocol/sysclient.md` 3.2,
//! `docs/protocol/directory.md` section 5).
//!
//! The key comes from the configuration. A sealed text is bound to its record: it cannot be opened in another one.
//! Codes of the directory are looked up by a keyed hash, because a plain hash of so few possible codes could be
//! reversed.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::xchacha::{NONCE_BYTES, XChaCha};
use crate::core::model::hex;
use crate::core::model::ids::Secret;

/// A sealed text could not be opened: it was changed, belongs to another record, or was sealed with another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot be opened with this key")]
pub struct Unsealable;

/// Seals, opens and hashes with keys derived from one master secret.
#[derive(Clone)]
pub struct Sealer {
    cipher: XChaCha,
    hash_key: [u8; 32],
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(…)")
    }
}

fn derive(master: &[u8], purpose: &[u8]) -> [u8; 32] {
    keyed_hash(master, purpose)
}

fn keyed_hash(key: &[u8], message: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any length, so making one cannot fail.
    #[allow(clippy::expect_used)]
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key).expect("HMAC takes any key");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

impl Sealer {
    /// Keys for this master secret. All nodes on one store need the same.
    pub fn new(master: &Secret) -> Self {
        let master = master.expose().as_bytes();
        Self {
            cipher: XChaCha::new(derive(master, b"provbroker seal 1")),
            hash_key: derive(master, b"provbroker hash 1"),
        }
    }

    /// Seals `secret` for the record `place`: 24 bytes nonce, text, 16 bytes tag.
    pub fn seal(&self, place: &str, secret: &str) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        crate::random::fill(&mut nonce);
        // Encryption only fails beyond 256 GiB.
        #[allow(clippy::expect_used, clippy::missing_panics_doc)]
        let sealed = self.cipher.seal(nonce, place.as_bytes(), secret.as_bytes()).expect("short text");
        [&nonce[..], &sealed].concat()
    }

    /// Opens what [`Sealer::seal`] made for the same `place`.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Secret, Unsealable> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(Unsealable)?;
        let open = self.cipher.open(*nonce, place.as_bytes(), text).ok_or(Unsealable)?;
        String::from_utf8(open).map(Secret::new).map_err(|_| Unsealable)
    }

    /// Keyed hash (HMAC-SHA-256) of `text` in lower-case hex. `purpose` keeps the uses apart.
    pub fn hash(&self, purpose: &str, text: &str) -> String {
        let message = [purpose.as_bytes(), b"\0", text.as_bytes()].concat();
        hex::encode(keyed_hash(&self.hash_key, &message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_text_opens_only_in_its_place_and_with_its_key() {
        let sealer = Sealer::new(&Secret::new("master"));
        let shut = sealer.seal("device/1", "letmein");
        assert_eq!(sealer.open("device/1", &shut).unwrap().expose(), "letmein");
        assert_eq!(sealer.open("device/2", &shut), Err(Unsealable));
        assert_eq!(Sealer::new(&Secret::new("other")).open("device/1", &shut), Err(Unsealable));
        assert_eq!(sealer.open("device/1", &shut[..10]), Err(Unsealable));
        assert_ne!(sealer.seal("device/1", "letmein"), shut);
    }

    #[test]
    fn hashes_depend_on_key_and_purpose() {
        let sealer = Sealer::new(&Secret::new("master"));
        assert_eq!(sealer.hash("code", "1").len(), 64);
        assert_ne!(sealer.hash("code", "1"), sealer.hash("mac", "1"));
        assert_ne!(sealer.hash("code", "1"), Sealer::new(&Secret::new("other")).hash("code", "1"));
    }
}
