//! The pages of operators, based on the same service as the REST interface ([`crate::admin`]).
//!
//! An operator of a domain can use that domain only, whatever the address contains; an operator of the instance can use
//! all. Access between domains applies to apps and the REST interface, not to these pages.

mod accounts;
mod audit;
mod categories;
mod codes;
mod device;
mod devices;
mod entries;
mod jobs;
mod make_job;
mod overview;
mod own_pages;
mod settings;
mod unassigned;
mod wording;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};

use super::page::go;
use super::{Answer, Group, NavEntry, Page, PageError, Pages, SignedIn};
use crate::admin::{Admin, Authority};
use crate::core::model::accounts::{Identity, Role};
use crate::core::model::device::Domain;
use crate::core::model::ids::DomainName;

pub(super) const GROUP: Group = Group { roles: &[Role::Operator], entries, routes };

/// Rows per page of a list.
const ROWS: usize = 100;

fn routes(config: &mut web::ServiceConfig) {
    config
        .configure(overview::routes)
        .configure(unassigned::routes)
        .configure(accounts::routes)
        .configure(audit::routes)
        .configure(device::routes)
        .configure(own_pages::routes)
        .configure(devices::routes)
        .configure(make_job::routes)
        .configure(jobs::routes)
        .configure(categories::routes)
        .configure(codes::routes)
        .configure(entries::routes)
        .configure(settings::routes);
}

fn entries(page: &Page) -> Vec<NavEntry> {
    match page.who().map(|who| who.domain.as_ref()) {
        Some(Some(domain)) => {
            let mut entries = domain_entries(page, domain);
            entries.extend(common_entries(page));
            entries
        }
        Some(None) => {
            let here = page.path() == "/ui/operator" || page.path().starts_with("/ui/operator/d/");
            let domains = NavEntry { href: "/ui/operator".into(), text: page.t("operator.domains").into(), here };
            let mut entries = vec![domains, page.entry("/ui/operator/unassigned", page.t("operator.unassigned"))];
            entries.extend(common_entries(page));
            entries
        }
        None => Vec::new(),
    }
}

fn common_entries(page: &Page) -> [NavEntry; 2] {
    [
        page.entry("/ui/operator/accounts", page.t("operator.accounts")),
        page.entry("/ui/operator/audit", page.t("operator.audit")),
    ]
}

fn domain_entries(page: &Page, domain: &DomainName) -> Vec<NavEntry> {
    let base = base(domain);
    let overview = NavEntry { href: base.clone(), text: page.t("operator.overview").into(), here: page.path() == base };
    let below = ["devices", "jobs", "categories", "codes", "entries", "settings"].into_iter().zip([
        "operator.devices",
        "operator.jobs",
        "operator.categories",
        "operator.codes",
        "operator.entries",
        "operator.settings",
    ]);
    let below = below.map(|(name, text)| page.entry(&format!("{base}/{name}"), page.t(text)));
    std::iter::once(overview).chain(below).collect()
}

/// Base address of the pages of a domain.
fn base(domain: &DomainName) -> String {
    format!("/ui/operator/d/{}", crate::core::protocol::percent::encode(domain.as_str()))
}

/// An operator.
struct Operator {
    signed: SignedIn,
    page: Page,
    pages: web::Data<Pages>,
    admin: Arc<Admin>,
    authority: Authority,
}

impl Operator {
    fn who(&self) -> &Identity {
        self.signed.who()
    }

    /// Refuses operators of a single domain.
    fn instance_only(&self) -> Answer<()> {
        if self.who().is_instance() { Ok(()) } else { Err(PageError::NotFound) }
    }

    async fn note(&self, what: &str, to: &str, domain: Option<&DomainName>) {
        self.pages.sign_in.note(&self.signed.session.actor(), what, to, domain).await;
    }
}

impl FromRequest for Operator {
    type Error = PageError;
    type Future = std::future::Ready<Answer<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let signed = SignedIn::from_request(request, payload).into_inner();
        let pages = request.app_data::<web::Data<Pages>>().cloned().ok_or(PageError::Internal);
        std::future::ready(signed.and_then(|signed| {
            signed.only(Role::Operator)?;
            let pages = pages?;
            let admin = pages.admin.clone().ok_or(PageError::NotFound)?;
            let authority = Authority::of_account(signed.who(), signed.session.actor());
            Ok(Self { page: signed.page.clone(), signed, pages, admin, authority })
        }))
    }
}

/// An operator with the domain of the address.
struct OperatorContext {
    operator: Operator,
    domain: Arc<Domain>,
}

impl std::ops::Deref for OperatorContext {
    type Target = Operator;

    fn deref(&self) -> &Operator {
        &self.operator
    }
}

impl OperatorContext {
    /// The name of the domain for calls of the service.
    fn named(&self) -> &str {
        self.domain.name.as_str()
    }

    /// The address of a page of this domain.
    fn at(&self, rest: &str) -> String {
        format!("{}{rest}", base(&self.domain.name))
    }

    /// Redirects to a page of this domain after a successful change.
    fn done(&self, rest: &str) -> HttpResponse {
        go(&format!("{}?done=1", self.at(rest)))
    }

    async fn note_here(&self, what: &str, to: &str) {
        self.note(what, to, Some(&self.domain.name)).await;
    }

    fn frame(&self) -> Frame {
        let page = &self.page;
        let tabs = if self.who().is_instance() { domain_entries(page, &self.domain.name) } else { Vec::new() };
        Frame { tabs, domain: self.domain.name.to_string(), base: base(&self.domain.name) }
    }
}

/// The common part of all pages of a domain.
struct Frame {
    tabs: Vec<NavEntry>,
    domain: String,
    base: String,
}

impl FromRequest for OperatorContext {
    type Error = PageError;
    type Future = Pin<Box<dyn Future<Output = Answer<Self>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let operator = Operator::from_request(request, payload).into_inner();
        let named = request.match_info().get("domain").map(str::to_owned);
        Box::pin(async move {
            let operator = operator?;
            let named = named.and_then(|name| DomainName::parse(&name).ok()).ok_or(PageError::NotFound)?;
            if operator.authority.domain.as_ref().is_some_and(|own| *own != named) {
                return Err(PageError::NotFound);
            }
            let domain = operator.admin.domain(&operator.authority, named.as_str()).await?;
            // The service would also accept the number of a domain; here only its name is allowed.
            if domain.name == named { Ok(Self { operator, domain }) } else { Err(PageError::NotFound) }
        })
    }
}

/// The name of a category, or its number if it was deleted.
fn category_name(domain: &Domain, id: crate::core::model::ids::CategoryId) -> String {
    let found = domain.categories.iter().find(|category| category.id == id);
    found.map_or_else(|| id.0.to_string(), |category| category.name.to_string())
}
