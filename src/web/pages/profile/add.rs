//! Adding a phone: which category, which phone app, and then a code.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::{Answer, Fields, Owner, Page, address};
use crate::web::pages::choice::Choice;
use crate::web::pages::page::go;

/// Open codes of one person at most: nobody has more phones in their hands, and each code that is open is one that can be guessed.
const OPEN: usize = 10;

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
    let choice = Choice::of(&owner).await?;
    owner.page.answer(&AddPage { page: owner.page.clone(), choice, too_many: false })
}

async fn add(owner: Owner, fields: Fields) -> Answer<HttpResponse> {
    let (people, domain) = (&owner.people, &owner.domain);
    let now = people.now(domain).await?;
    let requests = people.requests_of(domain, &owner.person.guid).await?;
    if requests.iter().filter(|request| request.is_open(now)).count() >= OPEN {
        let template = AddPage { page: owner.page.clone(), choice: Choice::of(&owner).await?, too_many: true };
        return owner.page.answer_with(StatusCode::CONFLICT, &template);
    }
    let request = people.add_phone(domain, &owner.person, fields.get("category"), fields.get("app")).await?;
    owner.note("phone.add", &request.category).await;
    Ok(go(&address(&request.id)))
}
