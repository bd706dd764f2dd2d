//! `/api/v1/…/bundles`: files between a centre and sites without a connection (`docs/offline.md`).
//!
//! A bundle is streamed both ways: an export is sealed while it is sent, an import is stored in an unnamed temporary
//! file, which holds only sealed bytes, and read from there.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};

use super::body::{self, Body, Shape, media_type};
use super::caller::Caller;
use super::problem::method_not_allowed;
use super::{Answer, Problem};
use crate::admin::{Admin, AdminError, BundleKey, CodeChoice, ImportOutcome, ImportReport, SiteBundle};
use crate::core::model::bundle::SiteName;
use crate::core::model::ids::{RolloutId, Secret};
use crate::core::policy::bundle::CODES_MAX;
use crate::core::protocol::bundle::{FileKey, Kind, Lock};

/// Largest bundle, in bytes.
pub const MAX_BUNDLE: usize = 512 * 1024 * 1024;

/// The header field with the key of a bundle.
pub const KEY_FIELD: &str = "bundle-key";

/// Media type of a bundle.
const MEDIA: &str = "application/octet-stream";

/// How the key of a bundle is made. It stands in the manifest, readable for everybody who has the file.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LockBody {
    /// `passphrase`: Argon2id; `keyFile`: HKDF-SHA256.
    by: LockKind,
    /// Salt: 16 random bytes in hex.
    #[schema(pattern = "^[0-9a-f]{32}$(?!\\n)")]
    salt: String,
    /// With a passphrase: memory in KiB.
    #[schema(minimum = 8, maximum = 262_144)]
    memory: Option<u32>,
    /// With a passphrase: passes over the memory.
    #[schema(minimum = 1, maximum = 10)]
    passes: Option<u32>,
}

/// What the key is made from.
#[derive(Deserialize, Serialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
enum LockKind {
    /// A passphrase.
    Passphrase,
    /// A key file.
    KeyFile,
}

/// A bundle that is to be made.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "site": "berlin",
    "key": "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
    "lock": {"by": "keyFile", "salt": "00112233445566778899aabbccddeeff"},
}))]
struct NewBundle {
    /// The results of this site for its centre, and nothing else.
    #[serde(default)]
    results: bool,
    /// Name of the site, as the centre calls it.
    #[schema(pattern = r"^[a-z0-9][a-z0-9._-]{0,47}$(?!\n)", example = "berlin")]
    site: Option<String>,
    /// Lend the open codes of the roll-out with this number.
    rollout: Option<u64>,
    /// Lend the open codes of this category, by name or number; with `newCodes` the category of the new ones.
    #[schema(min_length = 1, max_length = 255)]
    category: Option<String>,
    /// Issue and lend so many new codes of long validity.
    #[schema(minimum = 1, maximum = 50_000)]
    new_codes: Option<u64>,
    /// Where the devices of the site find the files of updates, with `/` at its end.
    #[schema(max_length = 1024)]
    builds_url: Option<String>,
    /// Key of the bundle: 32 bytes in hex.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$(?!\\n)")]
    key: Secret,
    /// How the key is made.
    #[schema(value_type = LockBody, inline = false)]
    lock: Shape<LockBody>,
}

/// What became of an imported bundle.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct BundleReport {
    /// `site` or `results`.
    #[schema(example = "site")]
    kind: &'static str,
    /// The domain.
    domain: String,
    /// The site.
    site: String,
    /// Number of the bundle.
    serial: u64,
    /// `imported`: it was applied; `known`: it was before; `older`: a later one was.
    #[schema(example = "imported")]
    outcome: &'static str,
    /// New codes at a site, or lent codes of which the centre now knows the device.
    codes: u64,
    /// Devices that were written.
    devices: u64,
    /// What was left out, and why.
    left_out: Vec<String>,
}

impl From<ImportReport> for BundleReport {
    fn from(report: ImportReport) -> Self {
        Self {
            kind: match report.manifest.kind {
                Kind::Site => "site",
                Kind::Results => "results",
            },
            domain: report.manifest.domain.to_string(),
            site: report.manifest.site.to_string(),
            serial: report.manifest.serial,
            outcome: match report.outcome {
                ImportOutcome::Imported => "imported",
                ImportOutcome::Known => "known",
                ImportOutcome::Older => "older",
            },
            codes: report.codes,
            devices: report.devices,
            left_out: report.left_out,
        }
    }
}

fn key_of(key: &Secret, lock: LockBody) -> Answer<BundleKey> {
    let salt = lock.salt.into();
    let lock = match (lock.by, lock.memory, lock.passes) {
        (LockKind::Passphrase, Some(memory), Some(passes)) => Lock::Passphrase { salt, memory, passes },
        (LockKind::KeyFile, None, None) => Lock::KeyFile { salt },
        _ => return Err(AdminError::invalid("lock", "memory and passes belong to a passphrase").into()),
    };
    lock.check().map_err(|error| AdminError::invalid("lock", error.to_string()))?;
    let key = FileKey::parse(key).ok_or_else(|| AdminError::invalid("key", "must be 64 hex digits"))?;
    Ok(BundleKey { lock, key })
}

impl NewBundle {
    fn codes(&self) -> Answer<CodeChoice> {
        Ok(match (self.rollout, &self.category, self.new_codes) {
            (None, None, None) => CodeChoice::None,
            (Some(id), None, None) => CodeChoice::Rollout(RolloutId(id)),
            (None, Some(category), None) => CodeChoice::Category(category.clone()),
            (None, Some(category), Some(count)) if (1..=CODES_MAX).contains(&count) => {
                CodeChoice::New(count, category.clone())
            }
            (None, Some(_), Some(_)) => return Err(AdminError::invalid("newCodes", format!("1 to {CODES_MAX}")).into()),
            _ => {
                let why = "choose one of: rollout; category; newCodes with category";
                return Err(AdminError::invalid("rollout", why).into());
            }
        })
    }
}

/// Make a bundle
///
/// For a site: its codes are lent to it from then on. With `results`: what has come of the bundles of a centre. Only with the
/// instance password.
#[utoipa::path(post, path = "/api/v1/domains/{domain}/bundles", tag = "bundles", request_body = NewBundle,
    params(("domain" = String, Path, description = "name or number of the domain")),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn make_bundle(
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    path: web::Path<String>,
    Body(body): Body<NewBundle>,
) -> Answer<HttpResponse> {
    let codes = body.codes()?;
    let key = key_of(&body.key, body.lock.0)?;
    let run = if body.results {
        if body.site.is_some() || codes != CodeChoice::None || body.builds_url.is_some() {
            return Err(AdminError::invalid("results", "results have no site, codes or buildsUrl").into());
        }
        admin.export_results(&authority, &path, &key).await?
    } else {
        let site = body.site.as_deref().and_then(|site| SiteName::parse(site).ok());
        let why = "1 to 48 small letters, digits, dots, dashes and underscores";
        let site = site.ok_or_else(|| AdminError::invalid("site", why))?;
        let builds_url = body.builds_url.map(Into::into);
        admin.export_to_site(&authority, &path, &SiteBundle { site, codes, builds_url, key }).await?
    };
    let mut pieces = Box::pin(stream::try_unfold(run, |mut run| async move {
        let piece = run.next().await.map_err(Problem::from)?;
        Ok::<_, Problem>(piece.map(|piece| (Bytes::from(piece), run)))
    }));
    // The first piece before the status, so that an error up to then becomes an error status.
    let first = pieces.next().await.transpose()?.unwrap_or_default();
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, MEDIA))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_DISPOSITION, "attachment; filename=\"provbroker.bundle\""))
        .streaming(stream::iter([Ok(first)]).chain(pieces)))
}

/// Import a bundle
///
/// Of a centre at a site, or the results of a site at its centre: the bundle itself says which. It is checked as a whole before
/// anything changes. Only with the instance password.
#[utoipa::path(post, path = "/api/v1/bundles", tag = "bundles",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    params(("bundle-key" = String, Header, description = "key of the bundle: 32 bytes in hex")),
    responses((status = 200, body = BundleReport),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn import_bundle(
    request: HttpRequest,
    Caller(authority): Caller,
    admin: web::Data<Admin>,
    sent: web::Payload,
) -> Answer<HttpResponse> {
    authority.instance_only()?;
    if media_type(&request) != MEDIA {
        return Err(Problem::media_type(MEDIA));
    }
    let key = request.headers().get(KEY_FIELD).and_then(|value| value.to_str().ok()).map(Secret::new);
    let key = key.and_then(|key| FileKey::parse(&key));
    let key = key.ok_or_else(|| AdminError::invalid(KEY_FIELD, "this header field must be 64 hex digits"))?;
    let file = body::store(sent, MAX_BUNDLE).await?;
    let report = admin.import_bundle(&authority, file, key).await?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(BundleReport::from(report)))
}

#[derive(OpenApi)]
#[openapi(paths(make_bundle, import_bundle), components(schemas(LockBody)))]
pub(super) struct Doc;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/domains/{domain}/bundles")
                .route(web::post().to(make_bundle))
                .default_service(web::to(method_not_allowed("POST"))),
        )
        .service(
            web::resource("/bundles")
                .route(web::post().to(import_bundle))
                .default_service(web::to(method_not_allowed("POST"))),
        );
}
