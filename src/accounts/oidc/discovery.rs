//! Reads the metadata of a provider (OpenID Connect Discovery 1.0) and its keys (RFC 7517).

use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::OidcError;
use super::http::Http;
use crate::core::model::time::Tick;
use crate::core::protocol::loopback::is_loopback;

/// Most keys that are used.
const MOST_KEYS: usize = 64;

/// The part of the provider's metadata that is used.
#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    pub authorization_endpoint: Url,
    pub token_endpoint: Url,
    jwks_uri: Url,
    pub userinfo_endpoint: Option<Url>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// Metadata and keys of a provider, and when they were read.
#[derive(Debug)]
pub(super) struct Discovered {
    pub metadata: Metadata,
    pub keys: Vec<Jwk>,
    pub read_at: Tick,
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<Value>,
}

impl Metadata {
    /// Whether the client secret is sent in a header. That is the default unless the provider's metadata excludes it.
    pub fn takes_header(&self) -> bool {
        self.token_endpoint_auth_methods_supported
            .as_ref()
            .is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"))
    }

    fn check(&self, issuer: &str) -> Result<(), OidcError> {
        if self.issuer != issuer {
            let issuer: String = self.issuer.chars().filter(|c| !c.is_control()).take(200).collect();
            return Err(OidcError::Down(format!("its issuer is {issuer}, which is not pages.oidc.issuer")));
        }
        let all = [Some(&self.authorization_endpoint), Some(&self.token_endpoint), Some(&self.jwks_uri)];
        if all.into_iter().chain([self.userinfo_endpoint.as_ref()]).flatten().all(is_safe) {
            Ok(())
        } else {
            Err(OidcError::Down("an endpoint is not https".into()))
        }
    }
}

/// Whether secrets can be sent to this address: `https`, or this machine.
pub(super) fn is_safe(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
}

/// Reads metadata and keys from a provider.
pub(super) async fn discover(http: &Http, issuer: &str, read_at: Tick) -> Result<Discovered, OidcError> {
    let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let address = Url::parse(&address).map_err(|_| OidcError::Down("pages.oidc.issuer is not an address".into()))?;
    let metadata: Metadata = http.get(&address, None).await?.json("metadata")?;
    metadata.check(issuer)?;
    let keys: Keys = http.get(&metadata.jwks_uri, None).await?.json("keys")?;
    // Keys of unknown kinds are skipped.
    let keys = keys.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).take(MOST_KEYS).collect();
    Ok(Discovered { metadata, keys, read_at })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata(changes: &Value) -> Metadata {
        let mut all = json!({
            "issuer": "https://id.example",
            "authorization_endpoint": "https://id.example/auth",
            "token_endpoint": "https://id.example/token",
            "jwks_uri": "https://id.example/keys",
        });
        for (key, value) in changes.as_object().unwrap() {
            all[key] = value.clone();
        }
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn a_provider_is_who_it_was_asked_for_and_keeps_secrets_on_the_way() {
        let issuer = "https://id.example";
        assert!(metadata(&json!({})).check(issuer).is_ok());
        assert!(metadata(&json!({"token_endpoint": "http://127.0.0.1:1/token"})).check(issuer).is_ok());
        for bad in [
            json!({"issuer": "https://id.example/"}),
            json!({"authorization_endpoint": "http://id.example/auth"}),
            json!({"authorization_endpoint": "javascript:alert(1)"}),
            json!({"token_endpoint": "http://id.example/token"}),
            json!({"jwks_uri": "http://localhost.example/keys"}),
            json!({"userinfo_endpoint": "ftp://id.example/"}),
        ] {
            assert!(metadata(&bad).check(issuer).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_secret_goes_where_the_provider_wants_it() {
        let of = |methods: Value| metadata(&json!({"token_endpoint_auth_methods_supported": methods})).takes_header();
        assert!(metadata(&json!({})).takes_header());
        assert!(of(json!(["client_secret_post", "client_secret_basic"])));
        assert!(!of(json!(["client_secret_post"])));
    }
}
