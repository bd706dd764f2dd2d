//! Digest and administrative password of the device protocol (`docs/protocol/sysclient.md` 3.4 and 4).
//!
//! Only computes: the callers draw passwords, seeds and challenges.

use rc4::{KeyInit as _, Rc4, StreamCipher as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::core::model::hex;
use crate::core::model::ids::Secret;

/// Characters of a device password; known clients refuse any other length (`docs/protocol/sysclient.md` 3.2).
pub const PASSWORD_CHARS: usize = 32;

/// Characters of the seed of an administrative password; known clients require this length
/// (`docs/protocol/sysclient.md` 3.4).
pub const SEED_CHARS: usize = 16;

/// Longest RC4 key in bytes; the key schedule ignores further ones.
const RC4_KEY_MAX: usize = 256;

/// SHA-256 in lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// RC4 without skipped bytes; the same function encrypts and decrypts. `None` if the key is empty.
///
/// Of a longer key only the first 256 bytes are used.
pub fn rc4(key: &[u8], data: &[u8]) -> Option<Vec<u8>> {
    let mut cipher = Rc4::new_from_slice(&key[..key.len().min(RC4_KEY_MAX)]).ok()?;
    let mut out = data.to_vec();
    cipher.apply_keystream(&mut out);
    Some(out)
}

/// The answer to a challenge: lower-case hex of SHA-256 over the five texts, joined by `:`
/// (`docs/protocol/sysclient.md` section 4).
///
/// `id`, `product` and `version` are those of the same identify that carries the digest.
pub fn device_digest(id: &str, product: &str, version: &str, challenge: &str, password: &Secret) -> String {
    let mut hash = Sha256::new();
    for text in [id, product, version, challenge] {
        hash.update(text);
        hash.update(":");
    }
    hash.update(password.expose());
    hex::encode(hash.finalize())
}

/// Compares a digest with the expected one, in constant time and ignoring the case of its hex digits. `expected` is in
/// lower case.
pub fn digest_matches(given: &str, expected: &str) -> bool {
    given.to_ascii_lowercase().as_bytes().ct_eq(expected.as_bytes()).into()
}

/// `pwd` of an administrative password: `plain` encrypted for one device, in lower-case hex
/// (`docs/protocol/sysclient.md` 3.4). Passwords in configurations are encrypted likewise (3.6).
pub fn seal_admin_password(seed: &str, device_password: &Secret, plain: &Secret) -> String {
    // The key holds at least its colon, so there always is a cipher text.
    rc4(&admin_key(seed, device_password), plain.expose().as_bytes()).map(hex::encode).unwrap_or_default()
}

/// Decrypts an administrative password from `seed` and `pwd`; `None` if `pwd` is not hex or the result is not UTF-8,
/// as with a wrong device password.
pub fn open_admin_password(seed: &str, device_password: &Secret, pwd: &str) -> Option<Secret> {
    let plain = rc4(&admin_key(seed, device_password), &hex::decode(pwd).ok()?)?;
    String::from_utf8(plain).ok().map(Secret::new)
}

fn admin_key(seed: &str, device_password: &Secret) -> Vec<u8> {
    [seed, ":", device_password.expose()].concat().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_written_in_lower_case_and_read_in_either() {
        assert_eq!(hex::encode([0, 0x7f, 0xff]), "007fff");
        assert_eq!(hex::decode("007Fff"), Ok(vec![0, 0x7f, 0xff]));
        assert_eq!(hex::decode(""), Ok(vec![]));
        for text in ["0", "0g", "ü", "+1", " 1"] {
            assert!(hex::decode(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn digests_are_compared_without_case_but_whole() {
        assert!(digest_matches("AbCd", "abcd"));
        assert!(!digest_matches("abc", "abcd"));
        assert!(!digest_matches("", "abcd"));
    }

    #[test]
    fn an_invalid_administrative_password_is_not_decrypted() {
        let password = Secret::new("Q7mZt2LwXc9Vb4NfKs8RpDy1HjGa6EuT");
        assert_eq!(open_admin_password("k3Vx0Rz9Tq1Lm5Wb", &password, "1bbec6cac89e7"), None);
        let other = Secret::new("ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ");
        let sealed = seal_admin_password("k3Vx0Rz9Tq1Lm5Wb", &password, &Secret::new("x".repeat(64)));
        assert_eq!(open_admin_password("k3Vx0Rz9Tq1Lm5Wb", &other, &sealed), None);
    }

    #[test]
    fn rc4_reads_at_most_256_bytes_of_its_key() {
        assert_eq!(rc4(b"", b"x"), None);
        assert_eq!(rc4(&[7; 256], b"x"), rc4(&[7; 300], b"x"));
    }
}
