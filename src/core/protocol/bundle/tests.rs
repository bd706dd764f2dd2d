use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::core::model::bundle::SiteName;
use crate::core::model::ids::{DomainName, Secret};
use crate::core::model::time::UnixMillis;

const SECRET: &[u8] = b"the content of a key file, long enough to be one";

fn manifest() -> Manifest {
    Manifest {
        kind: Kind::Site,
        id: "00ff".into(),
        centre: "ab".into(),
        site: SiteName::parse("berlin").unwrap(),
        domain: DomainName::parse("example.com").unwrap(),
        serial: 1,
        created: UnixMillis(1_767_225_600_000),
        expires: UnixMillis(1_767_999_999_000),
        lock: Lock::by_key_file([7; 16]),
    }
}

fn key() -> FileKey {
    manifest().lock.open_by_key_file(SECRET).unwrap()
}

fn written(records: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = Writer::new(&manifest(), &key());
    let mut bytes = Vec::new();
    for record in records {
        assert!(writer.add(record));
        bytes.append(&mut writer.take());
    }
    bytes.extend(writer.finish());
    bytes
}

fn read(bytes: &[u8], key: FileKey, portion: usize) -> Result<(Manifest, Vec<Vec<u8>>), Fault> {
    let (mut opener, mut records) = (Opener::new(key), Vec::new());
    for portion in bytes.chunks(portion.max(1)) {
        opener.take(portion, &mut records)?;
    }
    Ok((opener.end()?, records))
}

#[test]
fn what_was_written_is_read() {
    for records in [vec![], vec![vec![]], vec![vec![1; 3], vec![], vec![2; 3 * PIECE], vec![3; PIECE - 4], vec![4]]] {
        let bytes = written(&records);
        for portion in [1, 7, 4096, usize::MAX] {
            if portion == 1 && bytes.len() > PIECE {
                continue;
            }
            assert_eq!(read(&bytes, key(), portion), Ok((manifest(), records.clone())));
        }
    }
    assert!(!Writer::new(&manifest(), &key()).add(&vec![0; RECORD_MAX + 1]));
}

#[test]
fn another_key_opens_nothing() {
    let other = manifest().lock.open_by_key_file(b"another content of a key file, long enough too").unwrap();
    assert_eq!(read(&written(&[vec![1]]), other, 100), Err(Fault::WrongKey));
    assert_eq!(format!("{:?}", key()), "FileKey(…)");
    assert_eq!(FileKey::parse(&key().expose()).unwrap().expose(), key().expose());
    assert!(FileKey::parse(&Secret::new("00")).is_none());
}

#[test]
fn a_passphrase_gives_a_key_of_its_own() {
    let cheap = |salt: &str| Lock::Passphrase { salt: salt.into(), memory: 8, passes: 1 };
    let salt = "000102030405060708090a0b0c0d0e0f";
    let passphrase = Secret::new("correct horse battery");
    let key = |lock: &Lock| lock.open_by_passphrase(&passphrase).map(|key| key.expose());
    assert_eq!(key(&cheap(salt)), key(&cheap(salt)));
    assert_ne!(key(&cheap(salt)), key(&cheap("ff0102030405060708090a0b0c0d0e0f")));
    assert_eq!(key(&cheap("00")), Err(LockError::NoSalt));
    assert_eq!(key(&Lock::by_key_file([0; 16])), Err(LockError::OtherKind("key file")));
    assert_eq!(cheap(salt).open_by_passphrase(&Secret::new("short")).err(), Some(LockError::ShortPassphrase));
    assert_eq!(cheap(salt).open_by_key_file(SECRET).err(), Some(LockError::OtherKind("passphrase")));
    assert_eq!(Lock::by_key_file([0; 16]).open_by_key_file(b"short").err(), Some(LockError::ShortKeyFile));
    for (memory, passes) in [(u32::MAX, 1), (8, u32::MAX), (0, 1), (8, 0), (512 * 1024, 3)] {
        let dear = Lock::Passphrase { salt: salt.into(), memory, passes };
        assert_eq!(key(&dear), Err(LockError::Cost));
    }
}

#[test]
fn each_fault_is_told() {
    let bytes = written(&[vec![9; 200_000]]);
    let fault = |bytes: &[u8]| read(bytes, key(), 5000).unwrap_err();
    for cut in [0, 5, MAGIC.len(), MAGIC.len() + 4, 100, bytes.len() - PIECE, bytes.len() - 1] {
        assert_eq!(fault(&bytes[..cut]), Fault::CutOff, "{cut}");
    }
    assert_eq!(fault(b"PK\x03\x04"), Fault::NoBundle);
    assert_eq!(fault(&[&bytes[..], b"x"].concat()), Fault::Behind);
    let newer = [&bytes[..MAGIC.len()], &[0, 2], &bytes[MAGIC.len() + 2..]].concat();
    assert_eq!(fault(&newer), Fault::Newer(2));
    assert!(Fault::Newer(2).to_string().contains("format 2"), "{}", Fault::Newer(2));
    let long = [&bytes[..MAGIC.len() + 2], &[255; 4], &bytes[MAGIC.len() + 6..]].concat();
    assert_eq!(fault(&long), Fault::Manifest);
    // The pieces cannot change places, and the first one is not the end.
    let begun = begin(&bytes).unwrap().unwrap().length;
    let piece = 4 + PIECE + TAG;
    let (first, second) = (&bytes[begun..begun + piece], &bytes[begun + piece..begun + 2 * piece]);
    let swapped = [&bytes[..begun], second, first, &bytes[begun + 2 * piece..]].concat();
    assert_eq!(fault(&swapped), Fault::Damaged(begun as u64));
    let mut early = bytes[..begun + piece].to_vec();
    early[begun] |= 0x80;
    assert_eq!(fault(&early), Fault::Damaged(begun as u64));
}

proptest! {
    #[test]
    fn a_changed_byte_is_found(records in vec(vec(any::<u8>(), 0..300), 0..20), at in any::<prop::sample::Index>(), by in 1_u8..) {
        let mut bytes = written(&records);
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        prop_assert!(read(&bytes, key(), 1000).is_err(), "byte {at}");
    }

    #[test]
    fn portions_make_no_difference(bytes in vec(any::<u8>(), 0..2000), portion in 1_usize..100) {
        let whole = [&written(&[vec![1; 10]])[..250], &bytes].concat();
        for bytes in [&bytes, &whole] {
            prop_assert_eq!(read(bytes, key(), portion), read(bytes, key(), usize::MAX));
        }
    }
}
