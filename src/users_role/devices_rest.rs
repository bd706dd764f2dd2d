//! Calls the operators' REST interface of Devices for what the app protocol has no message for: timelines of codes
//! and phones, and revoking codes. A Devices without that interface is asked over the app connection, with less
//! detail.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use rustls::ClientConfig;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use url::Url;

use crate::connection::own::{self, OwnToken};
use crate::core::model::ids::{Code, DeviceKey, DomainName, Secret};
use crate::core::model::root_cause::innermost;
use crate::core::model::timeline::TimelineEvent;
use crate::core::policy::blocked_reason::Reason;
use crate::core::protocol::appws::message::{ApiError, Refusal};
use crate::core::session::app::client::AskError;

/// Limit for one call.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest accepted answer in bytes. A timeline has a hundred events at most.
const MAX_ANSWER: usize = 1 << 20;

/// Devices cannot be reached, or has refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DevicesError {
    /// It cannot be reached now.
    #[error("not reached: {0}")]
    Unreachable(Box<str>),
    /// It has answered with an error.
    #[error("refused: {0}")]
    Refused(Box<str>),
    /// Its rate limit was exceeded.
    #[error("too many requests")]
    TooMany,
}

impl From<AskError> for DevicesError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Refused(Refusal::Api(ApiError::TooManyRequests)) | AskError::TooMany => Self::TooMany,
            AskError::Refused(why) => Self::Refused(why.to_string().into()),
            AskError::Offline | AskError::Lost | AskError::Timeout | AskError::Malformed => {
                Self::Unreachable(error.to_string().into())
            }
        }
    }
}

impl From<reqwest::Error> for DevicesError {
    fn from(error: reqwest::Error) -> Self {
        // The address contains a code and must not be logged.
        Self::Unreachable(innermost(&error.without_url()).to_string().into())
    }
}

/// A timeline and its blocked reason. Events of a later version are skipped.
#[derive(Debug, Clone, Default)]
pub(super) struct TimelineReport {
    pub steps: Vec<TimelineEvent>,
    pub blocked: Option<Reason>,
}

/// Outcome of revoking a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Revoked {
    /// The code can no longer be used.
    Gone,
    /// A phone has used it.
    Used,
}

/// Client of the operators' REST interface, with the rights of one domain.
pub(super) struct OperatorApi {
    http: reqwest::Client,
    base: Url,
    domain: DomainName,
    password: Secret,
    token: Mutex<Option<Secret>>,
}

impl OperatorApi {
    /// A client for the Devices whose app WebSocket is at `app`.
    pub fn new(
        app: &str,
        tls: &Arc<ClientConfig>,
        own: Option<&OwnToken>,
        domain: DomainName,
        password: Secret,
    ) -> Result<Self, DevicesError> {
        let invalid = || DevicesError::Unreachable("the address of Devices is invalid".into());
        let base = Url::parse(&app.replacen("ws", "http", 1)).and_then(|url| url.join("/api/v1/"));
        let mut fields = HeaderMap::new();
        if let Some(own) = own {
            let mut token = HeaderValue::from_str(own.expose()).map_err(|_| invalid())?;
            token.set_sensitive(true);
            fields.insert(own::FIELD, token);
        }
        let http = reqwest::Client::builder()
            .default_headers(fields)
            .no_proxy()
            .timeout(CALL_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .tls_backend_preconfigured(ClientConfig::clone(tls))
            .build()?;
        Ok(Self { http, base: base.map_err(|_| invalid())?, domain, password, token: Mutex::default() })
    }

    /// The timeline of a code; `None` if Devices does not know it.
    pub async fn code_timeline(&self, code: Code) -> Result<Option<TimelineReport>, DevicesError> {
        Ok(self.get::<TimelineDoc>(&["codes", code.expose(), "timeline"]).await?.map(TimelineDoc::report))
    }

    /// The phone that has used a code.
    pub async fn phone_of(&self, code: Code) -> Result<Option<DeviceKey>, DevicesError> {
        #[derive(Deserialize)]
        struct CodeDoc {
            device: Option<DeviceKey>,
        }
        Ok(self.get::<CodeDoc>(&["codes", code.expose()]).await?.and_then(|code| code.device))
    }

    /// The timeline of a phone.
    pub async fn phone_timeline(&self, key: &DeviceKey) -> Result<Option<TimelineReport>, DevicesError> {
        Ok(self.get::<TimelineDoc>(&["devices", key.as_str(), "timeline"]).await?.map(TimelineDoc::report))
    }

    /// Revokes a code.
    pub async fn revoke(&self, code: Code) -> Result<Revoked, DevicesError> {
        let (status, _) = self.call(Method::DELETE, &["codes", code.expose()]).await?;
        match status {
            StatusCode::NO_CONTENT | StatusCode::OK | StatusCode::NOT_FOUND => Ok(Revoked::Gone),
            StatusCode::CONFLICT => Ok(Revoked::Used),
            status => Err(refused(status)),
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<Option<T>, DevicesError> {
        let (status, body) = self.call(Method::GET, path).await?;
        match status {
            StatusCode::OK => match serde_json::from_slice(&body) {
                Ok(found) => Ok(Some(found)),
                Err(_) => Err(DevicesError::Refused("an answer that cannot be understood".into())),
            },
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(refused(status)),
        }
    }

    /// One call, repeated once with a new token if the current one has expired.
    async fn call(&self, method: Method, path: &[&str]) -> Result<(StatusCode, Vec<u8>), DevicesError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["domains", self.domain.as_str()]).extend(path);
        }
        let mut fresh = false;
        loop {
            let token = self.token(fresh).await?;
            let request = self.http.request(method.clone(), url.clone()).bearer_auth(token.expose());
            let (status, body) = read(request.send().await?).await?;
            if status != StatusCode::UNAUTHORIZED || fresh {
                return Ok((status, body));
            }
            fresh = true;
        }
    }

    async fn token(&self, fresh: bool) -> Result<Secret, DevicesError> {
        #[derive(Deserialize)]
        struct Token {
            token: Secret,
        }
        let mut known = self.token.lock().await;
        if let Some(token) = known.as_ref().filter(|_| !fresh) {
            return Ok(token.clone());
        }
        *known = None;
        let url = self.base.join("token").map_err(|_| DevicesError::Unreachable("no address for tokens".into()))?;
        let who = serde_json::json!({ "domain": self.domain.as_str(), "password": self.password.expose() });
        let (status, body) = read(self.http.post(url).json(&who).send().await?).await?;
        let token = if status == StatusCode::OK { serde_json::from_slice::<Token>(&body).ok() } else { None };
        match token {
            Some(Token { token }) => Ok(known.insert(token).clone()),
            None => Err(refused(status)),
        }
    }
}

async fn read(mut response: reqwest::Response) -> Result<(StatusCode, Vec<u8>), DevicesError> {
    let status = response.status();
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await? {
        if body.len() + piece.len() > MAX_ANSWER {
            return Err(DevicesError::Refused("an answer that is too long".into()));
        }
        body.extend_from_slice(&piece);
    }
    Ok((status, body))
}

fn refused(status: StatusCode) -> DevicesError {
    if status == StatusCode::TOO_MANY_REQUESTS {
        DevicesError::TooMany
    } else {
        DevicesError::Refused(format!("status {}", status.as_u16()).into())
    }
}

#[derive(Deserialize)]
struct TimelineDoc {
    steps: Vec<serde_json::Value>,
    standstill: Option<BlockedReasonDoc>,
}

#[derive(Deserialize)]
struct BlockedReasonDoc {
    reason: serde_json::Value,
}

impl TimelineDoc {
    fn report(self) -> TimelineReport {
        let steps = self.steps.into_iter().filter_map(|step| serde_json::from_value(step).ok()).collect();
        let blocked = self.standstill.and_then(|blocked| serde_json::from_value(blocked.reason).ok());
        TimelineReport { steps, blocked }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_is_read_without_what_is_not_known() {
        let text = r#"{"steps":[{"at":1,"event":"issued"},{"at":2,"event":"entered","detail":"code"},{"at":3,"event":"beamed"},
            {"at":4,"event":"update-ordered","detail":"136012"}],"standstill":{"reason":"update-not-seen","text":"t"}}"#;
        let report = serde_json::from_str::<TimelineDoc>(text).unwrap().report();
        let expected = [
            TimelineEvent::Issued,
            TimelineEvent::Entered(crate::core::model::device::Way::Code),
            TimelineEvent::UpdateOrdered("136012".into()),
        ];
        assert_eq!((report.steps.as_slice(), report.blocked), (&expected[..], Some(Reason::UpdateNotSeen)));
        let other = r#"{"steps":[],"standstill":{"reason":"of-tomorrow","text":"t"}}"#;
        assert_eq!(serde_json::from_str::<TimelineDoc>(other).unwrap().report().blocked, None);
    }
}
