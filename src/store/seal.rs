//! Secrets at rest, and whatever else is protected by the instance key: sealed records, keyed hashes, signatures
//! (`docs/protocol/sysclient.md` 3.2, `docs/protocol/directory.md` section 5).
//!
//! The keys come from the key ring of the store (`keyring.rs`), one for each purpose. A sealed text names the
//! generation of its key, and is bound to its record: it cannot be opened in another one. Codes of the directory are
//! looked up by a keyed hash, because a plain hash of so few possible codes could be reversed. Keys of look-ups are not
//! replaced with the generations: nobody could find the old records by their new names.

use std::sync::{Arc, PoisonError, RwLock};

use hmac::{Hmac, Mac as _};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::schema::{CurrentStage, Form, Stage, Step};
use super::xchacha::{NONCE_BYTES, XChaCha};
use crate::core::model::hex;
use crate::core::model::ids::Secret;

/// A sealed text could not be opened: it was changed, belongs to another record, or was sealed with another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot be opened with this key")]
pub struct Unsealable;

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 32;
/// A key.
pub(super) type Key = [u8; KEY_BYTES];

/// The number of a generation of the instance key, which is the first byte of what it has sealed.
pub type GenerationId = u8;

/// A generation of the instance key.
pub(super) struct Generation {
    pub id: GenerationId,
    cipher: XChaCha,
    /// For what is handed out and comes back: sealed addresses and cookies.
    handed_out: XChaCha,
    root: Prk,
}

impl Generation {
    pub fn new(id: GenerationId, key: &Key) -> Self {
        let root = root(key);
        let cipher = |purpose: &[u8]| XChaCha::new(expand(&root, &[purpose]));
        Self { id, cipher: cipher(b"seal"), handed_out: cipher(b"handed out"), root }
    }
}

/// The keys of before there was an instance key: derived from the master key, or from the instance password.
pub(super) struct OldKeys {
    cipher: XChaCha,
    hash: Key,
}

impl OldKeys {
    /// From the text that they were derived from.
    pub fn derive(master: &Secret) -> (Key, Key) {
        let derive = |purpose: &[u8]| keyed_hash(master.expose().as_bytes(), purpose);
        (derive(b"provbroker seal 1"), derive(b"provbroker hash 1"))
    }

    pub fn new(seal: Key, hash: Key) -> Self {
        Self { cipher: XChaCha::new(seal), hash }
    }

    fn hash(&self, purpose: &str, text: &str) -> String {
        old_hash(&self.hash, purpose, text)
    }
}

/// The value of `keycheck` in a store of before there was an instance key.
pub(super) fn old_key_check(hash: &Key) -> String {
    old_hash(hash, "keycheck", "provbroker 1")
}

fn old_hash(key: &Key, purpose: &str, text: &str) -> String {
    hex::encode(keyed_hash(key, &[purpose.as_bytes(), b"\0", text.as_bytes()].concat()))
}

/// All keys of a store, ready for use.
pub(super) struct Keys {
    /// The generation that seals is the first one.
    pub generations: Vec<Generation>,
    pub lookup: Prk,
    pub old: Option<OldKeys>,
}

impl Keys {
    /// New random ones.
    fn random() -> Self {
        Self { generations: vec![Generation::new(1, &random_key())], lookup: root(&random_key()), old: None }
    }
}

pub(super) fn random_key() -> Key {
    let mut key = Key::default();
    crate::random::fill(&mut key);
    key
}

/// From which the keys of all purposes are expanded.
pub(super) fn root(key: &Key) -> Prk {
    Salt::new(HKDF_SHA256, b"provbroker instance key").extract(key)
}

/// The key of a purpose.
pub(super) fn expand(root: &Prk, purpose: &[&[u8]]) -> Key {
    let mut key = Key::default();
    // It only fails for keys of more than 8 KiB.
    #[allow(clippy::expect_used)]
    root.expand(purpose, HKDF_SHA256).and_then(|okm| okm.fill(&mut key)).expect("a key is short");
    key
}

fn keyed_hash(key: &[u8], message: &[u8]) -> Key {
    // HMAC takes keys of any length, so making one cannot fail.
    #[allow(clippy::expect_used)]
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key).expect("HMAC takes any key");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

struct Shared {
    keys: RwLock<Arc<Keys>>,
    stage: CurrentStage,
}

/// Seals, opens, hashes and signs with the keys of a store; clones share them.
#[derive(Clone)]
pub struct Sealer(Arc<Shared>);

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(…)")
    }
}

impl Sealer {
    /// With new random keys, which are kept nowhere.
    pub fn random() -> Self {
        Self::new(Keys::random(), Stage::NEWEST)
    }

    /// With these keys, at this stage of the store.
    pub(super) fn new(keys: Keys, stage: Stage) -> Self {
        let current = CurrentStage::default();
        current.set(stage);
        Self(Arc::new(Shared { keys: RwLock::new(Arc::new(keys)), stage: current }))
    }

    /// The stage of the store, by which the keys are chosen.
    pub(super) fn stage(&self) -> &CurrentStage {
        &self.0.stage
    }

    /// Uses these keys from now on.
    pub(super) fn replace(&self, keys: Keys) {
        *self.0.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    fn keys(&self) -> Arc<Keys> {
        self.0.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn form(&self) -> Form {
        self.0.stage.form(Step::Seals)
    }

    /// The keys of before, as long as nodes of before have to understand what is written.
    fn written_as_before<'a>(&self, keys: &'a Keys) -> Option<&'a OldKeys> {
        keys.old.as_ref().filter(|_| self.form() == Form::Old)
    }

    /// Seals `secret` for the record `place`: number of the generation, 24 bytes nonce, text, 16 bytes tag.
    pub fn seal(&self, place: &str, secret: &str) -> Vec<u8> {
        let keys = self.keys();
        if let Some(old) = self.written_as_before(&keys) {
            return seal(None, &old.cipher, place, secret);
        }
        keys.generations.first().map_or_else(Vec::new, |newest| seal(Some(newest.id), &newest.cipher, place, secret))
    }

    /// Opens what [`Sealer::seal`] made for the same `place`, with whichever generation.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Secret, Unsealable> {
        self.open_by(place, sealed, |generation| &generation.cipher)
    }

    /// Seals what is handed out and comes back.
    pub fn seal_handed_out(&self, place: &str, secret: &str) -> Vec<u8> {
        let keys = self.keys();
        if let Some(old) = self.written_as_before(&keys) {
            return seal(None, &old.cipher, place, secret);
        }
        keys.generations.first().map_or_else(Vec::new, |new| seal(Some(new.id), &new.handed_out, place, secret))
    }

    /// Opens what [`Sealer::seal_handed_out`] made for the same `place`.
    pub fn open_handed_out(&self, place: &str, sealed: &[u8]) -> Result<Secret, Unsealable> {
        self.open_by(place, sealed, |generation| &generation.handed_out)
    }

    fn open_by(&self, place: &str, sealed: &[u8], cipher: fn(&Generation) -> &XChaCha) -> Result<Secret, Unsealable> {
        let keys = self.keys();
        let (first, rest) = sealed.split_first().ok_or(Unsealable)?;
        let generation = keys.generations.iter().find(|generation| generation.id == *first);
        if let Some(opened) = generation.and_then(|generation| open(cipher(generation), place, rest)) {
            return text(opened);
        }
        // Before there were generations, the first byte was one of the nonce.
        keys.old.as_ref().and_then(|old| open(&old.cipher, place, sealed)).ok_or(Unsealable).and_then(text)
    }

    /// The same text sealed with the newest generation. `None` if it is that already, or cannot be opened.
    pub(super) fn reseal(&self, place: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys();
        let newest = keys.generations.first()?;
        let (first, rest) = sealed.split_first()?;
        if *first == newest.id && open(&newest.cipher, place, rest).is_some() {
            return None;
        }
        let open = self.open(place, sealed).ok()?;
        Some(seal(Some(newest.id), &newest.cipher, place, open.expose()))
    }

    /// Keyed hash of `text` in lower-case hex, under which a record is kept. `purpose` keeps the uses apart.
    pub fn hash(&self, purpose: &str, text: &str) -> String {
        let keys = self.keys();
        self.written_as_before(&keys).map_or_else(|| lookup(&keys, purpose, text), |old| old.hash(purpose, text))
    }

    /// The same with the key that the store has for good, even while records are still written as before.
    pub fn lasting_hash(&self, purpose: &str, text: &str) -> String {
        lookup(&self.keys(), purpose, text)
    }

    /// The other hash under which the record may be: of before there was an instance key, or already of after it.
    pub fn other_hash(&self, purpose: &str, text: &str) -> Option<String> {
        let keys = self.keys();
        let old = keys.old.as_ref()?;
        let other = if self.form() == Form::Old { lookup(&keys, purpose, text) } else { old.hash(purpose, text) };
        Some(other)
    }

    /// Signature of a text that is handed out, in lower-case hex.
    pub fn sign(&self, purpose: &str, text: &str) -> String {
        let keys = self.keys();
        if let Some(old) = self.written_as_before(&keys) {
            return old.hash(purpose, text);
        }
        keys.generations.first().map(|newest| signature(newest, purpose, text)).unwrap_or_default()
    }

    /// Whether this is the signature of the text, by whichever generation. Those of before there was an instance key
    /// count as long as the store is being migrated: whoever knows the password of then could make them.
    pub fn is_signature(&self, purpose: &str, text: &str, shown: &str) -> bool {
        let keys = self.keys();
        let is = |made: String| bool::from(made.as_bytes().ct_eq(shown.as_bytes()));
        let old = keys.old.as_ref().filter(|_| self.form() != Form::New);
        keys.generations.iter().any(|generation| is(signature(generation, purpose, text)))
            || old.is_some_and(|old| is(old.hash(purpose, text)))
    }
}

fn signature(generation: &Generation, purpose: &str, text: &str) -> String {
    let key = expand(&generation.root, &[b"sign ", purpose.as_bytes()]);
    hex::encode(keyed_hash(&key, text.as_bytes()))
}

fn lookup(keys: &Keys, purpose: &str, text: &str) -> String {
    let key = expand(&keys.lookup, &[b"look up ", purpose.as_bytes()]);
    hex::encode(keyed_hash(&key, text.as_bytes()))
}

fn seal(generation: Option<GenerationId>, cipher: &XChaCha, place: &str, secret: &str) -> Vec<u8> {
    let mut nonce = [0; NONCE_BYTES];
    crate::random::fill(&mut nonce);
    // Encryption only fails beyond 256 GiB.
    #[allow(clippy::expect_used)]
    let sealed = cipher.seal(nonce, place.as_bytes(), secret.as_bytes()).expect("short text");
    [generation.as_slice(), &nonce, &sealed].concat()
}

fn open(cipher: &XChaCha, place: &str, sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, text) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    cipher.open(*nonce, place.as_bytes(), text)
}

fn text(open: Vec<u8>) -> Result<Secret, Unsealable> {
    String::from_utf8(open).map(Secret::new).map_err(|_| Unsealable)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Stage = Stage { version: 0, phase: super::super::schema::Phase::Settled };

    /// The keys of a store that has keys of before, at this stage.
    fn migrated(stage: Stage) -> Sealer {
        let (seal, hash) = OldKeys::derive(&Secret::new("master"));
        let generations = vec![Generation::new(1, &[1; KEY_BYTES])];
        Sealer::new(Keys { generations, lookup: root(&[2; KEY_BYTES]), old: Some(OldKeys::new(seal, hash)) }, stage)
    }

    #[test]
    fn a_sealed_text_opens_only_in_its_place_and_with_its_key() {
        let sealer = Sealer::random();
        let shut = sealer.seal("device/1", "letmein");
        assert_eq!(sealer.open("device/1", &shut).unwrap().expose(), "letmein");
        assert_eq!(sealer.open("device/2", &shut), Err(Unsealable));
        assert_eq!(Sealer::random().open("device/1", &shut), Err(Unsealable));
        assert_eq!(sealer.open("device/1", &shut[..10]), Err(Unsealable));
        assert_eq!(sealer.open("device/1", &[]), Err(Unsealable));
        assert_ne!(sealer.seal("device/1", "letmein"), shut);
        assert_eq!(sealer.open_handed_out("device/1", &shut), Err(Unsealable), "another purpose");
        let out = sealer.seal_handed_out("pass", "letmein");
        assert_eq!(sealer.open_handed_out("pass", &out).unwrap().expose(), "letmein");
        assert_eq!(sealer.open("pass", &out), Err(Unsealable));
    }

    #[test]
    fn hashes_and_signatures_depend_on_key_and_purpose() {
        let sealer = Sealer::random();
        assert_eq!(sealer.hash("code", "1").len(), 64);
        assert_eq!(sealer.hash("code", "1"), sealer.lasting_hash("code", "1"));
        assert_ne!(sealer.hash("code", "1"), sealer.hash("mac", "1"));
        assert_ne!(sealer.hash("code", "1"), Sealer::random().hash("code", "1"));
        assert_eq!(sealer.other_hash("code", "1"), None);
        let signed = sealer.sign("token", "anna");
        assert_ne!(signed, sealer.hash("token", "anna"));
        assert!(sealer.is_signature("token", "anna", &signed));
        assert!(!sealer.is_signature("token", "otto", &signed) && !sealer.is_signature("form", "anna", &signed));
        assert!(!Sealer::random().is_signature("token", "anna", &signed));
    }

    #[test]
    fn nodes_of_before_understand_what_is_written_until_the_store_moves() {
        let (before, moving) = (migrated(OLD), migrated(Stage { phase: super::super::schema::Phase::Moving, ..OLD }));
        // What version 0.1 makes: printf 'code\0001' | openssl dgst -sha256 -mac HMAC with the key derived as there.
        let (seal_key, hash_key) = OldKeys::derive(&Secret::new("master"));
        let of_before = OldKeys::new(seal_key, hash_key);
        assert_eq!(before.hash("code", "1"), of_before.hash("code", "1"));
        assert_eq!(before.sign("token", "1"), of_before.hash("token", "1"));
        let shut = before.seal("place", "letmein");
        assert_eq!(open(&of_before.cipher, "place", &shut).unwrap(), b"letmein");
        // Both read both.
        let new = moving.seal("place", "letmein");
        for sealer in [&before, &moving] {
            for sealed in [&shut, &new] {
                assert_eq!(sealer.open("place", sealed).unwrap().expose(), "letmein");
            }
            assert!(sealer.is_signature("token", "1", &before.sign("token", "1")));
            assert!(sealer.is_signature("token", "1", &moving.sign("token", "1")));
        }
        assert_eq!(moving.other_hash("code", "1"), Some(before.hash("code", "1")));
        assert_eq!(before.other_hash("code", "1"), Some(moving.hash("code", "1")));
        // Afterwards nobody who knows the password of then can sign.
        let after = migrated(Stage::NEWEST);
        assert!(!after.is_signature("token", "1", &before.sign("token", "1")));
        assert_eq!(after.open("place", &shut).unwrap().expose(), "letmein");
        assert_eq!(open(&of_before.cipher, "place", &after.reseal("place", &shut).unwrap()), None);
        assert_eq!(after.reseal("place", &new), None, "it is already");
    }

    /// A nonce of before may begin with the number of a generation.
    #[test]
    fn a_text_of_before_is_not_taken_for_one_of_a_generation() {
        let sealer = migrated(Stage::NEWEST);
        let (seal_key, _) = OldKeys::derive(&Secret::new("master"));
        let nonce = [1; NONCE_BYTES];
        let sealed = XChaCha::new(seal_key).seal(nonce, b"place", b"letmein").unwrap();
        let sealed = [&nonce[..], &sealed].concat();
        assert_eq!(sealer.open("place", &sealed).unwrap().expose(), "letmein");
        assert!(sealer.reseal("place", &sealed).is_some());
    }
}
