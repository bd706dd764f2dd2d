//! The encodings on the way to a device (`docs/protocol/update-script.md` sections 5 and 6).
//!
//! A value in a script is encoded once and decoded once by the device. An address with a query has its values encoded before
//! that, and a line that travels in an HTTP path is encoded once more as a whole.

use crate::core::model::ids::Secret;
use crate::core::protocol::percent;

/// A value as it stands in a script line.
pub fn value(text: &str) -> String {
    percent::encode(text)
}

/// A word that is not decoded by the device: only what would end the word or the line is encoded.
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

/// The address for automatic provisioning as the device shall keep it (`docs/protocol/update-script.md` 5.1): `base` is
/// the address of Devices without query, the three values are encoded. The result holds the token.
pub fn auto_provisioning_url(base: &str, domain: &str, token: &Secret, category: &str) -> Secret {
    let [domain, token, category] = [domain, token.expose(), category].map(percent::encode);
    Secret::new(format!("{base}?domain={domain}&token={token}&category={category}"))
}

/// The path of the HTTP request that runs a line on a device (`docs/protocol/update-script.md` section 6).
pub fn command_path(line: &str) -> String {
    format!("/!{}", percent::encode(line))
}

/// The line in such a path; `None` if it is none or its encoding is broken.
pub fn line_of_path(path: &str) -> Option<String> {
    percent::decode(path.strip_prefix("/!")?).ok()
}
