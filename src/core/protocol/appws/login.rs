//! The log-in of an app: digest, the two forms of `info`, session key (`docs/protocol/appwebsocket.md` sections 3 and
//! 4).
//!
//! Verifies that a password was known. The session decides which password to check, and which rights it gives.

use std::fmt;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::message::Request;
use crate::core::model::hex;
use crate::core::model::ids::Secret;
use crate::core::protocol::json::Value;
use crate::core::protocol::sysclient::auth::rc4;

/// Longest `app`, `domain` and `sip`, each, in bytes: they are kept with every code that the connection asks for.
const NAME_MAX: usize = 256;

/// The texts of `info` that the digest may have been computed over (`docs/protocol/appwebsocket.md` section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InfoForms {
    /// Form A: received order, no white space, fewest escapes.
    pub canonical: Box<str>,
    /// Form B: the received text without the white space outside strings.
    pub received: Box<str>,
}

/// An `AppLogin` (`docs/protocol/appwebsocket.md` 3.2). Strings that are absent or of another type are empty.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Name of the app.
    pub app: Box<str>,
    /// Domain of the user or app object.
    pub domain: Box<str>,
    /// SIP name of the user.
    pub sip: Box<str>,
    /// GUID of the user.
    pub guid: Box<str>,
    /// Display name.
    pub dn: Box<str>,
    /// Facts from the exchange; `{}` is present, `null` is absent.
    pub info: Option<InfoForms>,
    /// The digest, lower-case hex.
    pub digest: Box<str>,
    /// No digest can match.
    unusable: bool,
}

impl Login {
    /// Reads a log-in. This cannot fail, but the result never matches a password if `info` is neither an object nor
    /// `null`, if `app`, `domain` or `sip` is longer than [`NAME_MAX`], or if `app` or `domain` contains a colon. (The
    /// digest joins its parts by colons, so `a:b` and `c` have the digest of `a` and `b:c`; without colons in the two
    /// members that determine the rights there is no ambiguity.)
    pub fn read(request: &Request) -> Self {
        let text = |name: &str| -> Box<str> { request.body.str(name).unwrap_or_default().into() };
        let (app, domain, sip) = (text("app"), text("domain"), text("sip"));
        let long = [&app, &domain, &sip].iter().any(|text| text.len() > NAME_MAX);
        let mut unusable = long || app.contains(':') || domain.contains(':');
        let info = match request.body.get("info") {
            None | Some(Value::Null) => None,
            Some(info @ Value::Object(_)) => Some(InfoForms {
                canonical: info.canonical().into(),
                received: request.received_info.clone().unwrap_or_default(),
            }),
            Some(_) => {
                unusable = true;
                None
            }
        };
        Self { app, domain, sip, guid: text("guid"), dn: text("dn"), info, digest: text("digest"), unusable }
    }

    /// Whether the digest was computed with this password for this challenge. Both forms of `info` are always tried,
    /// and the comparison takes the same time wherever the digests differ. An empty password never matches: it means
    /// "not set".
    pub fn matches(&self, challenge: &str, password: &Secret) -> bool {
        let identity = |info| AppIdentity {
            app: &self.app,
            domain: &self.domain,
            sip: &self.sip,
            guid: &self.guid,
            dn: &self.dn,
            info,
        };
        let forms = self.info.as_ref();
        let fits = |info| {
            let right = login_digest(&identity(info), challenge, password);
            right.as_bytes().ct_eq(self.digest.as_bytes())
        };
        let fits_either = fits(forms.map(|f| &*f.canonical)) | fits(forms.map(|f| &*f.received));
        bool::from(fits_either) && !self.unusable && !password.is_empty()
    }

    /// The name of the app without the `.htm` that some clients add (`docs/protocol/appwebsocket.md` section 6).
    pub fn app_name(&self) -> &str {
        app_name(&self.app)
    }
}

impl fmt::Debug for Login {
    /// Without the digest, from which a password could be guessed offline, and without the names of people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("app", &self.app).field("domain", &self.domain).finish_non_exhaustive()
    }
}

/// `app` without a trailing `.htm`.
pub fn app_name(app: &str) -> &str {
    app.strip_suffix(".htm").unwrap_or(app)
}

/// The names that a client logs in with; those not set are empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AppIdentity<'a> {
    /// Name of the app.
    pub app: &'a str,
    /// Domain.
    pub domain: &'a str,
    /// SIP name.
    pub sip: &'a str,
    /// GUID.
    pub guid: &'a str,
    /// Display name.
    pub dn: &'a str,
    /// The text of `info`: a JSON object without needless white space and escapes; used unchanged in digest and
    /// message.
    pub info: Option<&'a str>,
}

/// The digest of `docs/protocol/appwebsocket.md` 3.3, 64 lower-case hex digits.
pub fn login_digest(identity: &AppIdentity<'_>, challenge: &str, password: &Secret) -> String {
    let AppIdentity { app, domain, sip, guid, dn, info } = *identity;
    let names = [app, domain, sip, guid, dn].into_iter().chain(info);
    sha256_of_joined(names.chain([challenge, password.expose()]))
}

/// The message `AppLogin` of a client.
pub fn write_login(identity: &AppIdentity<'_>, pbx_obj: Option<&str>, challenge: &str, password: &Secret) -> String {
    #[derive(Serialize)]
    struct AppLogin<'a> {
        mt: &'a str,
        app: &'a str,
        domain: &'a str,
        sip: &'a str,
        guid: &'a str,
        dn: &'a str,
        #[serde(rename = "pbxObj", skip_serializing_if = "Option::is_none")]
        pbx_obj: Option<&'a str>,
        digest: &'a str,
    }
    let AppIdentity { app, domain, sip, guid, dn, info } = *identity;
    let digest = login_digest(identity, challenge, password);
    let message = AppLogin { mt: "AppLogin", app, domain, sip, guid, dn, pbx_obj, digest: &digest };
    // Strings in a plain structure can always be serialized.
    let mut text = serde_json::to_string(&message).unwrap_or_default();
    if let Some(info) = info {
        // `info` is inserted as text: a JSON library might change the spelling that the digest was computed over.
        text.truncate(text.len().saturating_sub(1));
        text.push_str(",\"info\":");
        text.push_str(info);
        text.push('}');
    }
    text
}

/// The session key that both sides can derive (`docs/protocol/appwebsocket.md` 3.5), 64 lower-case hex digits.
pub fn session_key(challenge: &str, password: &Secret) -> Secret {
    Secret::new(sha256_of_joined(["innovaphoneAppSessionKey", challenge, password.expose()]))
}

/// `encrypt` of `docs/protocol/appwebsocket.md` 3.5: lower-case hex of the RC4 cipher of `text`.
pub fn encrypt(seed: &str, session_key: &Secret, text: &str) -> String {
    let key = format!("{seed}:{}", session_key.expose());
    // The key has at least the colon, so it is never empty.
    hex::encode(rc4(key.as_bytes(), text.as_bytes()).unwrap_or_default())
}

/// `hash` of `docs/protocol/appwebsocket.md` 3.5: 64 lower-case hex digits.
pub fn hash(seed: &str, session_key: &Secret, text: &str) -> String {
    sha256_of_joined([seed, session_key.expose(), text])
}

fn sha256_of_joined<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hasher = Sha256::new();
    for (n, part) in parts.into_iter().enumerate() {
        if n > 0 {
            hasher.update(b":");
        }
        hasher.update(part.as_bytes());
    }
    hex::encode(hasher.finalize())
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
