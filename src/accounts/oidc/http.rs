//! HTTP requests to the provider: without redirects, with limits on time and size, over verified TLS.

use std::path::Path;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use reqwest::{Client, RequestBuilder, StatusCode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use url::Url;

use super::{OidcError, SettingsError};
use crate::core::model::root_cause::innermost;

/// Longest answer, in bytes.
const LONGEST_ANSWER: usize = 256 * 1024;

/// A client for one provider.
#[derive(Debug)]
pub(super) struct Http(Client);

/// An answer, whatever its status.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    body: Vec<u8>,
}

impl Http {
    /// A client. For a provider on this machine, proxies of the environment are not used.
    pub fn new(authority: Option<&Path>, timeout: Duration, on_this_machine: bool) -> Result<Self, SettingsError> {
        let roots = roots(authority)?;
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = builder.map_err(|error| SettingsError::Client(error.to_string()))?;
        let tls = tls.with_root_certificates(roots).with_no_client_auth();
        let builder = if on_this_machine { Client::builder().no_proxy() } else { Client::builder() };
        let client = builder
            .timeout(timeout)
            // A redirect would send the secret to another server.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("provbroker/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(tls)
            .build();
        client.map(Self).map_err(|error| SettingsError::Client(error.to_string()))
    }

    /// `GET`, with a token if there is one.
    pub async fn get(&self, url: &Url, bearer: Option<&str>) -> Result<Answer, OidcError> {
        let mut request = self.0.get(url.clone());
        if let Some(token) = bearer {
            request = request.header(AUTHORIZATION, sensitive(&format!("Bearer {token}"))?);
        }
        send(request).await
    }

    /// `POST` of a form.
    pub async fn post(&self, url: &Url, form: String, authorization: Option<&str>) -> Result<Answer, OidcError> {
        let mut request = self.0.post(url.clone()).body(form);
        request = request.header(reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, sensitive(value)?);
        }
        send(request).await
    }
}

/// The public root certificates, and those in the file `authority` if given.
pub fn roots(authority: Option<&Path>) -> Result<RootCertStore, SettingsError> {
    let mut roots: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
    let Some(file) = authority else { return Ok(roots) };
    let unusable = |error: &dyn std::fmt::Display| SettingsError::Authority(file.to_owned(), error.to_string());
    let before = roots.len();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unusable(&error))? {
        let certificate = certificate.map_err(|error| unusable(&error))?;
        roots.add(certificate).map_err(|error| unusable(&error))?;
    }
    if roots.len() == before { Err(unusable(&"it contains no certificate")) } else { Ok(roots) }
}

fn sensitive(text: &str) -> Result<HeaderValue, OidcError> {
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| OidcError::Down("a token with characters that a header cannot have".into()))?;
    value.set_sensitive(true);
    Ok(value)
}

async fn send(request: RequestBuilder) -> Result<Answer, OidcError> {
    let mut response = request.header(ACCEPT, "application/json").send().await.map_err(|error| failed(&error))?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| failed(&error))? {
        if body.len() + piece.len() > LONGEST_ANSWER {
            return Err(OidcError::Down("the answer is too long".into()));
        }
        body.extend_from_slice(&piece);
    }
    Ok(Answer { status, body })
}

fn failed(error: &reqwest::Error) -> OidcError {
    if error.is_timeout() {
        return OidcError::Down("no answer in time".into());
    }
    OidcError::Down(format!("cannot be reached: {}", innermost(error)))
}

impl Answer {
    /// The JSON of a successful answer.
    pub fn json<T: serde::de::DeserializeOwned>(&self, what: &str) -> Result<T, OidcError> {
        if !self.status.is_success() {
            return Err(OidcError::Down(format!("{what}: status {}", self.status.as_u16())));
        }
        // The error text could repeat secrets of the answer.
        serde_json::from_slice(&self.body).map_err(|_| OidcError::Down(format!("{what}: invalid JSON")))
    }

    /// The error code of an answer (RFC 6749, section 5.2).
    pub fn error_code(&self) -> Option<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        Some(super::code_text(body.get("error")?.as_str()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_file_with_certificates() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("authority.pem");
        let message = |file: &Path| roots(Some(file)).err().map(|error| error.to_string());
        let missing = message(&file).unwrap();
        assert!(
            missing.starts_with("pages.oidc.authority: ") && missing.ends_with("name a PEM file with certificates")
        );
        std::fs::write(&file, "nothing").unwrap();
        assert!(message(&file).unwrap().contains("it contains no certificate"));
        let own = rcgen::generate_simple_self_signed(["id.example".to_owned()]).unwrap();
        std::fs::write(&file, own.cert.pem()).unwrap();
        assert_eq!(message(&file), None);
        assert_eq!(roots(Some(&file)).unwrap().len(), roots(None).unwrap().len() + 1);
    }
}
