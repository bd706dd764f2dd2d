//! The pages "My phones": a person's phones and phone requests.

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
use crate::web::pages::progress_stream::{follow, periodically};

pub(super) const GROUP: Group = Group { roles: &[Role::Person], entries, routes };

/// Base address of these pages.
const BASE: &str = "/ui/phones";

/// How often the page checks whether phones are connected.
const CONNECTED: Duration = Duration::from_secs(15);

/// Requests without a phone are shown only among this many latest ones.
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
    /// Text and CSS class for its entry at the backend.
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
    // With an empty budget the page is shown without the connection states, because it may have refreshed itself.
    let ask = owner.take_budget(1).is_ok();
    let phones = users_role.phones_of(domain, &owner.person.guid, ask).await?;
    let requests = users_role.requests_of(domain, &owner.person.guid).await?;
    let now = users_role.now(domain).await?;
    let without_phone = requests.into_iter().take(SHOWN).filter(|request| {
        let has_phone = phones.iter().any(|phone| phone.request == request.id);
        !has_phone || !request.is_over()
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
    let feed = owner.users_role.watch(&owner.domain)?;
    let person = owner.person.guid.clone();
    let changes = stream::select(follow(feed, move |changed| changed.person == person), periodically(CONNECTED));
    owner.pages.live.stream(&owner.signed, changes)
}
