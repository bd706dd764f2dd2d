//! Derives the progress of a phone request from the timelines of its code and of its phone.

use serde::{Deserialize, Serialize};

use crate::core::model::blocked_reason::Reason;
use crate::core::model::timeline::TimelineEvent;

/// Progress of a phone request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "trouble")]
pub enum Progress {
    /// No phone has sent the code yet.
    Waiting,
    /// A phone has asked the directory with this code.
    Found,
    /// A phone has entered the domain.
    Entered,
    /// Its software is being updated.
    Updating,
    /// It is being configured.
    Configuring,
    /// It is updated and configured.
    Ready,
    /// The code has expired unused.
    Expired,
    /// The request was cancelled.
    Cancelled,
    /// It is blocked.
    Failed(Trouble),
}

/// Why a phone is blocked or has no entry. The pages have a sentence for each, which says what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// The phone belongs to another domain, which has to remove it first. The code stays open.
    OtherDomain,
    /// The update has failed; it is retried.
    UpdateFailed,
    /// A configuration could not be applied; it is retried.
    ConfigurationFailed,
    /// The phone has entered and has not connected again.
    PhoneAway,
    /// The phone was removed from the domain.
    PhoneGone,
    /// The backend no longer knows the user.
    UserGone,
    /// The backend does not know the phone app.
    AppGone,
    /// The phone is entered for another user and may not be moved.
    TakenByOther,
    /// The user has the highest number of phones that can be entered.
    TooManyPhones,
    /// The backend refuses the entry.
    Refused,
    /// The backend was unavailable until the order timed out.
    GivenUp,
}

impl Trouble {
    /// All values.
    pub const ALL: [Self; 11] = [
        Self::OtherDomain,
        Self::UpdateFailed,
        Self::ConfigurationFailed,
        Self::PhoneAway,
        Self::PhoneGone,
        Self::UserGone,
        Self::AppGone,
        Self::TakenByOther,
        Self::TooManyPhones,
        Self::Refused,
        Self::GivenUp,
    ];

    /// Its stable name: used in stored records, and as key of its sentence.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OtherDomain => "other-domain",
            Self::UpdateFailed => "update-failed",
            Self::ConfigurationFailed => "configuration-failed",
            Self::PhoneAway => "phone-away",
            Self::PhoneGone => "phone-gone",
            Self::UserGone => "user-gone",
            Self::AppGone => "app-gone",
            Self::TakenByOther => "taken-by-other",
            Self::TooManyPhones => "too-many-phones",
            Self::Refused => "refused",
            Self::GivenUp => "given-up",
        }
    }
}

/// The stages that the pages show, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The code waits for a phone.
    Waiting,
    /// A phone has asked the directory with the code.
    Found,
    /// It has entered the domain.
    Entered,
    /// Its software is updated.
    Updating,
    /// It is configured.
    Configuring,
    /// It can be used.
    Ready,
}

/// All stages in their order.
pub const STAGES: [Stage; 6] =
    [Stage::Waiting, Stage::Found, Stage::Entered, Stage::Updating, Stage::Configuring, Stage::Ready];

impl Progress {
    /// The stage it is in, or is blocked in.
    pub const fn stage(self) -> Stage {
        match self {
            Self::Waiting | Self::Expired | Self::Cancelled => Stage::Waiting,
            Self::Found | Self::Failed(Trouble::OtherDomain) => Stage::Found,
            Self::Entered | Self::Failed(Trouble::PhoneAway | Trouble::PhoneGone) => Stage::Entered,
            Self::Updating | Self::Failed(Trouble::UpdateFailed) => Stage::Updating,
            Self::Configuring | Self::Failed(Trouble::ConfigurationFailed) => Stage::Configuring,
            Self::Ready | Self::Failed(_) => Stage::Ready,
        }
    }

    /// Whether it can no longer change.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Ready | Self::Expired | Self::Cancelled)
    }
}

/// What Devices reports of a code and of the phone that has used it.
#[derive(Debug, Clone, Copy, Default)]
pub struct PhoneStatus<'a> {
    /// Timeline of the code, oldest event first.
    pub code: &'a [TimelineEvent],
    /// Timeline of the phone that has used it, oldest event first; empty while none has.
    pub phone: &'a [TimelineEvent],
    /// Why it is blocked, if it is.
    pub blocked: Option<Reason>,
    /// The notice has arrived: Devices has finished its work, or has stopped waiting for that.
    pub noticed: bool,
}

/// The progress of the phone request.
pub fn progress(status: &PhoneStatus<'_>) -> Progress {
    let entered = status.code.iter().any(|step| matches!(step, TimelineEvent::Entered(_) | TimelineEvent::Port(_)));
    if !entered && !status.noticed {
        return before_entry(status);
    }
    // Events before the last entry do not count.
    let since = status.phone.iter().rposition(|step| matches!(step, TimelineEvent::Entered(_))).map_or(0, |at| at + 1);
    let latest = status.phone.iter().skip(since).rev().find_map(|step| match step {
        TimelineEvent::UpdateOrdered(_) => Some(Progress::Updating),
        TimelineEvent::UpdateFailed(_) => Some(Progress::Failed(Trouble::UpdateFailed)),
        TimelineEvent::ConfigFailed(_) => Some(Progress::Failed(Trouble::ConfigurationFailed)),
        TimelineEvent::Updated(_) | TimelineEvent::Configured(_) | TimelineEvent::CleanedUp => {
            Some(Progress::Configuring)
        }
        _ => None,
    });
    let trouble = match status.blocked {
        Some(Reason::UpdateFailed) => Some(Trouble::UpdateFailed),
        Some(Reason::ConfigurationFailed | Reason::CleanUpFailed) => Some(Trouble::ConfigurationFailed),
        Some(Reason::DeviceGone) => Some(Trouble::PhoneGone),
        Some(Reason::PasswordTentative) if !status.noticed => Some(Trouble::PhoneAway),
        _ => None,
    };
    match (trouble, status.noticed) {
        (Some(trouble), _) => Progress::Failed(trouble),
        // The notice comes after the work, or 15 minutes after the entry if the work takes longer.
        (None, true) if status.blocked == Some(Reason::UpdateNotSeen) => Progress::Updating,
        (None, true) => Progress::Ready,
        // A failed step that was retried since is no trouble any more.
        (None, false) => latest.filter(|latest| !matches!(latest, Progress::Failed(_))).unwrap_or(Progress::Entered),
    }
}

fn before_entry(status: &PhoneStatus<'_>) -> Progress {
    let has = |wanted: &TimelineEvent| status.code.contains(wanted);
    match status.blocked {
        _ if has(&TimelineEvent::Revoked) => Progress::Cancelled,
        Some(Reason::CodeRevoked) => Progress::Cancelled,
        Some(Reason::CodeExpired) => Progress::Expired,
        _ if has(&TimelineEvent::OtherDomain) => Progress::Failed(Trouble::OtherDomain),
        _ if has(&TimelineEvent::Found) => Progress::Found,
        _ => Progress::Waiting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::device::Way;

    fn of(code: &[TimelineEvent], phone: &[TimelineEvent], blocked: Option<Reason>, noticed: bool) -> Progress {
        progress(&PhoneStatus { code, phone, blocked, noticed })
    }

    #[test]
    fn a_phone_goes_through_all_stages() {
        use TimelineEvent::{CleanedUp, Configured, Entered, Found, Issued, UpdateOrdered, Updated};
        let code = [Issued, Found, Entered(Way::Code)];
        let phone = [
            // Before the last entry.
            Entered(Way::Code),
            Configured("phone".into()),
            TimelineEvent::Removed,
            // After it.
            Entered(Way::Code),
            UpdateOrdered("136012".into()),
            Updated("136012".into()),
            Configured("phone".into()),
            CleanedUp,
        ];
        assert_eq!(of(&code[..0], &[], None, false), Progress::Waiting);
        assert_eq!(of(&code[..1], &[], Some(Reason::CodeNotUsed), false), Progress::Waiting);
        assert_eq!(of(&code[..2], &[], Some(Reason::CodeNotUsed), false), Progress::Found);
        assert_eq!(of(&code, &[], None, false), Progress::Entered);
        let expected_progress = [Progress::Entered, Progress::Updating, Progress::Configuring, Progress::Configuring];
        for (steps, expected) in expected_progress.into_iter().enumerate() {
            assert_eq!(of(&code, &phone[..4 + steps], None, false), expected, "{steps}");
        }
        assert_eq!(of(&code, &phone, None, true), Progress::Ready);
        assert_eq!(of(&[], &[], None, true), Progress::Ready, "a notice is enough");
        let stages = STAGES.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(stages && Progress::Ready.stage() == STAGES[5] && Progress::Waiting.stage() == STAGES[0]);
    }

    #[test]
    fn every_trouble_has_a_name() {
        use TimelineEvent::{Entered, Issued, Revoked};
        let entered = [Issued, Entered(Way::Code)];
        let failed = |trouble| Progress::Failed(trouble);
        for (code, blocked, noticed, expected) in [
            (&[Issued][..], Some(Reason::CodeExpired), false, Progress::Expired),
            (&[Issued, Revoked], Some(Reason::CodeRevoked), false, Progress::Cancelled),
            (&[Issued, Revoked], None, false, Progress::Cancelled),
            (&[Issued, TimelineEvent::OtherDomain], Some(Reason::OtherDomain), false, failed(Trouble::OtherDomain)),
            (&entered, Some(Reason::UpdateFailed), false, failed(Trouble::UpdateFailed)),
            (&entered, Some(Reason::UpdateFailed), true, failed(Trouble::UpdateFailed)),
            (&entered, Some(Reason::UpdateNotSeen), true, Progress::Updating),
            (&entered, Some(Reason::CleanUpFailed), false, failed(Trouble::ConfigurationFailed)),
            (&entered, Some(Reason::DeviceGone), true, failed(Trouble::PhoneGone)),
            (&entered, Some(Reason::PasswordTentative), false, failed(Trouble::PhoneAway)),
            (&entered, Some(Reason::NoticeWaits), true, Progress::Ready),
            (&entered, Some(Reason::Offline), true, Progress::Ready),
        ] {
            assert_eq!(of(code, &[], blocked, noticed), expected, "{code:?} {blocked:?} {noticed}");
        }
        for trouble in Trouble::ALL {
            assert_eq!(serde_json::to_string(&trouble).unwrap(), format!("\"{}\"", trouble.as_str()));
        }
    }

    #[test]
    fn a_retried_step_is_no_trouble() {
        use TimelineEvent::{Entered, Issued, UpdateFailed, UpdateOrdered};
        let code = [Issued, Entered(Way::Code)];
        let phone = [UpdateOrdered("1".into()), UpdateFailed("busy".into()), UpdateOrdered("1".into())];
        assert_eq!(of(&code, &phone, Some(Reason::UpdateNotSeen), false), Progress::Updating);
        assert_eq!(of(&code, &phone[..2], None, false), Progress::Entered);
    }
}
