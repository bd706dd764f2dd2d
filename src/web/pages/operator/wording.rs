//! Texts for timeline events, blocked reasons and outcomes of work.

use crate::admin::{Outcome, What};
use crate::core::model::device::Way;
use crate::core::model::timeline::TimelineEvent;
use crate::core::model::work::State;
use crate::core::policy::blocked_reason::BlockedReason;
use crate::web::pages::Page;

/// A way of entry.
pub(super) fn way(page: &Page, way: Way) -> &'static str {
    page.t(match way {
        Way::Code => "way.code",
        Way::Auto => "way.auto",
        Way::Manual => "way.manual",
    })
}

/// A timeline event and its details.
pub(super) fn step(page: &Page, event: &TimelineEvent) -> (&'static str, String) {
    let (key, more) = match event {
        TimelineEvent::Issued => ("event.issued", ""),
        TimelineEvent::Found => ("event.found", ""),
        TimelineEvent::Revoked => ("event.revoked", ""),
        TimelineEvent::Entered(by) => ("event.entered", way(page, *by)),
        TimelineEvent::OtherDomain => ("event.other_domain", ""),
        TimelineEvent::OverQuota => ("event.over_quota", ""),
        TimelineEvent::Removed => ("event.removed", ""),
        TimelineEvent::Moved(domain) => ("event.moved", &**domain),
        TimelineEvent::UpdateOrdered(builds) => ("event.update_ordered", &**builds),
        TimelineEvent::Updated(builds) => ("event.updated", &**builds),
        TimelineEvent::UpdateFailed(why) => ("event.update_failed", &**why),
        TimelineEvent::Configured(kind) => ("event.configured", &**kind),
        TimelineEvent::ConfigFailed(why) => ("event.config_failed", why.as_str()),
        TimelineEvent::CleanedUp => ("event.cleaned_up", ""),
        TimelineEvent::Port(port) => ("event.port", &**port),
        TimelineEvent::NoticeReady => ("event.notice_ready", ""),
        TimelineEvent::NoticeSent(app) => ("event.notice_sent", &**app),
        TimelineEvent::NoticeSettled => ("event.notice_settled", ""),
    };
    (page.t(key), more.to_owned())
}

/// A blocked reason in the language of the page. The reason's own English sentence has more details.
pub(super) fn blocked_reason(page: &Page, blocked: &BlockedReason) -> &'static str {
    use crate::core::policy::blocked_reason::Reason;
    page.t(match blocked.reason {
        Reason::CodeNotUsed => "still.code_not_used",
        Reason::CodeExpired => "still.code_expired",
        Reason::CodeRevoked => "still.code_revoked",
        Reason::DeviceGone => "still.device_gone",
        Reason::OtherDomain => "still.other_domain",
        Reason::PasswordTentative => "still.password_tentative",
        Reason::UpdateNotSeen => "still.update_not_seen",
        Reason::UpdateFailed => "still.update_failed",
        Reason::WaitsForHours => "still.waits_for_hours",
        Reason::ConfigurationFailed => "still.configuration_failed",
        Reason::CleanUpFailed => "still.clean_up_failed",
        Reason::NoticeWaits => "still.notice_waits",
        Reason::NoticeUnsettled => "still.notice_unsettled",
        Reason::Offline => "still.offline",
    })
}

/// Outcome of a piece of work.
pub(super) struct Done {
    pub what: String,
    pub job: Option<u64>,
    pub state: &'static str,
    pub mark: &'static str,
    pub reason: String,
    pub attempts: u8,
    pub at: crate::core::model::time::UnixMillis,
}

impl Done {
    pub fn of(page: &Page, Outcome { what, progress }: &Outcome) -> Self {
        let what = match what {
            What::Update => page.t("work.update").to_owned(),
            What::Config(kind) => kind.name().to_owned(),
            What::CleanUp => page.t("work.clean_up").to_owned(),
        };
        let (state, mark, reason) = match &progress.state {
            State::Ordered => ("work.ordered", "warn", String::new()),
            State::Done => ("work.done", "good", String::new()),
            State::Failed(why) => ("work.failed", "bad", why.to_string()),
        };
        let (attempts, at) = (progress.attempts, progress.at);
        Self { what, job: progress.job.map(|job| job.0), state: page.t(state), mark, reason, attempts, at }
    }
}
