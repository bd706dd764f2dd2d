//! Steps 1 and 2 of a roll-out: state of Devices and of the list of users, and choice of category and phone app.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use askama::Template;

use super::{Administrator, Answer, Page, periodically, steps};
use crate::users_role::{LinkStatus, TenantStatus};
use crate::web::pages::choice::Choice;

/// How often a missing connection is checked.
const CONNECTION: Duration = Duration::from_secs(2);

#[derive(Template)]
#[template(path = "rollout/connection.html")]
struct ConnectionPage {
    page: Page,
    steps: Vec<(&'static str, bool)>,
    standing: TenantStatus,
    /// Text and CSS class for the connection with Devices, and the reason if it is missing.
    devices: (&'static str, &'static str, String),
    ready: bool,
}

#[derive(Template)]
#[template(path = "rollout/phones.html")]
struct ChoicePage {
    page: Page,
    steps: Vec<(&'static str, bool)>,
    choice: Choice,
    name: String,
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/rollouts/new", web::get().to(connection))
        .route("/rollouts/new/events", web::get().to(events))
        .route("/rollouts/new/phones", web::get().to(phones));
}

async fn connection(administrator: Administrator) -> Answer<HttpResponse> {
    let page = &administrator.page;
    let standing = administrator.users_role.status(&administrator.domain).await?;
    let devices = match &standing.devices {
        LinkStatus::Up => (page.t("register.link_up"), "good", String::new()),
        LinkStatus::Connecting => (page.t("register.link_connecting"), "warn", String::new()),
        LinkStatus::Down(why) => (page.t("register.link_down"), "bad", why.to_string()),
        LinkStatus::Refused(why) => (page.t("register.link_refused"), "bad", why.to_string()),
    };
    page.answer(&ConnectionPage {
        page: page.clone(),
        steps: steps(page, 1),
        ready: standing.devices == LinkStatus::Up && standing.backend.up,
        standing,
        devices,
    })
}

async fn events(administrator: Administrator) -> Answer<HttpResponse> {
    administrator.pages.live.stream(&administrator.signed, periodically(CONNECTION))
}

async fn phones(administrator: Administrator) -> Answer<HttpResponse> {
    let page = &administrator.page;
    let choice = Choice::of(&administrator).await?;
    let today = page.time(&administrator.users_role.now(&administrator.domain).await?);
    let name = format!("{} {}", page.t("register.default_name"), today.split('T').next().unwrap_or_default());
    page.answer(&ChoicePage { page: page.clone(), steps: steps(page, 2), choice, name })
}
