//! One new phone: its code, and how far the phone is.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use askama::Template;
use futures_util::StreamExt as _;

use super::{Answer, Fields, Owner, Page, PageError, View, address, code, entry, follow, page, progress};
use crate::core::model::users_role::{PhoneRequest, RequestId};

/// A page without script is looked at anew by the browser; so long somebody is taken to be looking.
const LOOKED_AT: Duration = Duration::from_secs(10);

#[derive(Template)]
#[template(path = "profile/request.html")]
struct RequestPage {
    page: Page,
    href: String,
    view: View,
    over: bool,
    code: String,
    qr: Option<code::Qr>,
    /// Seconds that the code can still be used.
    left: u64,
    entry: (&'static str, &'static str),
    request: PhoneRequest,
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/phones/{id}", web::get().to(show))
        .route("/phones/{id}/events", web::get().to(events))
        .route("/phones/{id}/cancel", web::post().to(cancel));
}

/// The request of this number, if it is one of theirs.
async fn own(owner: &Owner, id: &str) -> Answer<PhoneRequest> {
    let id = RequestId::parse(id).map_err(|_| PageError::NotFound)?;
    let request = owner.people.request(&owner.domain, &id).await?;
    request.filter(|request| request.person == owner.person.guid).ok_or(PageError::NotFound)
}

async fn show(owner: Owner, id: web::Path<String>) -> Answer<HttpResponse> {
    let (page, request) = (&owner.page, own(&owner, &id).await?);
    let now = owner.people.now(&owner.domain).await?;
    let view = progress::view(page, &request, now);
    let looking = (!request.is_over()).then(|| owner.people.follow_progress(&owner.domain, &request.id)).transpose()?;
    if let Some(looking) = looking {
        actix_web::rt::spawn(async move {
            tokio::time::sleep(LOOKED_AT).await;
            drop(looking);
        });
    }
    page.answer(&RequestPage {
        page: page.clone(),
        href: address(&request.id),
        over: request.is_over()
            || matches!(progress::now(&request, now), crate::core::model::users_role::Progress::Expired),
        code: code::grouped(request.code),
        qr: code::Qr::of(request.code).filter(|_| view.open),
        left: request.valid_until.0.saturating_sub(now.0) / 1000,
        entry: entry(page, request.entry),
        view,
        request,
    })
}

async fn events(owner: Owner, id: web::Path<String>) -> Answer<HttpResponse> {
    let request = own(&owner, &id).await?;
    let news = owner.people.watch(&owner.domain)?;
    // Devices is asked how far the phone is for as long as this stream lives.
    let looking = owner.people.follow_progress(&owner.domain, &request.id)?;
    let changes = follow(news, move |changed| changed.request == request.id).map(move |()| {
        let _while_streaming = &looking;
    });
    owner.pages.live.stream(&owner.signed, changes)
}

async fn cancel(owner: Owner, id: web::Path<String>, _: Fields) -> Answer<HttpResponse> {
    let request = own(&owner, &id).await?;
    if owner.people.cancel(&owner.domain, &request.id).await? {
        owner.note("phone.cancel", &request.category).await;
    }
    // If a phone has used the code in the last moment, the page says so.
    Ok(page::go(&address(&request.id)))
}
