//! What a provider publishes of itself: its endpoints (OpenID Connect Discovery 1.0) and its keys (RFC 7517).

use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::OidcError;
use super::http::Http;
use crate::core::model::time::Tick;
use crate::core::protocol::loopback::is_loopback;

/// Keys that are kept, at most.
const MOST_KEYS: usize = 64;

/// What is used of the provider's metadata.
#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    pub authorization_endpoint: Url,
    pub token_endpoint: Url,
    jwks_uri: Url,
    pub userinfo_endpoint: Option<Url>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// A provider as it was when it was asked.
#[derive(Debug)]
pub(super) struct Known {
    pub metadata: Metadata,
    pub keys: Vec<Jwk>,
    pub asked: Tick,
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<Value>,
}

impl Metadata {
    /// Whether the secret goes into the header, as it does unless the provider says that it wants none there.
    pub fn takes_header(&self) -> bool {
        self.token_endpoint_auth_methods_supported
            .as_ref()
            .is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"))
    }

    fn check(&self, issuer: &str) -> Result<(), OidcError> {
        if self.issuer != issuer {
            let issuer: String = self.issuer.chars().filter(|c| !c.is_control()).take(200).collect();
            return Err(OidcError::Down(format!("it calls itself {issuer}, which is not pages.oidc.issuer")));
        }
        let all = [Some(&self.authorization_endpoint), Some(&self.token_endpoint), Some(&self.jwks_uri)];
        if all.into_iter().chain([self.userinfo_endpoint.as_ref()]).flatten().all(is_safe) {
            Ok(())
        } else {
            Err(OidcError::Down("an endpoint that is not https".into()))
        }
    }
}

/// What goes to this address stays secret on the way: `https`, or this machine.
pub(super) fn is_safe(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
}

/// Asks a provider for its metadata and its keys.
pub(super) async fn ask(http: &Http, issuer: &str, asked: Tick) -> Result<Known, OidcError> {
    let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let address = Url::parse(&address).map_err(|_| OidcError::Down("pages.oidc.issuer is no address".into()))?;
    let metadata: Metadata = http.get(&address, None).await?.json("metadata")?;
    metadata.check(issuer)?;
    let keys: Keys = http.get(&metadata.jwks_uri, None).await?.json("keys")?;
    // One that is not understood is no reason to do without the others.
    let keys = keys.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).take(MOST_KEYS).collect();
    Ok(Known { metadata, keys, asked })
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
