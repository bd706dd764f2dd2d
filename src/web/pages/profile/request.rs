//! The page of a phone request: its code and progress.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use askama::Template;
use futures_util::StreamExt as _;

use super::{Answer, Fields, Owner, Page, PageError, View, address, code, entry, follow, page, progress};
use crate::core::model::users_role::{PhoneRequest, RequestId};

/// How long the page counts as open after it was loaded, for browsers without script, which reload it.
const OPEN_FOR: Duration = Duration::from_secs(10);

#[derive(Template)]
#[template(path = "profile/request.html")]
struct RequestPage {
    page: Page,
    href: String,
    view: View,
    over: bool,
    code: String,
    qr: Option<code::Qr>,
    /// Remaining validity of the code, in seconds.
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

/// The request with this id, if it belongs to this person.
async fn own(owner: &Owner, id: &str) -> Answer<PhoneRequest> {
    let id = RequestId::parse(id).map_err(|_| PageError::NotFound)?;
    let request = owner.users_role.request(&owner.domain, &id).await?;
    request.filter(|request| request.person == owner.person.guid).ok_or(PageError::NotFound)
}

async fn show(owner: Owner, id: web::Path<String>) -> Answer<HttpResponse> {
    let (page, request) = (&owner.page, own(&owner, &id).await?);
    let now = owner.users_role.now(&owner.domain).await?;
    let view = progress::view(page, &request, now);
    let poll_guard =
        (!request.is_over()).then(|| owner.users_role.follow_progress(&owner.domain, &request.id)).transpose()?;
    if let Some(poll_guard) = poll_guard {
        actix_web::rt::spawn(async move {
            tokio::time::sleep(OPEN_FOR).await;
            drop(poll_guard);
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
    let feed = owner.users_role.watch(&owner.domain)?;
    // The progress is polled from Devices as long as this stream lives.
    let poll_guard = owner.users_role.follow_progress(&owner.domain, &request.id)?;
    let changes = follow(feed, move |changed| changed.request == request.id).map(move |()| {
        let _held = &poll_guard;
    });
    owner.pages.live.stream(&owner.signed, changes)
}

async fn cancel(owner: Owner, id: web::Path<String>, _: Fields) -> Answer<HttpResponse> {
    let request = own(&owner, &id).await?;
    if owner.users_role.cancel(&owner.domain, &request.id).await? {
        owner.note("phone.cancel", &request.category).await;
    }
    // If a phone has used the code just now, the page shows that.
    Ok(page::go(&address(&request.id)))
}
