//! Progress of a phone request in words: its stages, and for each problem a title and advice.

use super::Page;
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::{EntryState, PhoneRequest, Progress, STAGES, Stage, Trouble};

/// State of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// The stage is done.
    Done,
    /// The current stage.
    Now,
    /// The stage in which the phone is blocked.
    Stuck,
    /// A later stage.
    Ahead,
}

impl Mark {
    /// CSS class of the element.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Now => "now",
            Self::Stuck => "stuck",
            Self::Ahead => "ahead",
        }
    }

    /// Key of the text for screen readers.
    pub const fn said(self) -> &'static str {
        match self {
            Self::Done => "progress.done",
            Self::Now => "progress.now",
            Self::Stuck => "progress.stuck",
            Self::Ahead => "progress.ahead",
        }
    }
}

/// A phone request as it is displayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    /// The stages with their states; empty if the request has expired or was cancelled.
    pub stages: Vec<(&'static str, Mark)>,
    /// Summary in one line.
    pub short: &'static str,
    /// CSS class of the summary.
    pub class: &'static str,
    /// Title and advice, if there is a problem.
    pub advice: Option<(&'static str, &'static str)>,
    /// Whether the code can still be used.
    pub open: bool,
}

/// The progress of a request at `now`, on the clock of the store. A code whose validity has ended is shown as expired
/// at once, although Devices has not confirmed yet that it was not used in the last moment.
pub(super) fn now(request: &PhoneRequest, now: UnixMillis) -> Progress {
    let over = matches!(request.progress, Progress::Waiting | Progress::Found) && now >= request.valid_until;
    if over { Progress::Expired } else { request.progress }
}

/// Makes the view of a request.
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
        stages: stages(page, progress, trouble),
        short: page.t(short),
        class,
        advice: advice.map(|(title, what_to_do)| (page.t(title), page.t(what_to_do))),
        open: request.is_open(at),
    }
}

fn stages(page: &Page, progress: Progress, trouble: Option<Trouble>) -> Vec<(&'static str, Mark)> {
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

/// Keys of title and advice.
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
