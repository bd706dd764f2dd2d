//! Sign-in at an OpenID provider: authorization code with PKCE (OpenID Connect Core 1.0, section 3.1; RFC 7636).
//!
//! The metadata of the provider is read at the first sign-in, so the provider need not be reachable when this service
//! starts. The state of a sign-in is kept, sealed, in the browser, so any node can finish it. This module knows nothing
//! of cookies and pages; `core::policy::oidc_claims` maps claims to identities.

mod discovery;
mod http;
mod published;
mod sign_in_state;
mod signatures;
mod token;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use url::form_urlencoded::{Serializer, byte_serialize};

use crate::core::model::accounts::Identity;
use crate::core::model::ids::{DomainName, Secret};
use crate::core::policy::oidc_claims::{ClaimFault, Claims, Mapping};
use crate::random;
use crate::store::seal::Sealer;
use crate::store::{Store, StoreError};

use crate::accounts::oidc::sign_in_state::SignInState;
use discovery::Discovered;
use http::Http;
pub use http::roots;
use published::Published;
pub use sign_in_state::STATE_LIFETIME;
use token::Expected;
pub use token::TokenFault;

/// Sign-ins that are finished at the same time.
const CONCURRENT: usize = 16;

/// Longest wait for a turn; after it the sign-in is refused.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Configuration of a provider.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// Its issuer, exactly as in its metadata.
    pub issuer: String,
    /// Client id of this service.
    pub client_id: String,
    /// Client secret; empty: a public client, protected by PKCE only.
    pub client_secret: Secret,
    /// Redirect address of this service.
    pub redirect: String,
    /// Scopes to request, including `openid`.
    pub scopes: Vec<String>,
    /// How claims are mapped to an identity.
    pub mapping: Mapping,
    /// File with certificates to trust in addition to the public ones.
    pub authority: Option<PathBuf>,
    /// Time limit of a request.
    pub timeout: Duration,
}

/// Unusable settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file with certificates cannot be used.
    #[error("pages.oidc.authority: {0} cannot be used ({1}); name a PEM file with certificates")]
    Authority(PathBuf, String),
    /// The HTTP client cannot be created.
    #[error("pages.oidc: no TLS client: {0}")]
    Client(String),
}

/// Why a sign-in failed.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// The provider does not answer, or its answer is invalid.
    #[error("provider: {0}")]
    Down(String),
    /// The provider or the user has denied the sign-in.
    #[error("the provider has denied the sign-in: {0}")]
    Denied(String),
    /// This browser has not started this sign-in, or it has expired or is finished already.
    #[error("unknown, expired or finished sign-in")]
    Over,
    /// The provider refuses our request; only an operator can correct that.
    #[error("the provider has refused the request: {0}; is the client registered there as it is configured here?")]
    Refused(String),
    /// The answer is from another provider.
    #[error("another issuer has answered")]
    AnotherIssuer,
    /// The ID token is invalid.
    #[error("ID token: {0}")]
    Token(#[from] TokenFault),
    /// The claims give no identity of this service.
    #[error("claims: {0}")]
    Claims(#[from] ClaimFault),
    /// The domain is not one of this service.
    #[error("there is no domain {0}")]
    NoDomain(DomainName),
    /// Too many sign-ins at the same time.
    #[error("too many sign-ins at the moment")]
    Busy,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A sign-in that has started: where to send the browser.
#[derive(Debug)]
pub struct StartedSignIn {
    /// Address at the provider.
    pub address: String,
    /// Sealed state, kept by the browser for [`STATE_LIFETIME`].
    pub state: String,
}

/// Query parameters with which the provider redirects the browser back.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Callback {
    /// State of the sign-in, compared with the sealed one.
    #[serde(default)]
    pub state: String,
    /// Authorization code.
    pub code: Option<String>,
    /// Error code, if there is no authorization code.
    pub error: Option<String>,
    /// Issuer of the answer (RFC 9207).
    pub iss: Option<String>,
}

/// A successful sign-in.
#[derive(Debug)]
pub struct FinishedSignIn {
    /// The identity of the user.
    pub identity: Identity,
    /// Page to show next.
    pub to: String,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: Option<String>,
}

/// An OpenID provider.
pub struct Provider {
    settings: ProviderSettings,
    http: Http,
    sealer: Sealer,
    store: Arc<dyn Store>,
    published: Published,
    turns: Semaphore,
}

impl Provider {
    /// A provider; it is not contacted yet.
    pub fn new(settings: ProviderSettings, store: Arc<dyn Store>, sealer: Sealer) -> Result<Self, SettingsError> {
        let http = Http::new(settings.authority.as_deref(), settings.timeout, settings.issuer.starts_with("http:"))?;
        Ok(Self { settings, http, sealer, store, published: Published::default(), turns: Semaphore::new(CONCURRENT) })
    }

    /// Starts a sign-in; `to` is the page to show afterwards.
    pub async fn start(&self, to: &str) -> Result<StartedSignIn, OidcError> {
        let discovered = self.discovered().await?;
        let state = SignInState::new(to, self.store.now().await?);
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(state.verifier.expose().as_bytes()));
        let mut address = discovered.metadata.authorization_endpoint.clone();
        address
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", &self.settings.redirect)
            .append_pair("scope", &self.settings.scopes.join(" "))
            .append_pair("state", &state.state)
            .append_pair("nonce", &state.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(StartedSignIn { address: address.into(), state: state.seal(&self.sealer) })
    }

    /// Finishes a sign-in when the browser comes back with its sealed state.
    pub async fn finish(&self, state: Option<&str>, callback: &Callback) -> Result<FinishedSignIn, OidcError> {
        let now = self.store.now().await?;
        let opened = state.and_then(|state| SignInState::open(&self.sealer, state, &callback.state, now));
        let state = opened.ok_or(OidcError::Over)?;
        if callback.iss.as_ref().is_some_and(|issuer| *issuer != self.settings.issuer) {
            return Err(OidcError::AnotherIssuer);
        }
        if let Some(error) = &callback.error {
            return Err(refusal(error));
        }
        let code =
            callback.code.as_ref().ok_or_else(|| OidcError::Refused("the answer has neither code nor error".into()))?;
        let turn = timeout(LONGEST_WAIT, self.turns.acquire()).await;
        let _turn = turn.map_err(|_| OidcError::Busy)?.map_err(|_| OidcError::Busy)?;
        // A copy of the cookie cannot be used a second time.
        let used = format!("oidc:{}", self.sealer.hash("state of a sign-in", &state.state));
        if !self.store.lock(&used, &random::guid(), STATE_LIFETIME).await? {
            return Err(OidcError::Over);
        }
        let discovered = self.discovered().await?;
        let tokens = self.exchange(&discovered, code, &state.verifier).await?;
        let mut claims = self.checked(&discovered, &tokens.id_token, &state.nonce).await?;
        if self.settings.mapping.wants_more(&claims) {
            self.add_userinfo(&discovered, &tokens, &mut claims).await?;
        }
        let mut identity = self.settings.mapping.identity(&claims)?;
        if let Some(domain) = &identity.domain {
            let found = self.store.domain(domain).await?.ok_or_else(|| OidcError::NoDomain(domain.clone()))?;
            identity.domain_id = Some(found.id);
        }
        Ok(FinishedSignIn { identity, to: state.to })
    }

    /// Metadata and keys of the provider.
    async fn discovered(&self) -> Result<Arc<Discovered>, OidcError> {
        self.published.get(&self.http, &self.settings.issuer, self.settings.timeout).await
    }

    async fn exchange(&self, discovered: &Discovered, code: &str, verifier: &Secret) -> Result<Tokens, OidcError> {
        let settings = &self.settings;
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &settings.redirect)
            .append_pair("code_verifier", verifier.expose());
        let secret = settings.client_secret.expose();
        let header = (!secret.is_empty() && discovered.metadata.takes_header()).then(|| {
            // Form-encoded before Base64 (RFC 6749, section 2.3.1).
            let escaped = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            format!("Basic {}", STANDARD.encode(format!("{}:{}", escaped(&settings.client_id), escaped(secret))))
        });
        if header.is_none() {
            form.append_pair("client_id", &settings.client_id);
            if !secret.is_empty() {
                form.append_pair("client_secret", secret);
            }
        }
        let answer = self.http.post(&discovered.metadata.token_endpoint, form.finish(), header.as_deref()).await?;
        match answer.error_code().filter(|_| answer.status.is_client_error()) {
            // The code was used already, or is unknown to the provider.
            Some(code) if code == "invalid_grant" => Err(OidcError::Over),
            Some(code) => Err(OidcError::Refused(code)),
            None => answer.json("token"),
        }
    }

    async fn checked(&self, discovered: &Arc<Discovered>, token: &str, nonce: &str) -> Result<Claims, OidcError> {
        let ProviderSettings { issuer, client_id, .. } = &self.settings;
        let expected = Expected { issuer, client_id, nonce };
        match token::claims(token, &discovered.keys, &expected) {
            // The provider may have replaced its keys since they were read.
            Err(TokenFault::UnknownKey) => {
                let limit = self.settings.timeout;
                let discovered = self.published.get_newer(discovered, &self.http, issuer, limit).await?;
                Ok(token::claims(token, &discovered.keys, &expected)?)
            }
            claims => Ok(claims?),
        }
    }

    /// Adds the claims of the userinfo endpoint that are not in the token (OpenID Connect Core 1.0, section 5.3).
    async fn add_userinfo(
        &self,
        discovered: &Discovered,
        tokens: &Tokens,
        claims: &mut Claims,
    ) -> Result<(), OidcError> {
        let Some((address, token)) = discovered.metadata.userinfo_endpoint.as_ref().zip(tokens.access_token.as_deref())
        else {
            return Ok(());
        };
        let more: Claims = self.http.get(address, Some(token)).await?.json("userinfo")?;
        // Otherwise the claims would be of another user.
        if more.get("sub").is_none() || more.get("sub") != claims.get("sub") {
            return Err(TokenFault::AnotherSubject.into());
        }
        for (name, value) in more {
            claims.entry(name).or_insert(value);
        }
        Ok(())
    }
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Provider({})", self.settings.issuer)
    }
}

/// What an error from the provider means (RFC 6749, section 4.1.2.1; OpenID Connect Core 1.0, section 3.1.2.6).
fn refusal(code: &str) -> OidcError {
    let code = code_text(code);
    match code.as_str() {
        "access_denied"
        | "login_required"
        | "interaction_required"
        | "consent_required"
        | "account_selection_required" => OidcError::Denied(code),
        "server_error" | "temporarily_unavailable" => OidcError::Down(code),
        _ => OidcError::Refused(code),
    }
}

/// An error code without characters that are unsafe in a log.
fn code_text(code: &str) -> String {
    code.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(64).collect()
}
