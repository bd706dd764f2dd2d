//! Validates ID tokens: signature, issuer, audience, time and nonce (OpenID Connect Core 1.0, section 3.1.3.7).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use serde_json::Value;
use subtle::ConstantTimeEq as _;

use super::signatures;
use crate::core::policy::oidc_claims::Claims;

/// Accepted difference of clocks, in seconds.
const LEEWAY: u64 = 60;

/// Expected values in a token.
pub(super) struct Expected<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub nonce: &'a str,
}

/// Why a token is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// The key that it names is not among the provider's keys.
    #[error("it is signed with a key that the provider does not publish")]
    UnknownKey,
    /// It is malformed, its signature is wrong, or a claim has another value than expected.
    #[error("{0}")]
    Invalid(String),
    /// It is not signed with a public key, so anybody could have made it.
    #[error("it is not signed with a key pair")]
    Unsigned,
    /// It demands extensions of the format. None is known here, so it must be refused (RFC 7515, section 4.1.11).
    #[error("it demands extensions (crit) that are not known")]
    Extensions,
    /// It belongs to another sign-in.
    #[error("its nonce is not the one that was sent")]
    Nonce,
    /// It was issued to another client.
    #[error("it was issued to another client")]
    AnotherClient,
    /// The userinfo belongs to another user.
    #[error("userinfo is of another subject")]
    AnotherSubject,
    /// Its issuer is not a single text.
    #[error("its issuer is not a text")]
    Issuer,
}

impl From<jsonwebtoken::errors::Error> for TokenFault {
    fn from(error: jsonwebtoken::errors::Error) -> Self {
        Self::Invalid(error.to_string())
    }
}

/// The claims of a valid token.
pub(super) fn claims(token: &str, keys: &[Jwk], expected: &Expected<'_>) -> Result<Claims, TokenFault> {
    signatures::install();
    // `none` is not a known algorithm, so a header with it is invalid.
    let header = decode_header(token).map_err(|_| TokenFault::Unsigned)?;
    if matches!(header.alg, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) {
        return Err(TokenFault::Unsigned);
    }
    if demands_extensions(token) {
        return Err(TokenFault::Extensions);
    }
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&[expected.client_id]);
    validation.set_issuer(&[expected.issuer]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.validate_nbf = true;
    validation.leeway = LEEWAY;
    let mut fault = TokenFault::UnknownKey;
    for key in keys.iter().filter(|key| fits(key, &header)) {
        let Ok(key) = DecodingKey::from_jwk(key) else { continue };
        match decode::<Claims>(token, &key, &validation) {
            Ok(token) => return check_claims(token.claims, expected),
            Err(error) => {
                let another_key = matches!(error.kind(), ErrorKind::InvalidSignature);
                fault = error.into();
                if !another_key {
                    break;
                }
            }
        }
    }
    Err(fault)
}

/// Whether the header has a member `crit`, whatever its value: a reader that overlooks one would accept what the
/// provider has restricted.
fn demands_extensions(token: &str) -> bool {
    let header = token.split('.').next().and_then(|header| URL_SAFE_NO_PAD.decode(header).ok());
    let header = header.and_then(|header| serde_json::from_slice::<Value>(&header).ok());
    header.is_none_or(|header| header.get("crit").is_some())
}

fn fits(key: &Jwk, header: &Header) -> bool {
    let common = &key.common;
    let for_signing = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature));
    let algorithm =
        common.key_algorithm.is_none_or(|algorithm| Algorithm::try_from(algorithm).is_ok_and(|of| of == header.alg));
    for_signing && algorithm && (header.kid.is_none() || header.kid == common.key_id)
}

fn check_claims(claims: Claims, expected: &Expected<'_>) -> Result<Claims, TokenFault> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(expected.issuer) {
        return Err(TokenFault::Issuer);
    }
    let several = claims.get("aud").and_then(Value::as_array).is_some_and(|all| all.len() > 1);
    if claims.contains_key("azp") || several {
        let ours = text("azp") == Some(expected.client_id);
        if !ours {
            return Err(TokenFault::AnotherClient);
        }
    }
    let nonce = text("nonce").unwrap_or_default();
    if !bool::from(nonce.as_bytes().ct_eq(expected.nonce.as_bytes())) {
        return Err(TokenFault::Nonce);
    }
    Ok(claims)
}
