//! The fields of a form, only from a page of ours.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use bytes::BytesMut;
use futures_util::StreamExt as _;
use subtle::ConstantTimeEq as _;

use super::{Answer, Page, PageError};

/// Longest form, in bytes.
const LONGEST: usize = 256 * 1024;

/// Fields of one form, at most.
const MOST: usize = 500;

/// The fields of a form whose token was right.
#[derive(Debug, Clone)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// The first field of this name, without the blanks around it; empty if there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.trim())
    }

    /// The same, byte for byte: for passwords.
    pub fn exact(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Whether a box is ticked.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// All of them, in order, without the token.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter(|(key, _)| key != "token").map(|(key, value)| (&**key, &**value))
    }
}

/// Whether `token` is the one that pages of this visitor carry.
pub fn is_genuine(page: &Page, token: &str) -> bool {
    token.as_bytes().ct_eq(page.token().as_bytes()).into()
}

impl FromRequest for Fields {
    type Error = PageError;
    type Future = Pin<Box<dyn Future<Output = Answer<Self>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let page = Page::from_request(request, payload).into_inner();
        let payload = web::Payload::from_request(request, payload).into_inner();
        Box::pin(async move {
            let (page, mut payload) = (page?, payload.map_err(|_| PageError::Unreadable)?);
            let mut body = BytesMut::new();
            while let Some(piece) = payload.next().await {
                let piece = piece.map_err(|_| PageError::Unreadable)?;
                if body.len() + piece.len() > LONGEST {
                    return Err(PageError::TooLarge);
                }
                body.extend_from_slice(&piece);
            }
            let mut fields: Vec<(String, String)> =
                url::form_urlencoded::parse(&body).into_owned().take(MOST + 1).collect();
            if fields.len() > MOST {
                return Err(PageError::TooLarge);
            }
            let token = fields.iter().find(|(key, _)| key == "token").map_or("", |(_, value)| value);
            if !is_genuine(&page, token) {
                return Err(PageError::Form);
            }
            fields.shrink_to_fit();
            Ok(Self(fields))
        })
    }
}
