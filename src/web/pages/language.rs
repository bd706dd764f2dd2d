//! The choice of a language, stored in a cookie.

use actix_web::cookie::time::Duration;
use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};

use super::{Answer, Fields, Group, Lang, PageError, Pages, cookies, sign_in};
use crate::core::model::accounts::Role;

pub(super) const GROUP: Group = Group { roles: &Role::ALL, entries: |_| Vec::new(), routes };

fn routes(config: &mut web::ServiceConfig) {
    config.route("/language", web::post().to(choose));
}

async fn choose(pages: web::Data<Pages>, fields: Fields) -> Answer<HttpResponse> {
    let lang = Lang::parse(fields.get("lang")).ok_or(PageError::Unreadable)?;
    let mut cookie = cookies::cookie(&pages, cookies::LANGUAGE, lang.code());
    cookie.set_max_age(Duration::days(365));
    Ok(HttpResponse::SeeOther()
        .insert_header((LOCATION, sign_in::inside_pages(fields.get("to"))))
        .cookie(cookie)
        .finish())
}
