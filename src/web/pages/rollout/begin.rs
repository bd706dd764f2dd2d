//! The first two steps: whether Devices and the list of users are there, and which phones it is about.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use askama::Template;

use super::{Administrator, Answer, Page, now_and_then, steps};
use crate::users_role::{LinkStatus, TenantStatus};
use crate::web::pages::choice::Choice;

/// A connection that is missing is looked at this often.
const CONNECTION: Duration = Duration::from_secs(2);

#[derive(Template)]
#[template(path = "rollout/connection.html")]
struct ConnectionPage {
    page: Page,
    steps: Vec<(&'static str, bool)>,
    standing: TenantStatus,
    /// What is to be said of the connection with Devices, the class of that, and what is in the way.
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
    let standing = administrator.people.status(&administrator.domain).await?;
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
    administrator.pages.live.stream(&administrator.signed, now_and_then(CONNECTION))
}

async fn phones(administrator: Administrator) -> Answer<HttpResponse> {
    let page = &administrator.page;
    let choice = Choice::of(&administrator).await?;
    let today = page.time(&administrator.people.now(&administrator.domain).await?);
    let name = format!("{} {}", page.t("register.default_name"), today.split('T').next().unwrap_or_default());
    page.answer(&ChoicePage { page: page.clone(), steps: steps(page, 2), choice, name })
}
