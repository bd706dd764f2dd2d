//! The start page, and the redirect from `/`.

use actix_web::{HttpResponse, web};
use askama::Template;

use super::page::go;
use super::{Answer, Group, NavEntry, Page, SignedIn};
use crate::core::model::accounts::Role;

pub(super) const GROUP: Group = Group { roles: &Role::ALL, entries, routes };

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    page: Page,
    shown: String,
    role: &'static str,
    domain: Option<String>,
    entries: Vec<NavEntry>,
}

fn entries(page: &Page) -> Vec<NavEntry> {
    let here = page.path() == "/ui/";
    vec![NavEntry { href: "/ui/".into(), text: page.t("home.nav").into(), here }]
}

fn routes(config: &mut web::ServiceConfig) {
    config.route("/", web::get().to(home));
}

/// Redirects `/` and `/ui` to the start page.
pub(super) async fn redirect_to_start() -> HttpResponse {
    go("/ui/")
}

/// The name of a role.
pub(super) fn role_name(page: &Page, role: Role) -> &'static str {
    page.t(match role {
        Role::Person => "role.person",
        Role::Rollout => "role.rollout",
        Role::Operator => "role.operator",
    })
}

async fn home(signed: SignedIn) -> Answer<HttpResponse> {
    let (page, who) = (signed.page.clone(), signed.who());
    let entries = page.nav().into_iter().filter(|entry| entry.href != "/ui/").collect();
    let template = Home {
        shown: who.shown.to_string(),
        role: role_name(&page, who.role),
        domain: who.domain.as_ref().map(ToString::to_string),
        entries,
        page: page.clone(),
    };
    page.answer(&template)
}
