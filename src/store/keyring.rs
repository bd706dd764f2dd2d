//! The key ring of a store: the generations of its instance key and the key of look-ups, kept in the store as one record
//! that is itself sealed.
//!
//! The record is sealed under a key stretched from the master key, with a random salt. Without a master key the
//! embedded store has a key file beside it; on Redis, which several nodes share, the key is stretched from the instance
//! password. Stretching is Argon2id: a copy of the store does not make guessing a password cheap. When master key or
//! password change, the earlier one opens the record once more (`security.previous_keys`), and the record is sealed
//! anew.
//!
//! A ring that is made for a store of before there was one takes the keys of then with it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};

use super::record::{Sealed, to_json};
use super::seal::{Generation, GenerationId, Key, Keys, OldKeys, old_key_check, random_key, root};
use super::xchacha::{NONCE_BYTES, XChaCha};
use crate::core::model::hex;
use crate::core::model::ids::Secret;
use crate::store::options::OpenError;

/// What the configuration has to open a store with.
#[derive(Clone, Debug, Default)]
pub struct MasterKeys {
    /// `security.master_key`; may be empty.
    pub master: Secret,
    /// `security.previous_keys`: earlier master keys and instance passwords.
    pub previous: Vec<Secret>,
    /// The instance password.
    pub password: Secret,
}

impl MasterKeys {
    /// A master key, and nothing else.
    pub fn of(master: Secret) -> Self {
        Self { master, ..Self::default() }
    }

    /// Everything that may open the store, what should open it first.
    fn all(&self) -> impl Iterator<Item = &Secret> {
        [&self.master, &self.password].into_iter().chain(&self.previous).filter(|key| !key.is_empty())
    }
}

/// How the key of the record is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
enum Lock {
    /// Stretched from the master key or the instance password.
    Stretched {
        salt: Sealed,
        /// KiB of memory.
        memory: u32,
        passes: u32,
    },
    /// In the key file.
    File,
}

impl Lock {
    /// Stretching with a new salt.
    fn stretched() -> Self {
        Self::Stretched {
            salt: Sealed(random_key().to_vec()),
            memory: Params::DEFAULT_M_COST,
            passes: Params::DEFAULT_T_COST,
        }
    }
}

/// The record in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// Names the store, so that the key file of another one is recognised.
    store: String,
    /// Grows with each change of the keys.
    revision: u64,
    lock: Lock,
    sealed: Sealed,
}

#[derive(Clone, Serialize, Deserialize)]
struct StoredGeneration {
    id: GenerationId,
    key: Sealed,
}

#[derive(Clone, Serialize, Deserialize)]
struct StoredOld {
    seal: Sealed,
    hash: Sealed,
}

/// What is sealed in it.
#[derive(Clone, Serialize, Deserialize)]
struct Contents {
    lookup: Sealed,
    /// The one that seals first.
    generations: Vec<StoredGeneration>,
    /// Made, and not yet known to all nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<StoredGeneration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    old: Option<StoredOld>,
}

/// An opened key ring.
#[derive(Clone)]
pub(super) struct Keyring {
    store: String,
    pub revision: u64,
    lock: Lock,
    /// The key of the record.
    unlocked: Key,
    contents: Contents,
}

/// The key in the file beside the store.
pub(super) struct KeyFile {
    path: PathBuf,
    found: Option<(String, Key)>,
}

/// Why a record cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shut {
    /// None of the keys fits.
    AnotherKey,
    /// It needs a key file, and there is none.
    NoFile,
    /// The key file names another store.
    FileOfAnotherStore,
    /// It cannot be read.
    Unreadable,
}

impl Shut {
    /// The error for a store at `place`.
    pub fn error(self, place: &str, file: Option<&KeyFile>) -> OpenError {
        let key_file = |why: &str| OpenError::KeyFile {
            path: file.map(|file| file.path.display().to_string()).unwrap_or_default(),
            why: why.into(),
        };
        match self {
            Self::AnotherKey => OpenError::WrongKey { place: place.to_owned() },
            Self::NoFile => key_file("is missing; put it back where it was, or from the backup of the store"),
            Self::FileOfAnotherStore => key_file("belongs to another store; put that of this store in its place"),
            Self::Unreadable => {
                OpenError::File { path: place.to_owned(), why: "its key ring is of another version".into() }
            }
        }
    }
}

impl Keyring {
    /// A ring with new keys for a new store, or for one of before there were key rings: `check` is the value by which
    /// that recognises its key. `None`: no key of the configuration is the one.
    pub fn new(keys: &MasterKeys, file: Option<&KeyFile>, check: Option<&str>) -> Option<Self> {
        let old = match check {
            None => None,
            Some(check) => {
                let derived = keys.all().map(OldKeys::derive).find(|(_, hash)| old_key_check(hash) == check)?;
                Some(StoredOld { seal: Sealed(derived.0.to_vec()), hash: Sealed(derived.1.to_vec()) })
            }
        };
        let (lock, unlocked) = lock(keys, file)?;
        let generation = StoredGeneration { id: 1, key: Sealed(random_key().to_vec()) };
        let contents =
            Contents { lookup: Sealed(random_key().to_vec()), generations: vec![generation], next: None, old };
        let store = match file.and_then(|file| file.found.as_ref()) {
            Some((store, _)) => store.clone(),
            None => new_name(),
        };
        Some(Self { store, revision: 1, lock, unlocked, contents })
    }

    /// Opens a record with whatever fits.
    pub fn open(record: &str, keys: &MasterKeys, file: Option<&KeyFile>) -> Result<Self, Shut> {
        let record = parse(record)?;
        match &record.lock {
            Lock::Stretched { .. } => keys
                .all()
                .filter_map(|key| stretch(key, &record.lock))
                .find_map(|key| record.open(key))
                .ok_or(Shut::AnotherKey),
            Lock::File => {
                let file = file.ok_or(Shut::NoFile)?;
                file.check(&record.store)?;
                let (_, key) = file.found.as_ref().ok_or(Shut::NoFile)?;
                record.open(*key).ok_or(Shut::AnotherKey)
            }
        }
    }

    /// Opens a later record of the same ring without stretching anything again, if its lock is the same.
    pub fn open_next(&self, record: &str) -> Option<Self> {
        let record = parse(record).ok()?;
        (record.lock == self.lock).then(|| record.open(self.unlocked)).flatten()
    }

    /// The same ring under the key by which it should be opened; `None` if it is so already.
    pub fn relock(&self, keys: &MasterKeys, file: Option<&KeyFile>) -> Option<Self> {
        let wanted = keys.all().next().filter(|_| file.is_none() || !keys.master.is_empty());
        let right = match (&self.lock, wanted) {
            (Lock::Stretched { .. }, Some(wanted)) => stretch(wanted, &self.lock) == Some(self.unlocked),
            (Lock::File, None) => true,
            _ => false,
        };
        if right {
            return None;
        }
        let (lock, unlocked) = lock(keys, file)?;
        Some(Self { lock, unlocked, revision: self.revision + 1, ..self.clone() })
    }

    /// The record to be kept.
    pub fn record(&self) -> String {
        let mut nonce = [0; NONCE_BYTES];
        crate::random::fill(&mut nonce);
        let aad = aad(&self.store, self.revision);
        // Encryption only fails beyond 256 GiB.
        let sealed = XChaCha::new(self.unlocked).seal(nonce, aad.as_bytes(), to_json(&self.contents).as_bytes());
        let sealed = Sealed([&nonce[..], &sealed.unwrap_or_default()].concat());
        to_json(&Record { store: self.store.clone(), revision: self.revision, lock: self.lock.clone(), sealed })
    }

    /// The keys, ready for use.
    pub fn keys(&self) -> Keys {
        let key = |sealed: &Sealed| Key::try_from(&*sealed.0).unwrap_or_default();
        let generations = self.contents.generations.iter().chain(&self.contents.next);
        Keys {
            generations: generations.map(|one| Generation::new(one.id, &key(&one.key))).collect(),
            lookup: root(&key(&self.contents.lookup)),
            old: self.contents.old.as_ref().map(|old| OldKeys::new(key(&old.seal), key(&old.hash))),
        }
    }

    /// The name of the store.
    pub fn store(&self) -> &str {
        &self.store
    }

    /// The generation that seals.
    pub fn current(&self) -> GenerationId {
        self.contents.generations.first().map_or(0, |one| one.id)
    }

    /// All generations, that which seals first.
    pub fn generations(&self) -> Vec<GenerationId> {
        self.contents.generations.iter().map(|one| one.id).collect()
    }

    /// The generation that will seal once all nodes know it.
    pub fn next(&self) -> Option<GenerationId> {
        self.contents.next.as_ref().map(|one| one.id)
    }

    /// Whether it has the keys of before there was an instance key.
    pub fn has_old(&self) -> bool {
        self.contents.old.is_some()
    }

    /// Where the key of the record comes from.
    pub fn locked_by(&self, keys: &MasterKeys) -> KeySource {
        match self.lock {
            Lock::File => KeySource::File,
            Lock::Stretched { .. } if keys.master.is_empty() => KeySource::InstancePassword,
            Lock::Stretched { .. } => KeySource::MasterKey,
        }
    }

    /// The ring with one generation more, which does not seal yet. `None`: there is one already, or there are too many.
    pub fn with_next(&self) -> Option<Self> {
        let used = |id: &GenerationId| self.contents.generations.iter().any(|one| one.id == *id);
        if self.contents.next.is_some() {
            return None;
        }
        let after = self.current();
        // Numbers are used again after 255 generations; 0 stands for none.
        let id = (after.saturating_add(1)..=GenerationId::MAX).chain(1..after).find(|id| !used(id))?;
        let mut new = self.clone();
        new.contents.next = Some(StoredGeneration { id, key: Sealed(random_key().to_vec()) });
        new.revision += 1;
        Some(new)
    }

    /// The ring whose newest generation seals.
    pub fn with_next_in_use(&self) -> Option<Self> {
        let mut new = self.clone();
        let next = new.contents.next.take()?;
        new.contents.generations.insert(0, next);
        new.revision += 1;
        Some(new)
    }

    /// The ring without the generations that seal nothing any more; `None` if there are none.
    pub fn without_unused(&self) -> Option<Self> {
        let mut new = self.clone();
        new.contents.generations.truncate(1);
        new.revision += 1;
        (self.contents.generations.len() > 1).then_some(new)
    }
}

/// A name for a new store.
fn new_name() -> String {
    hex::encode(random_key().get(..16).unwrap_or_default())
}

fn aad(store: &str, revision: u64) -> String {
    format!("keyring {store} {revision}")
}

fn parse(record: &str) -> Result<Record, Shut> {
    serde_json::from_str(record).map_err(|_| Shut::Unreadable)
}

impl Record {
    fn open(&self, key: Key) -> Option<Keyring> {
        let (nonce, text) = self.sealed.0.split_first_chunk::<NONCE_BYTES>()?;
        let text = XChaCha::new(key).open(*nonce, aad(&self.store, self.revision).as_bytes(), text)?;
        let contents = serde_json::from_slice(&text).ok()?;
        let (store, lock) = (self.store.clone(), self.lock.clone());
        Some(Keyring { store, revision: self.revision, lock, unlocked: key, contents })
    }
}

/// The lock that a record should have, and its key.
fn lock(keys: &MasterKeys, file: Option<&KeyFile>) -> Option<(Lock, Key)> {
    if keys.master.is_empty()
        && let Some(file) = file
    {
        return Some((Lock::File, file.found.as_ref()?.1));
    }
    let lock = Lock::stretched();
    // A store of tests may have no key at all; its ring is then sealed under nothing.
    let nothing = Secret::default();
    let key = stretch(keys.all().next().unwrap_or(&nothing), &lock)?;
    Some((lock, key))
}

fn stretch(secret: &Secret, lock: &Lock) -> Option<Key> {
    let Lock::Stretched { salt, memory, passes } = lock else { return None };
    let params = Params::new(*memory, *passes, 1, None).ok()?;
    let mut key = Key::default();
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon.hash_password_into(secret.expose().as_bytes(), &salt.0, &mut key).ok()?;
    Some(key)
}

/// Where the key comes from that opens the key ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySource {
    /// `security.master_key`.
    MasterKey,
    /// The instance password.
    InstancePassword,
    /// The key file beside the store.
    File,
}

impl KeySource {
    /// Its name in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MasterKey => "master key",
            Self::InstancePassword => "instance password",
            Self::File => "key file",
        }
    }
}

const FILE_HEAD: &str = "provbroker key file 1";

impl KeyFile {
    /// The key file of the store in this file, whether it is there or not.
    pub fn beside(store: &Path) -> Result<Self, OpenError> {
        let mut name = store.as_os_str().to_owned();
        name.push(".key");
        let path = PathBuf::from(name);
        let refused = |why: String| OpenError::KeyFile { path: path.display().to_string(), why };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self { path, found: None }),
            Err(error) => return Err(refused(format!("cannot be read: {error}"))),
        };
        let mut lines = text.lines();
        let mut next = |name: &str| lines.next().and_then(|line| line.strip_prefix(name)).map(ToOwned::to_owned);
        let found = next(FILE_HEAD).and_then(|_| Some((next("store ")?, next("key ")?)));
        let found = found.and_then(|(store, key)| Some((store, Key::try_from(hex::decode(&key).ok()?).ok()?)));
        let Some(found) = found else { return Err(refused("is damaged; put it back from the backup".into())) };
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&path).map_or(0, |about| about.permissions().mode());
            if mode & 0o077 != 0 {
                tracing::warn!(path = %path.display(), "key file can be read by others; run chmod 600 on it");
            }
        }
        Ok(Self { path, found: Some(found) })
    }

    /// Makes the file, unless it is there. It is complete on disk before it has its name.
    /// `store`: the name of the store, if it has one.
    pub fn make(&mut self, store: Option<&str>) -> Result<(), OpenError> {
        if self.found.is_some() {
            return Ok(());
        }
        let (store, key) = (store.map_or_else(new_name, ToOwned::to_owned), random_key());
        let text = format!("{FILE_HEAD}\nstore {store}\nkey {}\n", hex::encode(key));
        let written = write_new(&self.path, &text);
        written.map_err(|error| OpenError::KeyFile {
            path: self.path.display().to_string(),
            why: format!("cannot be made: {error}"),
        })?;
        self.found = Some((store, key));
        Ok(())
    }
}

impl KeyFile {
    /// Whether it is that of this store.
    pub fn check(&self, store: &str) -> Result<(), Shut> {
        match &self.found {
            None => Err(Shut::NoFile),
            Some((ours, _)) if ours != store => Err(Shut::FileOfAnotherStore),
            Some(_) => Ok(()),
        }
    }
}

/// Writes a file that only its owner reads, under its name when it is complete and on disk.
fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    // What an interrupted attempt has left was used by nobody.
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(master: &str, previous: &[&str], password: &str) -> MasterKeys {
        let previous = previous.iter().map(|key| Secret::new(*key)).collect();
        MasterKeys { master: Secret::new(master), previous, password: Secret::new(password) }
    }

    fn shut(opened: Result<Keyring, Shut>) -> Shut {
        opened.err().expect("it must not open")
    }

    #[test]
    fn a_ring_opens_with_its_key_and_with_earlier_ones() {
        let ring = Keyring::new(&keys("one", &[], "secret"), None, None).unwrap();
        let record = ring.record();
        assert_eq!(shut(Keyring::open(&record, &keys("two", &[], "secret"), None)), Shut::AnotherKey);
        let new = keys("two", &["zero", "one"], "secret");
        let opened = Keyring::open(&record, &new, None).unwrap();
        let relocked = opened.relock(&new, None).expect("it is sealed under the new key");
        assert!(Keyring::open(&relocked.record(), &keys("two", &[], ""), None).is_ok());
        assert!(relocked.relock(&new, None).is_none());
        assert_eq!(shut(Keyring::open(&relocked.record(), &keys("one", &[], ""), None)), Shut::AnotherKey);
        // What the keys seal is not touched.
        assert_eq!(relocked.contents.lookup, ring.contents.lookup);
        assert_eq!(relocked.current(), ring.current());
        // Another record cannot be put in its place.
        let other = ring.record().replace("\"revision\":1", "\"revision\":2");
        assert_eq!(shut(Keyring::open(&other, &keys("one", &[], ""), None)), Shut::AnotherKey);
    }

    #[test]
    fn without_a_master_key_the_password_or_a_file_opens_it() {
        use std::os::unix::fs::PermissionsExt as _;

        let ring = Keyring::new(&keys("", &[], "secret"), None, None).unwrap();
        assert_eq!(ring.locked_by(&keys("", &[], "secret")), KeySource::InstancePassword);
        let changed = keys("", &["secret"], "changed");
        let relocked = Keyring::open(&ring.record(), &changed, None).unwrap().relock(&changed, None).unwrap();
        assert!(Keyring::open(&relocked.record(), &keys("", &[], "changed"), None).is_ok());
        // A master key that is set later: the password still opens the ring.
        assert!(Keyring::open(&relocked.record(), &keys("master", &[], "changed"), None).is_ok());

        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store.redb");
        let mut file = KeyFile::beside(&store).unwrap();
        file.make(None).unwrap();
        let file = KeyFile::beside(&store).unwrap();
        assert_eq!(std::fs::metadata(&file.path).unwrap().permissions().mode() & 0o777, 0o600);
        let ring = Keyring::new(&keys("", &[], "secret"), Some(&file), None).unwrap();
        assert!(Keyring::open(&ring.record(), &keys("", &[], "another password"), Some(&file)).is_ok());
        let gone = KeyFile::beside(&folder.path().join("other.redb")).unwrap();
        assert_eq!(shut(Keyring::open(&ring.record(), &keys("", &[], "secret"), Some(&gone))), Shut::NoFile);
        let mut other = gone;
        other.make(None).unwrap();
        let refused = shut(Keyring::open(&ring.record(), &keys("", &[], "secret"), Some(&other)));
        assert_eq!(refused, Shut::FileOfAnotherStore);
        for why in [Shut::NoFile, Shut::FileOfAnotherStore, Shut::AnotherKey] {
            let line = why.error("store.redb", Some(&other)).to_string();
            assert!(line.lines().count() == 1 && line.contains(".redb"), "{line}");
        }
        // With a master key the file is not needed any more.
        let master = keys("master", &[], "");
        let relocked = ring.relock(&master, Some(&file)).unwrap();
        assert!(Keyring::open(&relocked.record(), &master, None).is_ok());
    }

    #[test]
    fn a_store_of_before_gives_its_keys_to_the_ring() {
        let (_, hash) = OldKeys::derive(&Secret::new("secret"));
        let check = old_key_check(&hash);
        assert!(Keyring::new(&keys("", &[], "other"), None, Some(&check)).is_none());
        let ring = Keyring::new(&keys("", &[], "secret"), None, Some(&check)).unwrap();
        assert!(ring.has_old());
        // The password was changed at the same time, or a master key set.
        assert!(Keyring::new(&keys("master", &["secret"], "changed"), None, Some(&check)).unwrap().has_old());
        let opened = Keyring::open(&ring.record(), &keys("", &["secret"], "changed"), None).unwrap();
        assert!(opened.has_old());
    }

    #[test]
    fn a_generation_is_known_before_it_seals() {
        let first = Keyring::new(&keys("one", &[], ""), None, None).unwrap();
        let known = first.with_next().unwrap();
        assert!(known.with_next().is_none() && known.current() == 1 && known.next() == Some(2));
        let used = known.with_next_in_use().unwrap();
        assert_eq!((used.current(), used.generations(), used.next()), (2, vec![2, 1], None));
        assert!(used.revision > known.revision && known.revision > first.revision);
        let alone = used.without_unused().unwrap();
        assert_eq!(alone.generations(), [2]);
        assert!(alone.without_unused().is_none());
        assert!(first.open_next(&alone.record()).is_some());
        assert_ne!(alone.with_next().unwrap().next(), Some(2));
    }
}
