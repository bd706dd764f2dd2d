//! Reads request bodies: one JSON object, with stricter checks than serde.

use std::fs::File;
use std::future::Future;
use std::io::Write as _;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::{FromRequest, HttpRequest, web};
use bytes::BytesMut;
use futures_util::StreamExt as _;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::caller::Caller;
use super::{Answer, Problem};
use crate::admin::AdminError;
use crate::core::protocol::json::Object;

/// Longest body before the caller has shown a token, in bytes.
const LONGEST_OPEN: usize = 4 * 1024;

/// Longest body of a caller with a token, unless a resource has another limit.
const LONGEST: usize = 16 * 1024;

/// Limit of a resource for its bodies, in bytes; set as data of the resource.
#[derive(Debug, Clone, Copy)]
pub(super) struct Longest(pub usize);

/// A request body with one JSON object. It is not read before the caller has shown a valid token.
pub(super) struct Body<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Answer<Self>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let caller = Caller::from_request(request, payload);
        let longest = request.app_data::<Longest>().map_or(LONGEST, |longest| longest.0);
        let body = object(request, payload, longest);
        Box::pin(async move {
            caller.await?;
            body.await.map(Self)
        })
    }
}

/// A short request body with one JSON object, of anybody.
pub(super) struct OpenBody<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for OpenBody<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Answer<Self>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = object(request, payload, LONGEST_OPEN);
        Box::pin(async move { body.await.map(Self) })
    }
}

/// Reads a body when this is awaited, and not before.
fn object<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: &mut Payload,
    longest: usize,
) -> impl Future<Output = Answer<T>> + use<T> {
    let is_json = media_type(request) == "application/json";
    let announced = announced(request);
    let payload = web::Payload::from_request(request, payload).into_inner();
    async move {
        if !is_json {
            return Err(Problem::media_type("application/json"));
        }
        if announced.is_some_and(|length| length > longest as u64) {
            return Err(Problem::too_large(longest));
        }
        let payload = payload.map_err(|error| Problem::bad_request(format!("body: {error}")))?;
        read(&collect(payload, longest).await?)
    }
}

/// The length that a request announces for its body.
fn announced(request: &HttpRequest) -> Option<u64> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The media type of the body without parameters, in lower case; empty if there is none.
pub(super) fn media_type(request: &HttpRequest) -> String {
    let named = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    named.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The whole body, if it is not too long.
pub(super) async fn collect(mut body: web::Payload, longest: usize) -> Answer<BytesMut> {
    let mut whole = BytesMut::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| Problem::bad_request(format!("body: {error}")))?;
        if whole.len() + piece.len() > longest {
            return Err(Problem::too_large(longest));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

/// Stores a body in an unnamed file that is deleted with its handle, if it is not too long.
pub(super) async fn store(mut body: web::Payload, longest: usize) -> Answer<File> {
    let lost = |error: std::io::Error| {
        tracing::warn!(%error, "body not stored");
        AdminError::Unavailable("the file could not be stored temporarily; try again later".into())
    };
    let mut file = tempfile::tempfile().map_err(lost)?;
    let mut length = 0;
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| Problem::bad_request(format!("body: {error}")))?;
        length += piece.len();
        if length > longest {
            return Err(Problem::too_large(longest));
        }
        // A blocking write, but of few kilobytes into the page cache.
        file.write_all(&piece).map_err(lost)?;
    }
    Ok(file)
}

/// Reads an object. The strict reader runs first, because serde would silently use the last of two members with one name.
pub(super) fn read<T: DeserializeOwned>(text: &[u8]) -> Answer<T> {
    Object::parse(text).map_err(|error| Problem::bad_request(format!("body: {error}")))?;
    let wrong = |error: serde_json::Error| Problem::bad_request(format!("body: {error}"));
    let mut value = serde_json::from_slice(text).map_err(wrong)?;
    write_whole(&mut value);
    T::deserialize(value).map_err(wrong)
}

/// Converts floats without fraction to integers: in JSON `4.0` equals `4`, for serde it does not.
fn write_whole(value: &mut Value) {
    /// Every whole number up to here is exact as a float.
    const MOST: f64 = 9_007_199_254_740_991.0;
    match value {
        Value::Number(number) if number.is_f64() => {
            let whole = number.as_f64().filter(|n| n.fract() == 0.0 && (-MOST..=MOST).contains(n));
            // The conversion is exact in this range.
            #[allow(clippy::cast_possible_truncation)]
            if let Some(whole) = whole {
                *number = (whole as i64).into();
            }
        }
        Value::Array(values) => values.iter_mut().for_each(write_whole),
        Value::Object(members) => members.values_mut().for_each(write_whole),
        _ => {}
    }
}

/// An object within a body. Derived deserialization alone would also accept an array of the members.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct Shape<T>(pub T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Shape<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = Map::deserialize(deserializer)?;
        T::deserialize(Value::Object(members)).map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        inner: Shape<Inner>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        number: u64,
    }

    fn number(text: &str) -> Option<u64> {
        read::<Outer>(text.as_bytes()).ok().map(|outer| outer.inner.0.number)
    }

    #[test]
    fn a_number_is_whole_however_it_is_written() {
        let read = |text: &str| number(&format!("{{\"inner\": {{\"number\": {text}}}}}"));
        for (text, value) in [("4", 4), ("4.0", 4), ("4e2", 400), ("0", 0), ("9007199254740991", (1 << 53) - 1)] {
            assert_eq!(read(text), Some(value), "{text}");
        }
        for text in ["4.5", "-1", "-1.0", "1e300", "\"4\"", "null"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn only_objects_are_objects_and_nothing_is_named_twice() {
        assert_eq!(number(r#"{"inner": {"number": 4}}"#), Some(4));
        let wrong = [
            r#"[{"number": 4}]"#,
            r#"{"inner": [4]}"#,
            "[[4]]",
            r#"{"inner": null}"#,
            r#"{"inner": {"number": 4, "number": 5}}"#,
            r#"{"inner": {"number": 4}, "inner": {"number": 4}}"#,
        ];
        for text in wrong {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
