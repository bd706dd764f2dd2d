//! The third step: who gets a phone. One list, one user on each line, that can be typed into, pasted into, filled by a file, and
//! added to from the users that are found. It goes to and fro with the page, so that nothing half done is kept anywhere.

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

/// Users that are shown at a time.
const SHOWN: usize = 100;

/// Users that are read at a time when all of them are.
const PAGE: usize = 1000;

/// Entries that stand for nobody, of which so many are named.
const NAMED: usize = 20;

/// The longest form: a hundred thousand lines, and a file with more columns than one.
const LONGEST: usize = 16 * 1024 * 1024;

#[derive(Template)]
#[template(path = "rollout/users.html")]
struct UsersPage {
    page: Page,
    steps: Vec<(&'static str, bool)>,
    wanted: Wanted,
    count: usize,
    found: UserPage,
    /// For each of the users found whether the list has them.
    listed: Vec<bool>,
    wrong: Option<String>,
}

/// What the form holds.
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

/// The page; `list` is what stands on the list of `wanted`.
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

/// All users that fit.
async fn all(administrator: &Administrator, wanted: &Wanted) -> Answer<Vec<Person>> {
    let (mut users, mut after) = (Vec::new(), String::new());
    loop {
        let query = query(wanted, &after, PAGE);
        let page = administrator.users_role.users(&administrator.domain, &query).await?;
        users.extend(page.users);
        match page.next {
            // One more than may be chosen, so that it is seen that they are too many.
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
        // "search", or the key that ends a line.
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
