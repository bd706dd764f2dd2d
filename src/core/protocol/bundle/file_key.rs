//! The key of a bundle, and how it is made from a passphrase or a key file.

use argon2::{Algorithm, Argon2, Params, Version};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use serde::{Deserialize, Serialize};

use crate::core::model::hex;
use crate::core::model::ids::Secret;

/// Bytes of a key.
const KEY_BYTES: usize = 32;

/// Shortest passphrase, in characters.
const PASSPHRASE_MIN: usize = 12;

/// Shortest content of a key file, in bytes.
const KEY_FILE_MIN: usize = 32;

/// What stretching costs in a new bundle: memory in KiB, passes.
const COST: (u32, u32) = (64 * 1024, 3);

/// The most that a bundle may ask for.
const COST_MAX: (u32, u32) = (256 * 1024, 10);

/// Bytes of a salt.
pub const SALT_BYTES: usize = 16;

/// How the key of a bundle is made. It stands in the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "by", deny_unknown_fields)]
pub enum Lock {
    /// Argon2id of a passphrase.
    Passphrase {
        /// Salt, hex.
        salt: Box<str>,
        /// Memory, in KiB.
        memory: u32,
        /// Passes over the memory.
        passes: u32,
    },
    /// HKDF-SHA256 of a key file.
    KeyFile {
        /// Salt, hex.
        salt: Box<str>,
    },
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// The passphrase is too short.
    #[error("the passphrase has less than {PASSPHRASE_MIN} characters; choose a longer one")]
    ShortPassphrase,
    /// The key file is too short.
    #[error("the key file has less than {KEY_FILE_MIN} bytes; make one with: openssl rand -hex 32")]
    ShortKeyFile,
    /// The bundle asks for more memory or time than it may.
    #[error("the bundle asks for too much work for its passphrase; it was not made by this program")]
    Cost,
    /// The salt is not one.
    #[error("the salt of the bundle is not one; it was not made by this program")]
    NoSalt,
    /// The bundle was made with the other one of passphrase and key file.
    #[error("the bundle was made with a {0}; use that")]
    OtherKind(&'static str),
}

/// The key of one bundle.
#[derive(Clone)]
pub struct FileKey([u8; KEY_BYTES]);

impl std::fmt::Debug for FileKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileKey(…)")
    }
}

impl Lock {
    /// How the key of a new bundle is made from a passphrase.
    pub fn by_passphrase(salt: [u8; SALT_BYTES]) -> Self {
        Self::Passphrase { salt: hex::encode(salt).into(), memory: COST.0, passes: COST.1 }
    }

    /// How it is made from a key file.
    pub fn by_key_file(salt: [u8; SALT_BYTES]) -> Self {
        Self::KeyFile { salt: hex::encode(salt).into() }
    }

    /// Whether the numbers in it are acceptable.
    pub fn check(&self) -> Result<(), LockError> {
        let (salt, cost) = match self {
            Self::Passphrase { salt, memory, passes } => (salt, (*memory, *passes)),
            Self::KeyFile { salt } => (salt, COST),
        };
        let possible = (8..=COST_MAX.0).contains(&cost.0) && (1..=COST_MAX.1).contains(&cost.1);
        if !possible {
            return Err(LockError::Cost);
        }
        if hex::decode(salt.as_bytes()).is_ok_and(|salt| salt.len() == SALT_BYTES) {
            Ok(())
        } else {
            Err(LockError::NoSalt)
        }
    }

    /// The key from a passphrase. Takes memory and time.
    pub fn open_by_passphrase(&self, passphrase: &Secret) -> Result<FileKey, LockError> {
        let Self::Passphrase { salt, memory, passes } = self else { return Err(LockError::OtherKind("key file")) };
        self.check()?;
        if passphrase.expose().chars().count() < PASSPHRASE_MIN {
            return Err(LockError::ShortPassphrase);
        }
        let salt = hex::decode(salt.as_bytes()).map_err(|_| LockError::NoSalt)?;
        let params = Params::new(*memory, *passes, 1, Some(KEY_BYTES)).map_err(|_| LockError::Cost)?;
        let mut key = [0; KEY_BYTES];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.expose().as_bytes(), &salt, &mut key)
            .map_err(|_| LockError::Cost)?;
        Ok(FileKey(key))
    }

    /// The key from the content of a key file.
    pub fn open_by_key_file(&self, content: &[u8]) -> Result<FileKey, LockError> {
        let Self::KeyFile { salt } = self else { return Err(LockError::OtherKind("passphrase")) };
        self.check()?;
        if content.len() < KEY_FILE_MIN {
            return Err(LockError::ShortKeyFile);
        }
        let root = Salt::new(HKDF_SHA256, salt.as_bytes()).extract(content);
        Ok(FileKey(expand(&root, b"provbroker bundle key file")))
    }
}

impl FileKey {
    /// From the text of [`FileKey::expose`].
    pub fn parse(text: &Secret) -> Option<Self> {
        Some(Self(hex::decode(text.expose().as_bytes()).ok()?.try_into().ok()?))
    }

    /// The key as text, for the broker that seals or opens the bundle.
    pub fn expose(&self) -> Secret {
        Secret::new(hex::encode(self.0))
    }

    /// The key of the tag of the manifest.
    pub(super) fn for_manifest(&self) -> [u8; KEY_BYTES] {
        expand(&self.root(b"provbroker bundle"), b"manifest")
    }

    /// The key of the pieces behind the manifest with this tag.
    pub(super) fn for_pieces(&self, tag: &[u8]) -> [u8; KEY_BYTES] {
        expand(&self.root(tag), b"pieces")
    }

    fn root(&self, salt: &[u8]) -> Prk {
        Salt::new(HKDF_SHA256, salt).extract(&self.0)
    }
}

fn expand(root: &Prk, purpose: &[u8]) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    // It only fails for keys of more than 8 KiB.
    #[allow(clippy::expect_used)]
    root.expand(&[purpose], HKDF_SHA256).and_then(|okm| okm.fill(&mut key)).expect("a key is short");
    key
}
