//! The pages "Register phones": a roll-out in four steps, connection with Devices, category and phone app, users, list
//! of codes (`docs/users.md`). The list is in the store, so a roll-out can be opened again later.

mod begin;
mod chosen;
mod rows;
mod sheets;
mod users;

use actix_web::{HttpResponse, web};
use askama::Template;

use super::member::Administrator;
use super::{Answer, Fields, Group, NavEntry, Page, PageError, code, page, progress};
use crate::core::model::accounts::Role;
use crate::core::model::ids::RolloutId;
use crate::core::model::users_role::UsersRoleRollout;
use crate::web::pages::progress_stream::{follow, periodically};

pub(super) const GROUP: Group = Group { roles: &[Role::Rollout], entries, routes };

/// Base address of these pages.
const BASE: &str = "/ui/rollouts";

fn entries(page: &Page) -> Vec<NavEntry> {
    vec![page.entry(BASE, page.t("register.nav"))]
}

fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/rollouts", web::get().to(show))
        .route("/rollouts/events", web::get().to(events))
        .configure(begin::routes)
        .configure(users::routes)
        .configure(rows::routes)
        .configure(sheets::routes);
}

#[derive(Template)]
#[template(path = "rollout/rollouts.html")]
struct RolloutsPage {
    page: Page,
    rollouts: Vec<UsersRoleRollout>,
}

/// The page of a roll-out.
fn address(id: RolloutId) -> String {
    format!("{BASE}/{}", id.0)
}

/// The four steps with the current one marked, for the line at the top.
fn steps(page: &Page, now: usize) -> Vec<(&'static str, bool)> {
    let all = ["register.step_connection", "register.step_phones", "register.step_users", "register.step_codes"];
    all.into_iter().enumerate().map(|(number, text)| (page.t(text), number + 1 == now)).collect()
}

async fn show(administrator: Administrator) -> Answer<HttpResponse> {
    let rollouts = administrator.users_role.rollouts(&administrator.domain).await?;
    let page = &administrator.page;
    page.answer(&RolloutsPage { page: page.clone(), rollouts })
}

async fn events(administrator: Administrator) -> Answer<HttpResponse> {
    let feed = administrator.users_role.watch(&administrator.domain)?;
    administrator.pages.live.stream(&administrator.signed, follow(feed, |changed| changed.rollout.is_some()))
}
