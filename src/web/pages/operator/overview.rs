//! Overviews of the instance with its domains, and of one domain.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use askama::Template;

use super::{Answer, Frame, Operator, OperatorContext, Page, base, go};
use crate::admin::{Guessing, WholeInstance};
use crate::attempts::SecretKind;
use crate::core::model::device::Category;
use crate::core::model::ids::{DomainName, Secret};
use crate::core::policy::storm::Storm;
use crate::store::NewDomain;
use crate::web::pages::operator::wording::Done;
use crate::web::pages::progress_stream::and_afterwards;
use crate::web::pages::{Fields, PageError};

/// Delay until a change is visible in the figures of the instance: nodes publish and read them every five seconds.
const FIGURES: Duration = Duration::from_secs(10);

#[derive(Template)]
#[template(path = "operator/domains.html")]
struct DomainsPage {
    page: Page,
    whole: WholeInstance,
    oldest: u64,
    domains: Vec<DomainRow>,
    guessing: Vec<GuessingRow>,
    storm: Option<Returning>,
}

/// Attempts at one kind of secret.
struct GuessingRow {
    kind: &'static str,
    waiting: usize,
    sources: Vec<(String, u32)>,
}

impl GuessingRow {
    fn of(page: &Page, found: Guessing) -> Self {
        let kind = page.t(match found.kind {
            SecretKind::DeviceCode => "operator.guess_device_code",
            SecretKind::DeviceToken => "operator.guess_token",
            SecretKind::InitCode => "operator.guess_init_code",
            SecretKind::AppLogIn => "operator.guess_log_in",
            SecretKind::ExchangeLogIn => "operator.guess_exchange",
            SecretKind::OperatorToken => "operator.guess_rest",
            SecretKind::PagePassword => "operator.guess_page",
            SecretKind::DirectoryCredential => "operator.guess_directory",
        });
        Self { kind, waiting: found.waiting, sources: found.sources }
    }
}

/// A storm in words.
struct Returning {
    missing: u64,
    left: String,
}

impl Returning {
    fn of(page: &Page, storm: Option<Storm>) -> Option<Self> {
        let Storm { missing, left } = storm?;
        let left = left.map_or_else(|| page.t("operator.left_unknown").into(), |left| page.countdown(&left.as_secs()));
        Some(Self { missing, left })
    }
}

struct DomainRow {
    name: String,
    href: String,
    categories: usize,
}

#[derive(Template)]
#[template(path = "operator/overview.html")]
struct OverviewPage {
    page: Page,
    frame: Frame,
    devices: u64,
    online: u64,
    looked_at: u64,
    notices: u64,
    failures: u64,
    failing: Vec<(String, String, Vec<Done>)>,
    misdirected: Vec<(String, u64)>,
    storm: Option<Returning>,
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/operator", web::get().to(start))
        .route("/operator/domains", web::post().to(make))
        .route("/operator/events", web::get().to(events))
        .route("/operator/d/{domain}", web::get().to(show))
        .route("/operator/d/{domain}/events", web::get().to(domain_events));
}

async fn start(operator: Operator) -> Answer<HttpResponse> {
    if let Some(own) = &operator.authority.domain {
        return Ok(go(&base(own)));
    }
    let page = &operator.page;
    let whole = operator.admin.whole_instance(&operator.authority).await?;
    let domains = operator.admin.domains(&operator.authority).await?;
    let row = |domain: &std::sync::Arc<crate::core::model::device::Domain>| DomainRow {
        name: domain.name.to_string(),
        href: base(&domain.name),
        categories: domain.categories.len(),
    };
    let oldest = whole.totals.oldest.unwrap_or_default().as_secs() / 60;
    let domains = domains.iter().map(row).collect();
    let storm = Returning::of(page, whole.storm);
    let guessing = operator.admin.guessing(&operator.authority)?;
    let guessing = guessing.into_iter().map(|found| GuessingRow::of(page, found)).collect();
    page.answer(&DomainsPage { page: page.clone(), whole, oldest, domains, guessing, storm })
}

async fn make(operator: Operator, fields: Fields) -> Answer<HttpResponse> {
    operator.instance_only()?;
    let name = DomainName::parse(fields.get("name"));
    // A name of digits only would be taken for the number of another domain.
    let name = name.ok().filter(|name| name.as_str().chars().any(|c| c.is_ascii_alphabetic()));
    let name = name.ok_or_else(|| PageError::Refused(operator.page.t("operator.bad_domain").into()))?;
    let password = fields.exact("password");
    if password.is_empty() || password.chars().count() > 256 || password.chars().any(char::is_control) {
        return Err(PageError::Refused(operator.page.t("operator.bad_password").into()));
    }
    let category = super::categories::name_of(&operator.page, &fields)?;
    super::categories::check_comma(&operator.page, Category::is_new_name(&category))?;
    let new = NewDomain {
        name: name.clone(),
        password: Secret::new(password),
        admin_password: Secret::default(),
        auto_token: Secret::default(),
        categories: vec![(category, true)],
    };
    operator.admin.create_domain(&operator.authority, &new).await?;
    Ok(go(&format!("{}?done=1", base(&name))))
}

async fn events(operator: Operator) -> Answer<HttpResponse> {
    let changes = operator.admin.changes(operator.authority.domain.clone());
    operator.pages.live.stream(&operator.signed, and_afterwards(Box::pin(changes), FIGURES))
}

async fn domain_events(context: OperatorContext) -> Answer<HttpResponse> {
    let changes = context.admin.changes(Some(context.domain.name.clone()));
    context.pages.live.stream(&context.signed, changes)
}

async fn show(context: OperatorContext) -> Answer<HttpResponse> {
    let page = &context.page;
    let overview = context.admin.overview(&context.authority, context.named()).await?;
    let failing = overview.failing.iter().map(|(listing, failed)| {
        let device = &listing.device;
        let name = device.shown_name().unwrap_or_default();
        let text = if name.is_empty() { device.key.to_string() } else { format!("{name} ({})", device.key) };
        (super::devices::address(&context, &device.key), text, failed.iter().map(|done| Done::of(page, done)).collect())
    });
    page.answer(&OverviewPage {
        page: page.clone(),
        frame: context.frame(),
        devices: overview.devices,
        online: overview.online,
        looked_at: overview.looked_at,
        notices: overview.notices,
        failures: overview.failures,
        failing: failing.collect(),
        misdirected: overview.misdirected.into_iter().map(|found| (found.category.into(), found.devices)).collect(),
        storm: Returning::of(page, overview.storm),
    })
}
