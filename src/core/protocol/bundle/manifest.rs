//! The manifest: what a bundle is, for whom, and until when.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::file_key::{FileKey, Lock};
use super::{Fault, MAGIC, MANIFEST_MAX, MANIFEST_TAG, VERSION};
use crate::core::model::bundle::SiteName;
use crate::core::model::ids::DomainName;
use crate::core::model::time::UnixMillis;

/// Longest mark in a manifest, in bytes.
const MARK_MAX: usize = 64;

/// What a bundle carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// From the centre to a site: domain, jobs, codes.
    Site,
    /// From a site to its centre: devices, used codes, outcomes, timelines.
    Results,
}

/// The manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// What it carries.
    pub kind: Kind,
    /// Random mark of this bundle, hex.
    pub id: Box<str>,
    /// Mark of the centre that it is from, or whose results it carries.
    pub centre: Box<str>,
    /// The site.
    pub site: SiteName,
    /// The domain.
    pub domain: DomainName,
    /// Number of this bundle among those of its kind, site and domain.
    pub serial: u64,
    /// When it was made, in Unix milliseconds.
    pub created: UnixMillis,
    /// From when on it is not imported any more.
    pub expires: UnixMillis,
    /// How its key is made.
    pub lock: Lock,
}

/// The beginning of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// The manifest.
    pub manifest: Manifest,
    /// How long it is, up to and with its tag.
    pub length: usize,
}

impl Manifest {
    /// The beginning of the bundle, with the tag at the end.
    pub(super) fn write(&self, key: &FileKey) -> Vec<u8> {
        // Plain members can always be serialized, and are short.
        let text = serde_json::to_vec(self).unwrap_or_default();
        let length = u32::try_from(text.len()).unwrap_or_default();
        let mut bytes = [&MAGIC[..], &VERSION.to_be_bytes(), &length.to_be_bytes(), &text].concat();
        bytes.extend_from_slice(&mac(key, &bytes).finalize().into_bytes());
        bytes
    }

    fn is_sound(&self) -> bool {
        let is_mark = |text: &str| (1..=MARK_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        is_mark(&self.id) && is_mark(&self.centre) && self.lock.check().is_ok()
    }
}

fn mac(key: &FileKey, bytes: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of any length, so making one cannot fail.
    #[allow(clippy::expect_used)]
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.for_manifest()).expect("HMAC takes any key");
    mac.update(bytes);
    mac
}

/// Whether the beginning of a bundle, with its tag, was made with this key.
pub(super) fn is_by(key: &FileKey, beginning: &[u8]) -> bool {
    let (text, tag) = beginning.split_at(beginning.len().saturating_sub(MANIFEST_TAG));
    mac(key, text).verify_slice(tag).is_ok()
}

/// Reads the beginning of a bundle. `None`: more bytes are needed, at most [`MANIFEST_MAX`] and some.
pub fn begin(bytes: &[u8]) -> Result<Option<Begun>, Fault> {
    let known = bytes.len().min(MAGIC.len());
    if bytes[..known] != MAGIC[..known] {
        return Err(Fault::NoBundle);
    }
    let Some((version, rest)) = bytes.get(MAGIC.len()..).and_then(<[u8]>::split_first_chunk) else { return Ok(None) };
    match u16::from_be_bytes(*version) {
        VERSION => {}
        0 => return Err(Fault::NoBundle),
        newer => return Err(Fault::Newer(newer)),
    }
    let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    if length > MANIFEST_MAX {
        return Err(Fault::Manifest);
    }
    if rest.len() < length + MANIFEST_TAG {
        return Ok(None);
    }
    let manifest: Manifest = serde_json::from_slice(&rest[..length]).map_err(|_| Fault::Manifest)?;
    if !manifest.is_sound() {
        return Err(Fault::Manifest);
    }
    Ok(Some(Begun { manifest, length: bytes.len() - rest.len() + length + MANIFEST_TAG }))
}
