//! Step 4 of a roll-out: the list of codes with the state of each user.

use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::{Administrator, Answer, BASE, Fields, Page, PageError, address, code, follow, page, progress, steps};
use crate::core::model::ids::RolloutId;
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::{Progress, Row, Trouble, UsersRoleRollout};

/// Rows per page.
const ROWS: usize = 100;

/// A day in milliseconds.
const DAY: u64 = 24 * 3600 * 1000;

/// Rows that are read at a time while filtering.
const READ: usize = 500;

#[derive(Template)]
#[template(path = "rollout/rollout.html")]
struct RolloutPage {
    page: Page,
    steps: Vec<(&'static str, bool)>,
    href: String,
    rollout: UsersRoleRollout,
    /// Validity of the codes of this page, in days.
    days: Option<u64>,
    rows: Vec<RowFields>,
    wanted: RowsQuery,
    next: Option<String>,
}

/// State of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The code is being issued.
    Making,
    /// No phone has used the code yet.
    Pending,
    /// A phone has used the code.
    Registered,
    /// The code has expired.
    Expired,
    /// The code was cancelled.
    Cancelled,
    /// There is a problem that somebody has to solve.
    Stuck(Trouble),
}

impl State {
    /// The state of a row at this time, on the clock of the store.
    pub fn of(row: &Row, at: UnixMillis) -> Self {
        let Some(request) = &row.request else {
            // The requests of old rows have been deleted.
            return if row.id.is_none() { Self::Making } else { Self::Expired };
        };
        match progress::now(request, at) {
            Progress::Failed(trouble) => Self::Stuck(trouble),
            _ if request.phone.is_some() => Self::Registered,
            Progress::Expired => Self::Expired,
            Progress::Cancelled => Self::Cancelled,
            Progress::Waiting | Progress::Found => Self::Pending,
            Progress::Entered | Progress::Updating | Progress::Configuring | Progress::Ready => Self::Registered,
        }
    }

    /// Key of its name.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Making => "register.making",
            Self::Pending => "register.pending",
            Self::Registered => "register.registered",
            Self::Expired => "progress.expired",
            Self::Cancelled => "progress.cancelled",
            Self::Stuck(_) => "register.stuck",
        }
    }

    /// CSS class of the element.
    const fn class(self) -> &'static str {
        match self {
            Self::Registered => "good",
            Self::Expired => "warn",
            Self::Stuck(_) => "bad",
            Self::Making | Self::Pending | Self::Cancelled => "",
        }
    }

    fn matches(self, which: &str) -> bool {
        match which {
            "pending" => matches!(self, Self::Making | Self::Pending),
            "registered" => self == Self::Registered,
            "ended" => matches!(self, Self::Expired | Self::Cancelled),
            "stuck" => matches!(self, Self::Stuck(_)),
            _ => true,
        }
    }
}

struct RowFields {
    number: u64,
    name: String,
    sip: String,
    code: String,
    ends: Option<UnixMillis>,
    state: State,
    /// The phone, or the problem.
    more: String,
    what_to_do: &'static str,
    can_cancel: bool,
    can_reissue: bool,
}

/// Filter and page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RowsQuery {
    state: String,
    search: String,
    from: u64,
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/rollouts/{id:\\d+}", web::get().to(show))
        .route("/rollouts/{id:\\d+}/events", web::get().to(events))
        .route("/rollouts/{id:\\d+}/reissue", web::post().to(reissue))
        .route("/rollouts/{id:\\d+}/cancel", web::post().to(cancel))
        .route("/rollouts/{id:\\d+}/remove", web::post().to(remove));
}

async fn show(administrator: Administrator, id: web::Path<u64>, wanted: web::Query<RowsQuery>) -> Answer<HttpResponse> {
    let (page, id, wanted) = (&administrator.page, RolloutId(*id), wanted.into_inner());
    let rollout = administrator.users_role.rollout(&administrator.domain, id).await?;
    let now = administrator.users_role.now(&administrator.domain).await?;
    let (rows, next) = rows(&administrator, id, &wanted, now).await?;
    let days = rows.iter().find_map(|row| {
        let request = row.request.as_ref()?;
        // The codes of one page were issued within some seconds, so one row stands for all.
        Some((request.valid_until.0.saturating_sub(request.asked.0) + DAY / 2) / DAY)
    });
    let next = next.map(|from| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("state", &wanted.state).append_pair("search", &wanted.search);
        format!("{}?{}", address(id), query.append_pair("from", &from.to_string()).finish())
    });
    page.answer(&RolloutPage {
        page: page.clone(),
        steps: steps(page, 4),
        href: address(id),
        days,
        rows: rows.into_iter().map(|row| line(page, row, now)).collect(),
        rollout,
        wanted,
        next,
    })
}

/// One page of the matching rows, and where the next page begins.
async fn rows(
    administrator: &Administrator,
    id: RolloutId,
    wanted: &RowsQuery,
    now: UnixMillis,
) -> Answer<(Vec<Row>, Option<u64>)> {
    let search = wanted.search.trim().to_lowercase();
    let all = wanted.state.is_empty() && search.is_empty();
    let read = if all { ROWS + 1 } else { READ };
    let (mut found, mut from) = (Vec::new(), wanted.from);
    loop {
        let rows = administrator.users_role.rows(&administrator.domain, id, from, read).await?;
        let last = rows.len() < read;
        for row in rows {
            if found.len() == ROWS {
                return Ok((found, Some(row.number)));
            }
            from = row.number + 1;
            let named = search.is_empty()
                || row.name.to_lowercase().contains(&search)
                || row.sip.to_lowercase().contains(&search);
            if named && State::of(&row, now).matches(&wanted.state) {
                found.push(row);
            }
        }
        if last {
            return Ok((found, None));
        }
    }
}

fn line(page: &Page, row: Row, now: UnixMillis) -> RowFields {
    let state = State::of(&row, now);
    let view = row.request.as_ref().map(|request| progress::view(page, request, now));
    let phone = row.request.as_ref().and_then(|request| request.phone.as_ref());
    let phone = phone.map(|phone| format!("{} {}", phone.product, phone.key));
    let advice = view.as_ref().and_then(|view| view.advice).filter(|_| matches!(state, State::Stuck(_)));
    let more = match (&view, advice, state) {
        (_, Some((title, _)), _) => title.to_owned(),
        (Some(view), None, State::Registered) => format!("{} · {}", view.short, phone.unwrap_or_default()),
        _ => String::new(),
    };
    let open = view.as_ref().is_some_and(|view| view.open);
    RowFields {
        number: row.number,
        name: row.name.into(),
        sip: row.sip.into(),
        code: row.request.as_ref().filter(|_| open).map(|request| code::grouped(request.code)).unwrap_or_default(),
        ends: row.request.as_ref().filter(|_| open).map(|request| request.valid_until),
        state,
        more,
        what_to_do: advice.map_or("", |(_, what_to_do)| what_to_do),
        can_cancel: open,
        can_reissue: row.id.is_some() && row.request.as_ref().is_none_or(|request| request.phone.is_none()),
    }
}

async fn events(administrator: Administrator, id: web::Path<u64>) -> Answer<HttpResponse> {
    let id = RolloutId(*id);
    administrator.users_role.rollout(&administrator.domain, id).await?;
    let feed = administrator.users_role.watch(&administrator.domain)?;
    administrator.pages.live.stream(&administrator.signed, follow(feed, move |changed| changed.rollout == Some(id)))
}

/// The number of the row that a form refers to.
fn number(fields: &Fields) -> Answer<u64> {
    fields.get("row").parse().map_err(|_| PageError::Unreadable)
}

/// Redirects to the page of the form.
fn back(id: RolloutId, fields: &Fields) -> HttpResponse {
    let base = address(id);
    let to = fields.get("to");
    page::go(if to.strip_prefix(&*base).is_some_and(|rest| rest.starts_with('?')) { to } else { &base })
}

async fn reissue(administrator: Administrator, id: web::Path<u64>, fields: Fields) -> Answer<HttpResponse> {
    let id = RolloutId(*id);
    let request = administrator.users_role.reissue(&administrator.domain, id, number(&fields)?).await?;
    administrator.note("rollout.reissue", &request.sip).await;
    Ok(back(id, &fields))
}

async fn cancel(administrator: Administrator, id: web::Path<u64>, fields: Fields) -> Answer<HttpResponse> {
    let (id, number) = (RolloutId(*id), number(&fields)?);
    if administrator.users_role.cancel_row(&administrator.domain, id, number).await? {
        administrator.note("rollout.cancel", &number.to_string()).await;
    }
    Ok(back(id, &fields))
}

async fn remove(administrator: Administrator, id: web::Path<u64>, _: Fields) -> Answer<HttpResponse> {
    let id = RolloutId(*id);
    let rollout = administrator.users_role.rollout(&administrator.domain, id).await?;
    administrator.users_role.remove_rollout(&administrator.domain, id).await?;
    administrator.note("rollout.remove", &rollout.name).await;
    Ok(page::go(&format!("{BASE}?done=1")))
}
