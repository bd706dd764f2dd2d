//! The backend `webhook`: persons come from a CSV file, phones are posted to a web address.
//!
//! Each order is one `POST` of JSON with an `Idempotency-Key` that is the same for every repetition, and a signature:
//! `Provbroker-Signature: t=<Unix seconds>,v1=<hex of HMAC-SHA-256(secret, t "." body)>`. Any 2xx means that the
//! entry exists. 408, 425, 429, 5xx and no answer mean a retry; anything else, redirections included, a permanent
//! failure.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};
use serde_json::json;
use sha2::Sha256;

use super::{Backend, BackendError, BackendStatus, Entered};
use crate::clock;
use crate::core::model::hex;
use crate::core::model::ids::{DomainName, Secret};
use crate::core::model::root_cause::innermost;
use crate::core::model::users_role::{EntryOrder, Person, PersonId, PhoneApp, Trouble, UserPage, UserQuery};
use crate::users_role::TlsError;
use crate::users_role::backend::user_list::UserList;

/// Upper bound of `Retry-After`.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// The backend `webhook` over a user list and a web address.
pub struct WebhookBackend {
    users: UserList,
    apps: Vec<PhoneApp>,
    http: Client,
    url: Url,
    secret: Secret,
    /// Error of the last attempt.
    fault: Mutex<Option<Box<str>>>,
}

/// Configuration of the backend.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// File of the users.
    pub users: PathBuf,
    /// Address that phones are posted to.
    pub url: Url,
    /// Key of the signature.
    pub secret: Secret,
    /// Limit for one request.
    pub timeout: Duration,
    /// Phone apps that can be chosen.
    pub apps: Vec<PhoneApp>,
    /// The tenants.
    pub tenants: Vec<DomainName>,
}

/// The signature of a body that is sent at `time`, in Unix seconds.
pub fn signature(secret: &Secret, time: u64, body: &[u8]) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else { return String::new() };
    mac.update(time.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    format!("t={time},v1={}", hex::encode(mac.finalize().into_bytes()))
}

impl WebhookBackend {
    /// Creates the backend; sends nothing.
    pub fn new(settings: WebhookSettings) -> Result<Self, TlsError> {
        let tls = rustls::ClientConfig::clone(&*crate::users_role::trust_roots()?);
        let builder = Client::builder()
            .no_proxy()
            .timeout(settings.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("provbroker/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(tls);
        let http = builder.build().map_err(|error| TlsError::from(rustls::Error::General(error.to_string())))?;
        let WebhookSettings { users, url, secret, apps, tenants, .. } = settings;
        Ok(Self { users: UserList::new(users, tenants), apps, http, url, secret, fault: Mutex::default() })
    }

    async fn post(&self, order: &EntryOrder) -> Result<Entered, BackendError> {
        let body = body(order);
        let time = clock::unix_seconds();
        let request = self
            .http
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("Idempotency-Key", order.id.as_str())
            .header("Provbroker-Signature", signature(&self.secret, time, body.as_bytes()))
            .body(body);
        match request.send().await {
            Ok(response) => judge(&response),
            Err(error) => Err(BackendError::later(format!("receiver not reached: {}", innermost(&error)))),
        }
    }
}

fn judge(response: &Response) -> Result<Entered, BackendError> {
    let status = response.status();
    let why = format!("receiver answered {}", status.as_u16());
    match status {
        status if status.is_success() => Ok(Entered::New),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Err(BackendError::Later { why: why.into(), after: retry_after(response) })
        }
        status if status.is_server_error() => {
            Err(BackendError::Later { why: why.into(), after: retry_after(response) })
        }
        status if status.is_redirection() => {
            Err(BackendError::never(Trouble::Refused, format!("{why}; no redirection is followed")))
        }
        _ => Err(BackendError::never(Trouble::Refused, why)),
    }
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

fn body(order: &EntryOrder) -> String {
    let EntryOrder { id, domain, person, sip, name, category, app, phone, made, .. } = order;
    let mut device = json!({ "hwId": phone.key, "product": phone.product, "version": phone.version });
    let optional = [("name", &phone.name), ("port", &phone.port)];
    for (member, text) in optional.into_iter().filter_map(|(member, text)| Some((member, text.as_deref()?))) {
        device[member] = text.into();
    }
    json!({
        "event": "phone.enter",
        "id": id,
        "domain": domain,
        "user": { "guid": person, "sip": sip, "name": name },
        "device": device,
        "category": category,
        "app": app,
        "provisioned": made.seconds(),
    })
    .to_string()
}

#[async_trait]
impl Backend for WebhookBackend {
    async fn users(&self, domain: &DomainName, query: &UserQuery) -> Result<UserPage, BackendError> {
        self.users.users(domain, query).await
    }

    async fn user(&self, domain: &DomainName, person: &PersonId) -> Result<Option<Person>, BackendError> {
        self.users.user(domain, person).await
    }

    async fn user_by_sip(&self, domain: &DomainName, sip: &str) -> Result<Option<Person>, BackendError> {
        self.users.user_by_sip(domain, sip).await
    }

    async fn phone_apps(&self, _: &DomainName) -> Result<Vec<PhoneApp>, BackendError> {
        Ok(self.apps.clone())
    }

    async fn enter(&self, order: &EntryOrder) -> Result<Entered, BackendError> {
        let entered = self.post(order).await;
        let fault = match &entered {
            Err(BackendError::Later { why, .. }) => Some(why.clone()),
            // A permanent failure concerns this order only, not the receiver.
            Ok(_) | Err(BackendError::Never { .. }) => None,
        };
        // A panic cannot leave it half written.
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
        entered
    }

    fn status(&self, domain: &DomainName) -> BackendStatus {
        let (list, users) = self.users.status(domain);
        let why = list.or_else(|| self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone());
        BackendStatus { kind: "webhook", up: why.is_none(), why, users: Some(users) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `printf '1767225600.{"a":1}' | openssl dgst -sha256 -hmac secret`.
    #[test]
    fn the_signature_is_that_of_others() {
        let expected = "t=1767225600,v1=96a067a1c95eb143fc00b9097bcfcbcd5456adda508c443ff219748e764dbed7";
        assert_eq!(signature(&Secret::new("secret"), 1_767_225_600, b"{\"a\":1}"), expected);
    }
}
