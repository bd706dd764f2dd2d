//! Client of a directory in another process, by HTTPS (`docs/protocol/directory.md` section 3).
//!
//! Makes one attempt per call: the caller decides whether to repeat it with the same idempotency key.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};

use super::address::is_loopback;
use super::{Directory, DirectoryError, IssuedByDirectory, MAX_BODY, SettingsError};
use crate::core::model::ids::{Code, Secret};
use crate::core::model::time::UnixMillis;
use crate::core::protocol::json::Object;

/// Longest wait for the directory, connection included (`docs/protocol/directory.md` 3.1).
pub const MAX_WAIT: Duration = Duration::from_secs(10);

/// When to try again if a busy directory does not name a time.
const DEFAULT_WAIT: Duration = Duration::from_secs(1);

/// Client of a remote directory.
#[derive(Debug)]
pub struct RemoteDirectory {
    client: Client,
    codes: Url,
    authorization: Option<HeaderValue>,
    address: String,
}

impl RemoteDirectory {
    /// The directory at `base` (such as `https://config.example.org/api/v1`); its codes lead to `address`, which the
    /// directory itself checks.
    ///
    /// `http` is accepted for loopback hosts only, since the credential would be readable. `max_wait` is [`MAX_WAIT`]
    /// except in tests.
    pub fn new(
        base: &str,
        credential: Option<&Secret>,
        address: impl Into<String>,
        max_wait: Duration,
    ) -> Result<Self, SettingsError> {
        let codes = Url::parse(&format!("{}/codes", base.trim_end_matches('/')))
            .map_err(|_| SettingsError::Base("not a valid address"))?;
        if codes.query().is_some() || codes.fragment().is_some() {
            return Err(SettingsError::Base("has a query or a fragment"));
        }
        match codes.scheme() {
            "https" => {}
            "http" if codes.host().is_some_and(|host| is_loopback(&host)) => {}
            _ => return Err(SettingsError::Base("is not https")),
        }
        let authorization = credential.map(bearer).transpose()?;
        // reqwest is built without a crypto provider. If one is installed already, it is this one: the program has no
        // other.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        // A redirect would send the credential to another host.
        let client = Client::builder()
            .timeout(max_wait)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| SettingsError::Client(error.to_string()))?;
        Ok(Self { client, codes, authorization, address: address.into() })
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.client.request(method, url);
        match &self.authorization {
            Some(value) => request.header(AUTHORIZATION, value.clone()),
            None => request,
        }
    }
}

#[async_trait]
impl Directory for RemoteDirectory {
    async fn issue(&self, rollout: bool, idempotency_key: &str) -> Result<IssuedByDirectory, DirectoryError> {
        let answer = self
            .request(Method::POST, self.codes.clone())
            .header("Idempotency-Key", idempotency_key)
            .json(&serde_json::json!({ "url": self.address, "rollout": rollout }))
            .send()
            .await
            .map_err(failed)?;
        if answer.status() != StatusCode::CREATED {
            return Err(refusal(answer).await);
        }
        issued(&short_body(answer).await?).ok_or_else(|| DirectoryError::Unavailable("unreadable answer".into()))
    }

    async fn list(&self, _code: Code, _ttl: Duration) -> Result<bool, DirectoryError> {
        Err(DirectoryError::Refused("it lists no codes of others".into()))
    }

    fn lists(&self) -> bool {
        false
    }

    fn address(&self) -> &str {
        &self.address
    }

    async fn give_back(&self, code: Code) -> Result<(), DirectoryError> {
        let mut url = self.codes.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(code.expose());
        }
        let answer = self.request(Method::DELETE, url).send().await.map_err(failed)?;
        if answer.status().is_success() { Ok(()) } else { Err(refusal(answer).await) }
    }
}

fn bearer(credential: &Secret) -> Result<HeaderValue, SettingsError> {
    let text = format!("Bearer {}", credential.expose());
    let mut value = HeaderValue::try_from(text).map_err(|_| SettingsError::Credential)?;
    value.set_sensitive(true);
    Ok(value)
}

fn issued(body: &[u8]) -> Option<IssuedByDirectory> {
    let answer = Object::parse(body).ok()?;
    let code = Code::parse(answer.str("code")?).ok()?;
    Some(IssuedByDirectory { code, valid_until: UnixMillis::from_seconds(answer.u64("validUntil")?) })
}

/// Maps the HTTP status of a refusal to an error.
async fn refusal(answer: Response) -> DirectoryError {
    let status = answer.status();
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => DirectoryError::Unauthorized,
        StatusCode::CONFLICT => DirectoryError::IdempotencyConflict,
        StatusCode::TOO_MANY_REQUESTS => {
            let seconds = answer.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
            DirectoryError::RateLimited { retry_after: seconds.map_or(DEFAULT_WAIT, Duration::from_secs) }
        }
        status if status.is_client_error() => {
            let body = short_body(answer).await.unwrap_or_default();
            let message = Object::parse(&body).ok().and_then(|body| body.str("message").map(str::to_owned));
            DirectoryError::Refused(message.unwrap_or_else(|| status.to_string()))
        }
        status => DirectoryError::Unavailable(format!("answered {status}")),
    }
}

/// The body, up to [`MAX_BODY`]: a foreign server must not fill our memory.
async fn short_body(mut answer: Response) -> Result<Vec<u8>, DirectoryError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(DirectoryError::Unavailable("answer too long".into()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn failed(error: reqwest::Error) -> DirectoryError {
    if error.is_builder() {
        return DirectoryError::Refused("the idempotency key cannot stand in a header".into());
    }
    let what = if error.is_timeout() { "no answer in time" } else { "no connection" };
    // The URL of a returned code contains the code.
    tracing::debug!(error = %error.without_url(), "directory: {what}");
    DirectoryError::Unavailable(what.into())
}
