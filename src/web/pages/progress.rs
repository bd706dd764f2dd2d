//! How far a phone is, in words: the stages of its way, and for each thing that can go wrong what it is and what to do.

use super::Page;
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::{EntryState, PhoneRequest, Progress, STAGES, Stage, Trouble};

/// How a stage is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Behind the phone.
    Done,
    /// Where the phone is.
    Now,
    /// Where the phone stands still.
    Stuck,
    /// Still to come.
    Ahead,
}

impl Mark {
    /// Class of the element.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Now => "now",
            Self::Stuck => "stuck",
            Self::Ahead => "ahead",
        }
    }

    /// Key of what a screen reader says.
    pub const fn said(self) -> &'static str {
        match self {
            Self::Done => "progress.done",
            Self::Now => "progress.now",
            Self::Stuck => "progress.stuck",
            Self::Ahead => "progress.ahead",
        }
    }
}

/// A request as it is shown: what its phone is doing, or why it does nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    /// The way with its marks: none if the request has come to nothing.
    pub way: Vec<(&'static str, Mark)>,
    /// One line.
    pub short: &'static str,
    /// Class of that line.
    pub class: &'static str,
    /// Title and advice, if somebody has to do something.
    pub advice: Option<(&'static str, &'static str)>,
    /// Whether the code can still be used.
    pub open: bool,
}

/// What a request has come to at `now`, on the clock of the store. A code whose time is over is shown so at once, not only when
/// Devices has been asked whether somebody has used it in the last moment.
pub(super) fn now(request: &PhoneRequest, now: UnixMillis) -> Progress {
    let over = matches!(request.progress, Progress::Waiting | Progress::Found) && now >= request.valid_until;
    if over { Progress::Expired } else { request.progress }
}

/// The view of a request.
pub(super) fn view(page: &Page, request: &PhoneRequest, at: UnixMillis) -> View {
    let progress = now(request, at);
    let entry = match request.entry {
        EntryState::Failed(trouble) => Some(trouble),
        _ => None,
    };
    let trouble = match progress {
        Progress::Failed(trouble) => Some(trouble),
        Progress::Ready => entry,
        _ => None,
    };
    let advice = match (progress, trouble) {
        (_, Some(trouble)) => Some(texts(trouble)),
        (Progress::Expired, None) => Some(("progress.expired", "progress.expired_do")),
        (Progress::Cancelled, None) => Some(("progress.cancelled", "progress.cancelled_do")),
        _ => None,
    };
    let class = match (progress, trouble) {
        (Progress::Cancelled, _) => "",
        (Progress::Expired, _) => "warn",
        (_, Some(_)) => "bad",
        (Progress::Ready, None) => "good",
        _ => "warn",
    };
    let short = match (progress, trouble) {
        (_, Some(trouble)) => texts(trouble).0,
        (Progress::Expired, None) => "progress.expired",
        (Progress::Cancelled, None) => "progress.cancelled",
        (progress, None) => stage(progress.stage()),
    };
    View {
        way: way(page, progress, trouble),
        short: page.t(short),
        class,
        advice: advice.map(|(title, what_to_do)| (page.t(title), page.t(what_to_do))),
        open: request.is_open(at),
    }
}

fn way(page: &Page, progress: Progress, trouble: Option<Trouble>) -> Vec<(&'static str, Mark)> {
    if matches!(progress, Progress::Expired | Progress::Cancelled) {
        return Vec::new();
    }
    let at = progress.stage();
    let mark = |of: Stage| match (of.cmp(&at), trouble) {
        (std::cmp::Ordering::Less, _) => Mark::Done,
        (std::cmp::Ordering::Equal, Some(_)) => Mark::Stuck,
        (std::cmp::Ordering::Equal, None) if at == Stage::Ready => Mark::Done,
        (std::cmp::Ordering::Equal, None) => Mark::Now,
        (std::cmp::Ordering::Greater, _) => Mark::Ahead,
    };
    STAGES.into_iter().map(|of| (page.t(stage(of)), mark(of))).collect()
}

const fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Waiting => "progress.waiting",
        Stage::Found => "progress.found",
        Stage::Entered => "progress.entered",
        Stage::Updating => "progress.updating",
        Stage::Configuring => "progress.configuring",
        Stage::Ready => "progress.ready",
    }
}

/// Keys of what is wrong and of what to do.
pub(super) const fn texts(trouble: Trouble) -> (&'static str, &'static str) {
    match trouble {
        Trouble::OtherDomain => ("trouble.other_domain", "trouble.other_domain_do"),
        Trouble::UpdateFailed => ("trouble.update_failed", "trouble.update_failed_do"),
        Trouble::ConfigurationFailed => ("trouble.configuration_failed", "trouble.configuration_failed_do"),
        Trouble::PhoneAway => ("trouble.phone_away", "trouble.phone_away_do"),
        Trouble::PhoneGone => ("trouble.phone_gone", "trouble.phone_gone_do"),
        Trouble::UserGone => ("trouble.user_gone", "trouble.user_gone_do"),
        Trouble::AppGone => ("trouble.app_gone", "trouble.app_gone_do"),
        Trouble::TakenByOther => ("trouble.taken_by_other", "trouble.taken_by_other_do"),
        Trouble::TooManyPhones => ("trouble.too_many_phones", "trouble.too_many_phones_do"),
        Trouble::Refused => ("trouble.refused", "trouble.refused_do"),
        Trouble::GivenUp => ("trouble.given_up", "trouble.given_up_do"),
    }
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
