//! "My phones": what a person sees of their phones, and adding one.

mod add;
mod request;

use std::time::Duration;

use actix_web::{HttpResponse, web};
use askama::Template;
use futures_util::stream;

use super::member::Owner;
use super::progress::{self, View};
use super::{Answer, Fields, Group, NavEntry, Page, PageError, code, page};
use crate::core::model::accounts::Role;
use crate::core::model::users_role::{EntryState, Phone, PhoneRequest, RequestId};
use crate::web::pages::progress_stream::{follow, now_and_then};

pub(super) const GROUP: Group = Group { roles: &[Role::Person], entries, routes };

/// Where these pages are.
const BASE: &str = "/ui/phones";

/// Whether a phone is connected is looked at this often.
const CONNECTED: Duration = Duration::from_secs(15);

/// Requests that have come to nothing are shown as long as they are among this many.
const SHOWN: usize = 20;

fn entries(page: &Page) -> Vec<NavEntry> {
    vec![page.entry(BASE, page.t("phones.nav"))]
}

fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/phones", web::get().to(show))
        .route("/phones/events", web::get().to(events))
        .configure(add::routes)
        .configure(request::routes);
}

#[derive(Template)]
#[template(path = "profile/phones.html")]
struct PhonesPage {
    page: Page,
    name: String,
    phones: Vec<Row>,
    underway: Vec<PendingPhone>,
}

struct Row {
    phone: Phone,
    /// What is to be said of its entry at the telephone system, and the class of that.
    entry: (&'static str, &'static str),
}

struct PendingPhone {
    href: String,
    request: PhoneRequest,
    view: View,
}

/// The page of a request.
fn address(id: &RequestId) -> String {
    format!("{BASE}/{id}")
}

fn entry(page: &Page, entry: EntryState) -> (&'static str, &'static str) {
    match entry {
        EntryState::None => ("", ""),
        EntryState::Waiting => (page.t("phones.entry_waiting"), "warn"),
        EntryState::Done => (page.t("phones.entry_done"), "good"),
        EntryState::Failed(_) => (page.t("phones.entry_failed"), "bad"),
    }
}

async fn show(owner: Owner) -> Answer<HttpResponse> {
    let (page, users_role, domain) = (&owner.page, &owner.users_role, &owner.domain);
    // A page that renews itself is no reason to refuse it: whether the phones are connected is left open then.
    let ask = owner.ask(1).is_ok();
    let phones = users_role.phones_of(domain, &owner.person.guid, ask).await?;
    let requests = users_role.requests_of(domain, &owner.person.guid).await?;
    let now = users_role.now(domain).await?;
    let without_phone = requests.into_iter().take(SHOWN).filter(|request| {
        let here = phones.iter().any(|phone| phone.request == request.id);
        !here || !request.is_over()
    });
    let underway = without_phone.map(|request| PendingPhone {
        href: address(&request.id),
        view: progress::view(page, &request, now),
        request,
    });
    page.answer(&PhonesPage {
        page: page.clone(),
        name: owner.person.name.to_string(),
        underway: underway.collect(),
        phones: phones.into_iter().map(|phone| Row { entry: entry(page, phone.entry), phone }).collect(),
    })
}

async fn events(owner: Owner) -> Answer<HttpResponse> {
    let news = owner.users_role.watch(&owner.domain)?;
    let person = owner.person.guid.clone();
    let changes = stream::select(follow(news, move |changed| changed.person == person), now_and_then(CONNECTED));
    owner.pages.live.stream(&owner.signed, changes)
}
