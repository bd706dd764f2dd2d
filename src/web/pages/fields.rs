//! Reads the fields of a form and checks its token.

use std::future::Future;
use std::pin::Pin;

use actix_multipart::Multipart;
use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpRequest, web};
use bytes::BytesMut;
use futures_util::StreamExt as _;
use subtle::ConstantTimeEq as _;

use super::{Answer, Page, PageError};

/// Longest form in bytes, unless a route has another limit.
const LONGEST: usize = 256 * 1024;

/// Longest form of somebody who is not signed in: name, password and what the page adds.
const LONGEST_OPEN: usize = 8 * 1024;

/// Limit of a route for its forms, in bytes; set as data of the route.
#[derive(Debug, Clone, Copy)]
pub struct Longest(pub usize);

/// Most fields of a form.
const MOST: usize = 500;

/// The fields of a form with a valid token.
#[derive(Debug, Clone)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// The first field of this name, trimmed; empty if there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.trim())
    }

    /// The same, unchanged: for passwords.
    pub fn exact(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Whether a checkbox is set.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// All fields in order, without the token.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter(|(key, _)| key != "token").map(|(key, value)| (&**key, &**value))
    }
}

/// Whether `token` is the form token of this browser.
pub fn is_genuine(page: &Page, token: &str) -> bool {
    token.as_bytes().ct_eq(page.token().as_bytes()).into()
}

impl FromRequest for Fields {
    type Error = PageError;
    type Future = Pin<Box<dyn Future<Output = Answer<Self>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let page = Page::from_request(request, payload).into_inner();
        let longest = match &page {
            Ok(page) if page.who().is_some() => request.app_data::<Longest>().map_or(LONGEST, |longest| longest.0),
            _ => LONGEST_OPEN,
        };
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let in_parts =
            kind.starts_with("multipart/form-data").then(|| Multipart::new(request.headers(), payload.take()));
        let payload = web::Payload::from_request(request, payload).into_inner();
        Box::pin(async move {
            let (page, payload) = (page?, payload.map_err(|_| PageError::Unreadable)?);
            let mut fields = match in_parts {
                Some(parts) => parted(parts, longest).await?,
                None => encoded(payload, longest).await?,
            };
            let token = fields.iter().find(|(key, _)| key == "token").map_or("", |(_, value)| value);
            if !is_genuine(&page, token) {
                return Err(PageError::Form);
            }
            fields.shrink_to_fit();
            Ok(Self(fields))
        })
    }
}

/// Appends a piece to the body, within the limit.
fn add(body: &mut BytesMut, piece: &[u8], left: &mut usize) -> Answer<()> {
    *left = left.checked_sub(piece.len()).ok_or(PageError::TooLarge)?;
    body.extend_from_slice(piece);
    Ok(())
}

/// Reads an URL-encoded form (`application/x-www-form-urlencoded`).
async fn encoded(mut payload: web::Payload, mut left: usize) -> Answer<Vec<(String, String)>> {
    let mut body = BytesMut::new();
    while let Some(piece) = payload.next().await {
        add(&mut body, &piece.map_err(|_| PageError::Unreadable)?, &mut left)?;
    }
    let fields: Vec<_> = url::form_urlencoded::parse(&body).into_owned().take(MOST + 1).collect();
    if fields.len() > MOST { Err(PageError::TooLarge) } else { Ok(fields) }
}

/// Reads a multipart form (RFC 7578). The content of a file becomes the value of its field.
async fn parted(mut parts: Multipart, mut left: usize) -> Answer<Vec<(String, String)>> {
    let mut fields = Vec::new();
    while let Some(part) = parts.next().await {
        let mut part = part.map_err(|_| PageError::Unreadable)?;
        if fields.len() == MOST {
            return Err(PageError::TooLarge);
        }
        let name = part.name().unwrap_or_default().to_owned();
        add(&mut BytesMut::new(), name.as_bytes(), &mut left)?;
        let mut body = BytesMut::new();
        while let Some(piece) = part.next().await {
            add(&mut body, &piece.map_err(|_| PageError::Unreadable)?, &mut left)?;
        }
        fields.push((name, text(&body)));
    }
    Ok(fields)
}

/// Decodes a text: UTF-8, else Windows-1252, which spreadsheets on Windows may write.
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => encoding_rs::WINDOWS_1252.decode(bytes).0.into_owned(),
    }
}
