//! The form that all messages share (`docs/protocol/appwebsocket.md` section 2): reading a request, writing its answer
//! or error.
//!
//! The meaning of each request is in [`super::call`], the content of each answer in [`super::answers`].

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::core::protocol::close::Close;
use crate::core::protocol::json::{self, JsonError};

/// The interface name of the Devices messages (`docs/protocol/devices-api.md`); absent means the same.
pub const DEVICES_API: &str = "com.innovaphone.devices";

/// Why a text is not a message. Every such text closes the connection with 1007 (`docs/protocol/appwebsocket.md`
/// section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not one well-formed JSON object.
    #[error("not a JSON object: {0}")]
    Json(#[from] JsonError),
    /// No member `mt`, or it is not a string.
    #[error("no message type")]
    NoType,
}

impl MessageError {
    /// The reason to close the connection with.
    pub const fn close(self) -> Close {
        match self {
            Self::Json(_) | Self::NoType => Close::Malformed,
        }
    }
}

/// The member `error` of an answer (`docs/protocol/devices-api.md` 1.2). `Display` gives exactly the text of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ApiError {
    /// There is no such message.
    #[error("unknown message")]
    UnknownMessage,
    /// A member is missing, of the wrong type or out of range.
    #[error("bad request")]
    BadRequest,
    /// No such domain, category, device, code or port, or no right to it.
    #[error("not found")]
    NotFound,
    /// The app of this connection may not use this message.
    #[error("not allowed")]
    NotAllowed,
    /// The category exists but is not marked for provisioning.
    #[error("not a provisioning category")]
    NotAProvisioningCategory,
    /// The config directory has issued no code.
    #[error("directory unavailable")]
    DirectoryUnavailable,
    /// The device is not connected.
    #[error("offline")]
    Offline,
    /// The device did not answer.
    #[error("timeout")]
    Timeout,
    /// The body is longer than an answer may carry (`docs/protocol/devices-api.md` 3.5).
    #[error("too large")]
    TooLarge,
    /// A limit of `docs/protocol/devices-api.md` section 6 is reached.
    #[error("too many requests")]
    TooManyRequests,
    /// An internal fault of the service.
    #[error("internal error")]
    Internal,
}

impl ApiError {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::UnknownMessage,
        Self::BadRequest,
        Self::NotFound,
        Self::NotAllowed,
        Self::NotAProvisioningCategory,
        Self::DirectoryUnavailable,
        Self::Offline,
        Self::Timeout,
        Self::TooLarge,
        Self::TooManyRequests,
        Self::Internal,
    ];
}

/// The member `error` of an answer as a client reads it. `Display` gives exactly the text of the wire.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// One of the errors of the interface.
    #[error("{0}")]
    Api(ApiError),
    /// A text that this version does not know.
    #[error("{0}")]
    Other(Box<str>),
}

impl Refusal {
    /// Reads the text of the wire.
    pub fn read(text: &str) -> Self {
        let known = ApiError::ALL.into_iter().find(|error| error.to_string() == text);
        known.map_or_else(|| Self::Other(text.into()), Self::Api)
    }
}

/// Requests whose result is a list that comes in parts, with the name of its array
/// (`docs/protocol/devices-api.md` 1.1).
const LISTS: [(&str, &str); 9] = [
    ("GetProvisioningCategories", "categories"),
    ("GetGateways", "gateways"),
    ("GetAppPlatforms", "appPlatforms"),
    ("GetPhones", "phones"),
    ("GetDects", "dects"),
    ("GetDomains", "domains"),
    ("GetDevices", "devices"),
    ("GetFilteredDevices", "devices"),
    ("GetDeviceConfigs", "configs"),
];

/// A message from a client.
///
/// The body may contain a digest, a session key or a code, so `Debug` leaves it out.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Message type.
    pub mt: Box<str>,
    /// The interface; absent: the messages of the service itself.
    pub api: Option<Box<str>>,
    /// The client's identifier of the request, returned with every answer.
    pub src: Option<Box<str>>,
    /// The whole message.
    pub body: json::Object<'static>,
    /// The text of `info` as received, without white space; form B of `docs/protocol/appwebsocket.md` section 4.
    pub(super) received_info: Option<Box<str>>,
}

impl Request {
    /// Reads one message. `api` and `src` of another type than string count as absent.
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        let body = json::Object::parse(text.as_bytes())?;
        let mt: Box<str> = body.str("mt").ok_or(MessageError::NoType)?.into();
        // Only a log-in needs the received spelling; it is kept now because the text is not available later.
        let received_info = match body.span("info") {
            Some(span) if &*mt == "AppLogin" => text.get(span).map(|info| json::without_white_space(info).into()),
            _ => None,
        };
        let (api, src) = (body.str("api").map(Into::into), body.str("src").map(Into::into));
        Ok(Self { mt, api, src, body: body.into_owned(), received_info })
    }

    /// The answer `<mt>Result` with `src` and `api` of the request, followed by `members`: a [`Map`] or a structure
    /// that serializes as an object.
    pub fn answer(&self, members: impl Serialize) -> String {
        write(&format!("{}Result", self.mt), self.src.as_deref(), self.api.as_deref(), members)
    }

    /// The error answer (`docs/protocol/devices-api.md` 1.2): `src` and `api`, and for a list the empty last part.
    pub fn error(&self, error: ApiError) -> String {
        let mut members = Map::new();
        if error != ApiError::UnknownMessage {
            if let Some((_, array)) = LISTS.iter().find(|(mt, _)| *mt == &*self.mt) {
                members.insert((*array).into(), Value::Array(Vec::new()));
                members.insert("last".into(), true.into());
            }
            if let ("GetProvisionedDevice", Some(code)) = (&*self.mt, self.body.str("code")) {
                members.insert("code".into(), code.into());
            }
        }
        members.insert("error".into(), error.to_string().into());
        self.answer(members)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("mt", &self.mt)
            .field("api", &self.api)
            .field("src", &self.src)
            .finish_non_exhaustive()
    }
}

/// A member that may be left out but has to be of its type (`docs/protocol/devices-api.md` 1.2): a roll-out that were
/// taken for a short code would only be noticed when it has expired. `null` says nothing.
pub(super) fn optional<T>(body: &json::Object, name: &str, value: Option<T>) -> Result<Option<T>, ApiError> {
    match (value, body.get(name)) {
        (None, Some(other)) if *other != json::Value::Null => Err(ApiError::BadRequest),
        (value, _) => Ok(value),
    }
}

/// Writes one message: `mt`, `src` and `api` first, then `members` in their order.
pub(super) fn write(mt: &str, src: Option<&str>, api: Option<&str>, members: impl Serialize) -> String {
    #[derive(Serialize)]
    struct Message<'a, T> {
        mt: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        src: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        api: Option<&'a str>,
        #[serde(flatten)]
        members: T,
    }
    let text = serde_json::to_string(&Message { mt, src, api, members });
    // Fails only for members that are not an object with string names; no caller passes such.
    text.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Request {
        Request::parse(text).unwrap()
    }

    #[test]
    fn invalid_messages_close_with_1007() {
        for text in ["", "[]", "{}", r#"{"mt":1}"#, r#"{"mt":null}"#, r#"{"mt":"A","mt":"B"}"#, "\"AppChallenge\""] {
            assert_eq!(Request::parse(text).unwrap_err().close().code(), 1007, "{text}");
        }
    }

    #[test]
    fn answers_echo_src_and_api() {
        let members = serde_json::json!({"b": 1, "a": "\""});
        assert_eq!(
            request(r#"{"api":"x","src":"s\"","mt":"Get"}"#).answer(&members),
            r#"{"mt":"GetResult","src":"s\"","api":"x","a":"\"","b":1}"#
        );
        assert_eq!(request(r#"{"mt":"Get","src":7}"#).answer(Map::new()), r#"{"mt":"GetResult"}"#);
    }

    #[test]
    fn errors_keep_the_echoes_and_the_form_of_lists() {
        assert_eq!(
            request(r#"{"mt":"GetProvisionedDevice","code":"12","src":"p"}"#).error(ApiError::NotFound),
            r#"{"mt":"GetProvisionedDeviceResult","src":"p","code":"12","error":"not found"}"#
        );
        assert_eq!(
            request(r#"{"mt":"GetProvisionedDevice","code":12}"#).error(ApiError::BadRequest),
            r#"{"mt":"GetProvisionedDeviceResult","error":"bad request"}"#
        );
        assert_eq!(
            request(r#"{"mt":"GetProvisioningCategories"}"#).error(ApiError::TooManyRequests),
            r#"{"mt":"GetProvisioningCategoriesResult","categories":[],"error":"too many requests","last":true}"#
        );
        assert_eq!(
            request(r#"{"mt":"Nonsense","src":"1","api":"a"}"#).error(ApiError::UnknownMessage),
            r#"{"mt":"NonsenseResult","src":"1","api":"a","error":"unknown message"}"#
        );
    }

    #[test]
    fn refusals_are_known_by_their_text() {
        for error in ApiError::ALL {
            assert_eq!(Refusal::read(&error.to_string()), Refusal::Api(error));
        }
        assert_eq!(Refusal::read("not found"), Refusal::Api(ApiError::NotFound));
        assert_eq!(Refusal::read("too many requests"), Refusal::Api(ApiError::TooManyRequests));
        let other = Refusal::read("Not found");
        assert_eq!((other.to_string().as_str(), &other), ("Not found", &Refusal::Other("Not found".into())));
    }

    #[test]
    fn debug_shows_no_body() {
        let text = format!("{:?}", request(r#"{"mt":"AppLogin","digest":"d1637","key":"k1637"}"#));
        assert!(text.contains("AppLogin") && !text.contains("1637"), "{text}");
    }
}
