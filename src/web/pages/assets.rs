//! Style, script and icon, embedded in the program. Their addresses contain a hash of the content, so browsers can
//! cache them forever.

use std::sync::LazyLock;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, web};
use sha2::{Digest as _, Sha256};

use super::{Answer, PageError};
use crate::core::model::hex;

/// A file that pages load.
#[derive(Debug)]
pub(super) struct Asset {
    name: &'static str,
    kind: &'static str,
    content: &'static [u8],
    address: LazyLock<String>,
}

impl Asset {
    /// Its address.
    pub fn address(&self) -> &str {
        &self.address
    }
}

macro_rules! asset {
    ($what:ident, $name:literal, $kind:literal) => {
        pub(super) static $what: Asset = Asset {
            name: $name,
            kind: $kind,
            content: include_bytes!(concat!("assets/", $name)),
            address: LazyLock::new(|| address($name, include_bytes!(concat!("assets/", $name)))),
        };
    };
}

asset!(STYLE, "pages.css", "text/css; charset=utf-8");
asset!(SCRIPT, "pages.js", "text/javascript; charset=utf-8");
asset!(ICON, "icon.svg", "image/svg+xml");

fn address(name: &str, content: &[u8]) -> String {
    let hash = hex::encode(Sha256::digest(content));
    format!("/ui/assets/{}/{name}", &hash[..16])
}

/// Whether a path is that of an asset. Assets need no session.
pub(super) fn is_asset(path: &str) -> bool {
    path.starts_with("/ui/assets/")
}

async fn serve(path: web::Path<(String, String)>) -> Answer<HttpResponse> {
    let (hash, name) = path.into_inner();
    let wanted = format!("/ui/assets/{hash}/{name}");
    let asset = [&STYLE, &SCRIPT, &ICON].into_iter().find(|asset| asset.name == name && *asset.address == wanted);
    let asset = asset.ok_or(PageError::NotFound)?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, asset.kind))
        .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .body(asset.content))
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.route("/assets/{hash}/{name}", web::get().to(serve));
}
