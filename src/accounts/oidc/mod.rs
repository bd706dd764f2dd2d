//! Signing in at an OpenID provider: authorisation code with PKCE (OpenID Connect Core 1.0, section 3.1; RFC 7636).
//!
//! The provider is asked for its metadata when somebody wants to sign in, not before, so it may be away while this service starts.
//! What belongs to one sign-in goes along with the browser, so any node can finish it. Not here: cookies and pages, and what
//! claims mean (`core::claims`).

mod discovery;
mod http;
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
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;
use url::form_urlencoded::{Serializer, byte_serialize};

use crate::clock;
use crate::core::model::accounts::Identity;
use crate::core::model::ids::{DomainName, Secret};
use crate::core::policy::oidc_claims::{ClaimFault, Claims, Mapping};
use crate::random;
use crate::store::seal::Sealer;
use crate::store::{Store, StoreError};

use crate::accounts::oidc::sign_in_state::SignInState;
use discovery::Known;
use http::Http;
pub use http::roots;
pub use sign_in_state::TICKET_LIFETIME;
use token::Expected;
pub use token::TokenFault;

/// What a provider has published is asked for anew after this time.
const FRESH: Duration = Duration::from_secs(3600);

/// Sign-ins that are finished at once.
const AT_ONCE: usize = 16;

/// Whoever would wait longer for their turn is sent away.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the configuration says of a provider.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// Its address, letter by letter as it calls itself.
    pub issuer: String,
    /// Who we are there.
    pub client_id: String,
    /// What proves it; empty: nothing but PKCE does.
    pub client_secret: Secret,
    /// Where it sends browsers back to.
    pub redirect: String,
    /// What is asked for; `openid` among it.
    pub scopes: Vec<String>,
    /// What its claims mean.
    pub mapping: Mapping,
    /// File with certificates that are trusted besides the public ones.
    pub authority: Option<PathBuf>,
    /// Longest wait for an answer.
    pub timeout: Duration,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file with certificates.
    #[error("pages.oidc.authority: {0} cannot be used ({1}); name a PEM file with certificates")]
    Authority(PathBuf, String),
    /// No client could be made.
    #[error("pages.oidc: no TLS client: {0}")]
    Client(String),
}

/// Why nobody is let in.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// The provider does not answer, or not as one.
    #[error("provider: {0}")]
    Down(String),
    /// The provider has let nobody in, or the person did not want to.
    #[error("the provider says {0}")]
    Denied(String),
    /// This browser has begun no such sign-in, or too long ago, or it is finished already.
    #[error("no such sign-in, or it is over")]
    Over,
    /// The provider does not take what we say; only an operator can help.
    #[error("the provider says {0}; is the client registered there as it is configured here?")]
    Refused(String),
    /// The answer is not of this provider, or not for us.
    #[error("another issuer has answered")]
    AnotherIssuer,
    /// The token counts for nothing.
    #[error("ID token: {0}")]
    Token(#[from] TokenFault),
    /// The claims are nobody here.
    #[error("claims: {0}")]
    Claims(#[from] ClaimFault),
    /// The domain is not one of this service.
    #[error("there is no domain {0}")]
    NoDomain(DomainName),
    /// Too many at this moment.
    #[error("too many sign in at this moment")]
    Busy,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A sign-in that begins.
#[derive(Debug)]
pub struct Departure {
    /// Where the browser goes.
    pub address: String,
    /// What it takes along, for [`TICKET_LIFETIME`].
    pub ticket: String,
}

/// What the provider has sent back through the browser.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Return {
    /// Belongs to the ticket.
    #[serde(default)]
    pub state: String,
    /// What the token is given for.
    pub code: Option<String>,
    /// Why there is none.
    pub error: Option<String>,
    /// Who says so (RFC 9207).
    pub iss: Option<String>,
}

/// A sign-in that has come to its good end.
#[derive(Debug)]
pub struct Arrival {
    /// Who has come.
    pub identity: Identity,
    /// Where they wanted to go.
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
    known: Mutex<Option<Arc<Known>>>,
    turns: Semaphore,
}

impl Provider {
    /// It is not asked for anything yet.
    pub fn new(settings: ProviderSettings, store: Arc<dyn Store>, sealer: Sealer) -> Result<Self, SettingsError> {
        let http = Http::new(settings.authority.as_deref(), settings.timeout, settings.issuer.starts_with("http:"))?;
        Ok(Self { settings, http, sealer, store, known: Mutex::default(), turns: Semaphore::new(AT_ONCE) })
    }

    /// Sends a browser to the provider; afterwards it wants to go to `to`.
    pub async fn depart(&self, to: &str) -> Result<Departure, OidcError> {
        let known = self.known(None).await?;
        let ticket = SignInState::new(to, self.store.now().await?);
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(ticket.verifier.expose().as_bytes()));
        let mut address = known.metadata.authorization_endpoint.clone();
        address
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", &self.settings.redirect)
            .append_pair("scope", &self.settings.scopes.join(" "))
            .append_pair("state", &ticket.state)
            .append_pair("nonce", &ticket.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(Departure { address: address.into(), ticket: ticket.seal(&self.sealer) })
    }

    /// Takes a browser that comes back with its ticket.
    pub async fn arrive(&self, ticket: Option<&str>, back: &Return) -> Result<Arrival, OidcError> {
        let now = self.store.now().await?;
        let opened = ticket.and_then(|ticket| SignInState::open(&self.sealer, ticket, &back.state, now));
        let ticket = opened.ok_or(OidcError::Over)?;
        if back.iss.as_ref().is_some_and(|issuer| *issuer != self.settings.issuer) {
            return Err(OidcError::AnotherIssuer);
        }
        if let Some(error) = &back.error {
            return Err(refusal(error));
        }
        let code = back.code.as_ref().ok_or_else(|| OidcError::Refused("neither code nor error".into()))?;
        let turn = timeout(PATIENCE, self.turns.acquire()).await;
        let _turn = turn.map_err(|_| OidcError::Busy)?.map_err(|_| OidcError::Busy)?;
        // Whoever has copied the cookie comes too late.
        let used = format!("oidc:{}", self.sealer.hash("state of a sign-in", &ticket.state));
        if !self.store.lock(&used, &random::guid(), TICKET_LIFETIME).await? {
            return Err(OidcError::Over);
        }
        let known = self.known(None).await?;
        let tokens = self.exchange(&known, code, &ticket.verifier).await?;
        let mut claims = self.checked(known.clone(), &tokens.id_token, &ticket.nonce).await?;
        if self.settings.mapping.wants_more(&claims) {
            self.ask_more(&known, &tokens, &mut claims).await?;
        }
        let identity = self.settings.mapping.identity(&claims)?;
        if let Some(domain) = &identity.domain
            && self.store.domain(domain).await?.is_none()
        {
            return Err(OidcError::NoDomain(domain.clone()));
        }
        Ok(Arrival { identity, to: ticket.to })
    }

    /// What the provider publishes; asked for anew after some time, or if it is still as in `outdated`.
    async fn known(&self, outdated: Option<&Arc<Known>>) -> Result<Arc<Known>, OidcError> {
        // Whoever asks while somebody else does, waits for that answer.
        let lock = timeout(self.settings.timeout, self.known.lock()).await;
        let mut slot = lock.map_err(|_| OidcError::Down("no answer in time".into()))?;
        let now = clock::now();
        if let Some(known) = &*slot
            && now.since(known.asked) < FRESH
            && outdated.is_none_or(|outdated| !Arc::ptr_eq(outdated, known))
        {
            return Ok(Arc::clone(known));
        }
        let known = Arc::new(discovery::ask(&self.http, &self.settings.issuer, now).await?);
        *slot = Some(Arc::clone(&known));
        Ok(known)
    }

    async fn exchange(&self, known: &Known, code: &str, verifier: &Secret) -> Result<Tokens, OidcError> {
        let settings = &self.settings;
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &settings.redirect)
            .append_pair("code_verifier", verifier.expose());
        let secret = settings.client_secret.expose();
        let header = (!secret.is_empty() && known.metadata.takes_header()).then(|| {
            // Escaped first (RFC 6749, section 2.3.1).
            let escaped = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            format!("Basic {}", STANDARD.encode(format!("{}:{}", escaped(&settings.client_id), escaped(secret))))
        });
        if header.is_none() {
            form.append_pair("client_id", &settings.client_id);
            if !secret.is_empty() {
                form.append_pair("client_secret", secret);
            }
        }
        let answer = self.http.post(&known.metadata.token_endpoint, form.finish(), header.as_deref()).await?;
        match answer.error_code().filter(|_| answer.status.is_client_error()) {
            // It was used already, or was never given.
            Some(code) if code == "invalid_grant" => Err(OidcError::Over),
            Some(code) => Err(OidcError::Refused(code)),
            None => answer.json("token"),
        }
    }

    async fn checked(&self, known: Arc<Known>, token: &str, nonce: &str) -> Result<Claims, OidcError> {
        let ProviderSettings { issuer, client_id, .. } = &self.settings;
        let expected = Expected { issuer, client_id, nonce };
        match token::claims(token, &known.keys, &expected) {
            // The provider may have changed its keys meanwhile.
            Err(TokenFault::UnknownKey) => {
                let known = self.known(Some(&known)).await?;
                Ok(token::claims(token, &known.keys, &expected)?)
            }
            claims => Ok(claims?),
        }
    }

    /// Adds the claims that are not in the token but at the userinfo endpoint (OpenID Connect Core 1.0, section 5.3).
    async fn ask_more(&self, known: &Known, tokens: &Tokens, claims: &mut Claims) -> Result<(), OidcError> {
        let Some((address, token)) = known.metadata.userinfo_endpoint.as_ref().zip(tokens.access_token.as_deref())
        else {
            return Ok(());
        };
        let more: Claims = self.http.get(address, Some(token)).await?.json("userinfo")?;
        // It would be somebody else.
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

/// A code as it may stand in a log.
fn code_text(code: &str) -> String {
    code.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(64).collect()
}
