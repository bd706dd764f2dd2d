//! A device's own pages for operators: passthrough to the device's web server, on a separate listener.
//!
//! The listener has another origin than the pages of the broker, serves nothing else and uses no cookies. Its pages run
//! in a sandbox with a unique origin. An address contains a [`Pass`] for one device and one session, valid for some
//! minutes. Who gets such an address is decided in `operator::own_pages`. See `docs/security.md`.

mod pass;
mod shape;

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_LANGUAGE, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue,
    REFERRER_POLICY, RETRY_AFTER,
};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use self::pass::Pass;
use super::Lang;
use crate::accounts::SignIn;
use crate::connection::http;
use crate::core::model::accounts::Identity;
use crate::core::model::ids::{DeviceKey, DomainName};
use crate::core::protocol::percent;
use crate::core::protocol::sysclient::tunnel::request::Address;
use crate::store::seal::Sealer;
use crate::store::{SessionHash, Store, StoreError};
use crate::tenant::TenantDirectory;
use crate::web::passthrough::{Refused, relay};

/// Prefix of all paths. It differs from the path of the broker's cookies, because cookies do not distinguish ports.
const BELOW: &str = "/device";

/// `Retry-After` in seconds if a device is not connected.
const RETRY: HeaderValue = HeaderValue::from_static("5");

/// Devices' own pages on one node.
pub struct OwnPages {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Where the devices are connected.
    pub directory: Arc<TenantDirectory>,
    /// Whose sessions have addresses.
    pub sign_in: Arc<SignIn>,
    /// Seals passes, with the same key on all nodes.
    pub sealer: Sealer,
    /// Public origin of the listener: scheme, host and port.
    pub origin: String,
    /// Origin of the broker's pages, which alone may show devices' pages in a frame.
    pub framed_by: String,
    /// Validity of a pass.
    pub open_for: Duration,
}

/// Error page inside the frame.
#[derive(Template)]
#[template(path = "own_pages_error.html")]
struct Trouble {
    lang: Lang,
    text: String,
}

/// Serves devices' pages; all other addresses are not found.
pub fn routes(own: web::Data<OwnPages>) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        config.app_data(own).default_service(web::to(serve));
    }
}

impl OwnPages {
    /// A new address of the first page of a device for this session.
    pub async fn address(
        &self,
        device: &DeviceKey,
        domain: &DomainName,
        session: &SessionHash,
        lang: Lang,
    ) -> Result<String, StoreError> {
        let until = self.store.now().await? + self.open_for;
        let pass = Pass { until, lang, session: session.clone(), domain: domain.clone() };
        Ok(self.base(device, &pass.seal(&self.sealer, device)))
    }

    fn base(&self, device: &DeviceKey, pass: &str) -> String {
        format!("{}{}", self.origin, below(device, pass))
    }

    /// Checks the pass of an address. Sets `lang` for error pages as soon as it is known.
    async fn admit(&self, address: &Address<'_>, lang: &mut Lang) -> Result<(DeviceKey, Pass, Identity), Refused> {
        let device = DeviceKey::parse(&address.device).map_err(|_| Refused::KEY)?;
        let pass = Pass::open(&self.sealer, &device, address.key.expose()).ok_or(Refused::KEY)?;
        *lang = pass.lang;
        let now = self.store.now().await.map_err(|_| Refused::UNAVAILABLE)?;
        if pass.until <= now {
            return Err(Refused::KEY);
        }
        let who = self.sign_in.whose(&pass.session).await.map_err(|_| Refused::UNAVAILABLE)?.ok_or(Refused::KEY)?;
        let found = self.store.find_device(&device).await.map_err(|_| Refused::UNAVAILABLE)?;
        if found.is_none_or(|found| found.domain != pass.domain) {
            return Err(Refused::DEVICE);
        }
        Ok((device, pass, who))
    }

    async fn answer(
        &self,
        request: &HttpRequest,
        address: &Address<'_>,
        payload: web::Payload,
        lang: &mut Lang,
    ) -> Result<HttpResponse, Refused> {
        let (device, pass, who) = self.admit(address, lang).await?;
        http::authenticated();
        let recipient = self.directory.member(&pass.domain, device.clone()).await.ok_or(Refused::OFFLINE)?;
        let below = below(&device, address.key.expose());
        let shape = |head: &mut _| shape::shape(head, &device, &self.origin, &below);
        let sign_in = Arc::clone(&self.sign_in);
        let ended = Box::pin(async move { sign_in.until_ended(&pass.session, &who).await });
        let mut response = relay(request, &address.target(), payload, recipient, ended, shape).await?;
        self.confine(&mut response, &self.base(&device, address.key.expose()));
        Ok(response)
    }

    /// Adds a content security policy: a page may load from its own device only.
    fn confine(&self, response: &mut HttpResponse, base: &str) {
        let policy = format!(
            "sandbox allow-forms allow-scripts; default-src {base} 'unsafe-inline' 'unsafe-eval' data: blob:; form-action {base}; \
             base-uri {base}; frame-ancestors {}",
            self.framed_by
        );
        let fields = response.headers_mut();
        // An address is a valid header value; if not, the fallback forbids everything.
        let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("sandbox; default-src 'none'"));
        fields.insert(CONTENT_SECURITY_POLICY, policy);
        fields.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        // The address is the key, so everybody who knows it may read the page; in its sandbox the page has the origin
        // `null`.
        fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("null"));
        if !fields.contains_key(CACHE_CONTROL) {
            fields.insert(CACHE_CONTROL, HeaderValue::from_static("private"));
        }
    }

    fn error_page(&self, refused: Refused, lang: Lang) -> HttpResponse {
        let minutes = self.open_for.as_secs().div_ceil(60).to_string();
        let template = Trouble { lang, text: lang.filled(text(refused), &[("n", &minutes)]) };
        let status = StatusCode::from_u16(refused.status()).unwrap_or(StatusCode::BAD_GATEWAY);
        let mut response = HttpResponse::build(status);
        response.insert_header((CONTENT_TYPE, "text/html; charset=utf-8"));
        response.insert_header((CACHE_CONTROL, "no-store"));
        response.insert_header((REFERRER_POLICY, "no-referrer"));
        response.insert_header((
            CONTENT_SECURITY_POLICY,
            format!("sandbox; default-src 'none'; frame-ancestors {}", self.framed_by),
        ));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((RETRY_AFTER, RETRY));
        }
        // Rendering one sentence hardly fails; the status would still explain the error.
        response.body(template.render().unwrap_or_default())
    }
}

/// The path of the first page of a device.
fn below(device: &DeviceKey, pass: &str) -> String {
    format!("{BELOW}/{}/{pass}/", percent::encode(device.as_str()))
}

/// Key of the error message.
fn text(refused: Refused) -> &'static str {
    match refused {
        Refused::KEY => "own.over",
        Refused::DEVICE => "own.gone",
        Refused::OFFLINE => "own.offline",
        Refused::TOO_MANY => "own.too_many",
        Refused::UNAVAILABLE => "own.unavailable",
        other => match other.status() {
            502 => "own.bad_answer",
            504 => "own.silent",
            _ => "own.refused",
        },
    }
}

async fn serve(request: HttpRequest, payload: web::Payload, own: web::Data<OwnPages>) -> HttpResponse {
    let raw = request.uri().path_and_query().map_or("", |target| target.as_str());
    let Some(address) = raw.strip_prefix(BELOW).and_then(Address::read) else {
        return HttpResponse::NotFound().finish();
    };
    let accepted = request.headers().get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    let mut lang = Lang::accepted(accepted.unwrap_or_default());
    let answer = own.answer(&request, &address, payload, &mut lang).await;
    answer.unwrap_or_else(|refused| own.error_page(refused, lang))
}
