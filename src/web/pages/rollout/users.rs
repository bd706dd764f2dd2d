//! Step 3 of a roll-out: the list of users, one per line. It can be typed, pasted, read from a file and extended from a
//! search. The list is part of the form, so the server keeps no unfinished lists.

use std::collections::HashSet;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::chosen::{entries, resolve, text, with};
use super::{Administrator, Answer, Fields, Page, address, steps};
use crate::core::model::users_role::{MAX_TEXT, Person, UserPage, UserQuery};
use crate::users_role::{MAX_USERS, UsersRoleError};
use crate::web::pages::fields::Longest;
use crate::web::pages::page::go;

/// Users shown per page.
const SHOWN: usize = 100;

/// Users that are read at a time if all are needed.
const PAGE: usize = 1000;

/// Most unknown entries that are named in a message.
const NAMED: usize = 20;

/// Longest form, in bytes: a hundred thousand lines, and a file with several columns.
const LONGEST: usize = 16 * 1024 * 1024;

#[derive(Template)]
#[template(path = "rollout/users.html")]
struct UsersPage {
    page: Page,
    steps: Vec<(&'static str, bool)>,
    wanted: Wanted,
    count: usize,
    found: UserPage,
    /// The users found, each with whether it is on the list.
    listed: Vec<bool>,
    wrong: Option<String>,
}

/// The fields of the form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    category: String,
    app: String,
    name: String,
    list: String,
    search: String,
    group: String,
    after: String,
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(
        web::resource("/rollouts/new/users")
            .app_data(Longest(LONGEST))
            .route(web::get().to(open))
            .route(web::post().to(go_on)),
    );
}

async fn open(administrator: Administrator, wanted: web::Query<Wanted>) -> Answer<HttpResponse> {
    let wanted = wanted.into_inner();
    let list = entries(&wanted.list);
    show(&administrator, wanted, &list, None).await
}

/// Shows the page; `list` has the entries of `wanted`.
async fn show(
    administrator: &Administrator,
    wanted: Wanted,
    list: &[String],
    wrong: Option<String>,
) -> Answer<HttpResponse> {
    let (page, users_role, domain) = (&administrator.page, &administrator.users_role, &administrator.domain);
    let found = users_role.users(domain, &query(&wanted, &wanted.after, SHOWN)).await?;
    let on_it: HashSet<&str> = list.iter().map(String::as_str).collect();
    let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    page.answer_with(
        status,
        &UsersPage {
            page: page.clone(),
            steps: steps(page, 3),
            count: list.len(),
            listed: found.users.iter().map(|person| on_it.contains(&*person.sip)).collect(),
            found,
            wanted,
            wrong,
        },
    )
}

fn query(wanted: &Wanted, after: &str, limit: usize) -> UserQuery {
    let text = |text: &str| Some(text).filter(|text| !text.is_empty()).map(Into::into);
    UserQuery { search: wanted.search.as_str().into(), group: text(&wanted.group), after: text(after), limit }
}

/// All users that match the search.
async fn all(administrator: &Administrator, wanted: &Wanted) -> Answer<Vec<Person>> {
    let (mut users, mut after) = (Vec::new(), String::new());
    loop {
        let query = query(wanted, &after, PAGE);
        let page = administrator.users_role.users(&administrator.domain, &query).await?;
        users.extend(page.users);
        match page.next {
            // One more than allowed, so that an excess is detected.
            Some(next) if users.len() <= MAX_USERS => after = next.into(),
            _ => return Ok(users),
        }
    }
}

async fn go_on(administrator: Administrator, fields: Fields) -> Answer<HttpResponse> {
    let field = |name: &str| fields.get(name).to_owned();
    let mut wanted = Wanted {
        category: field("category"),
        app: field("app"),
        name: field("name"),
        list: field("list"),
        search: field("search").chars().take(MAX_TEXT).collect(),
        group: field("group"),
        after: String::new(),
    };
    let more: Vec<String> = match fields.get("do") {
        "ticked" => fields.iter().filter(|(key, _)| *key == "tick").map(|(_, sip)| sip.to_owned()).collect(),
        "fitting" => all(&administrator, &wanted).await?.into_iter().map(|person| person.sip.into()).collect(),
        "file" => entries(fields.get("file")),
        "next" => {
            wanted.after = field("after");
            Vec::new()
        }
        "begin" => return begin(&administrator, wanted).await,
        // "search", or the Enter key.
        _ => Vec::new(),
    };
    let list = with(&wanted.list, more);
    wanted.list = text(&list);
    show(&administrator, wanted, &list, None).await
}

async fn begin(administrator: &Administrator, wanted: Wanted) -> Answer<HttpResponse> {
    let (page, users_role, domain) = (&administrator.page, &administrator.users_role, &administrator.domain);
    let name = wanted.name.trim();
    let list = entries(&wanted.list);
    let (users, unknown) = if list.is_empty() {
        (Vec::new(), Vec::new())
    } else {
        resolve(&list, &all(administrator, &Wanted::default()).await?)
    };
    let wrong = if name.is_empty() || name.chars().count() > MAX_TEXT || name.chars().any(char::is_control) {
        Some(page.t("register.no_name").to_owned())
    } else if list.is_empty() {
        Some(page.t("register.nobody").to_owned())
    } else if list.len() > MAX_USERS {
        Some(page.tn("register.too_many", MAX_USERS))
    } else if unknown.is_empty() {
        None
    } else {
        let named = unknown.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = if unknown.len() > NAMED { " …" } else { "" };
        Some(format!("{} {named}{more}", page.tn("register.unknown", unknown.len())))
    };
    if wrong.is_some() {
        return show(administrator, wanted, &list, wrong).await;
    }
    let rollout = match users_role.begin_rollout(domain, name, &wanted.category, &wanted.app, &users).await {
        Err(UsersRoleError::NoChoice(_)) => {
            let wrong = Some(page.t("register.no_choice").to_owned());
            return show(administrator, wanted, &list, wrong).await;
        }
        begun => begun?,
    };
    administrator.note("rollout.begin", name).await;
    Ok(go(&address(rollout.id)))
}
