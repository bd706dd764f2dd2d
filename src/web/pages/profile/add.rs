//! Adds a phone: choice of category and phone app, then the request of a code.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::{Answer, Fields, Owner, Page, address};
use crate::users_role::UsersRoleError;
use crate::web::pages::choice::Choice;
use crate::web::pages::page::go;

#[derive(Template)]
#[template(path = "profile/add.html")]
struct AddPage {
    page: Page,
    choice: Choice,
    too_many: bool,
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.route("/phones/add", web::get().to(show)).route("/phones/add", web::post().to(add));
}

async fn show(owner: Owner) -> Answer<HttpResponse> {
    owner.take_budget(1)?;
    let choice = Choice::of(&owner).await?;
    owner.page.answer(&AddPage { page: owner.page.clone(), choice, too_many: false })
}

async fn add(owner: Owner, fields: Fields) -> Answer<HttpResponse> {
    // One request for the categories, and one for the code.
    owner.take_budget(2)?;
    let (category, app) = (fields.get("category"), fields.get("app"));
    match owner.users_role.add_phone(&owner.domain, &owner.person, category, app).await {
        Err(UsersRoleError::TooManyOpen) => {
            let template = AddPage { page: owner.page.clone(), choice: Choice::of(&owner).await?, too_many: true };
            owner.page.answer_with(StatusCode::CONFLICT, &template)
        }
        added => {
            let request = added?;
            owner.note("phone.add", &request.category).await;
            Ok(go(&address(&request.id)))
        }
    }
}
