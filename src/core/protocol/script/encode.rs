//! The encodings of values and lines for a device (`docs/protocol/update-script.md` sections 5 and 6).
//!
//! A value in a script is encoded once and decoded once by the device. The values in the query of an address are
//! encoded before that, and a line in an HTTP path is encoded once more as a whole.

use crate::core::model::ids::Secret;
use crate::core::protocol::percent;

/// Encodes a value for a script line.
pub fn value(text: &str) -> String {
    percent::encode(text)
}

/// Encodes a word that the device does not decode: only what would end the word or the line.
pub fn word(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut buffer = [0; 4];
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() {
            out.push_str(&percent::encode(c.encode_utf8(&mut buffer)));
        } else {
            out.push(c);
        }
    }
    out
}

/// The address for automatic provisioning as the device has to store it (`docs/protocol/update-script.md` 5.1): `base`
/// is the address of Devices without query, the three values are encoded. The result contains the token.
pub fn auto_provisioning_url(base: &str, domain: &str, token: &Secret, category: &str) -> Secret {
    let [domain, token, category] = [domain, token.expose(), category].map(percent::encode);
    Secret::new(format!("{base}?domain={domain}&token={token}&category={category}"))
}

/// The path of the HTTP request that runs a line on a device (`docs/protocol/update-script.md` section 6).
pub fn command_path(line: &str) -> String {
    format!("/!{}", percent::encode(line))
}

/// The line in such a path; `None` if it is no such path or its encoding is broken.
pub fn line_of_path(path: &str) -> Option<String> {
    percent::decode(path.strip_prefix("/!")?).ok()
}
