//! How far a phone is on its way, from what Devices says of its code and of itself.

use serde::{Deserialize, Serialize};

use crate::core::model::blocked_reason::Reason;
use crate::core::model::timeline::TimelineEvent;

/// How far a phone is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "trouble")]
pub enum Progress {
    /// No phone has brought the code yet.
    Waiting,
    /// The directory has told a phone where to go with it.
    Found,
    /// A phone has entered the domain.
    Entered,
    /// Its software is being updated.
    Updating,
    /// It is being configured.
    Configuring,
    /// It is updated and configured.
    Ready,
    /// The time of the code is over, and no phone has used it.
    Expired,
    /// The request was taken back.
    Cancelled,
    /// It stands still.
    Failed(Trouble),
}

/// Why a phone stands still or has no entry. The pages have a sentence for each, and say what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// The phone belongs to another domain, which has to take it out first. The code stays open.
    OtherDomain,
    /// The update has failed; it is tried again.
    UpdateFailed,
    /// A configuration could not be brought to the phone; it is tried again.
    ConfigurationFailed,
    /// The phone has been let in and has not come back.
    PhoneAway,
    /// The phone was taken out of the domain.
    PhoneGone,
    /// The backend does not know the user any more.
    UserGone,
    /// The backend does not know the phone app.
    AppGone,
    /// The phone is entered for somebody else, and is not to be moved.
    TakenByOther,
    /// The user has as many phones as can be entered.
    TooManyPhones,
    /// The backend refuses the entry.
    Refused,
    /// The backend could not be reached for as long as an order waits.
    GivenUp,
}

impl Trouble {
    /// All of them.
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

    /// Its name: the same everywhere, and the key of its sentence.
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

/// The way of a phone, as it is shown: from the code to the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The code waits for a phone.
    Waiting,
    /// A phone was found.
    Found,
    /// It has entered the domain.
    Entered,
    /// Its software.
    Updating,
    /// Its configuration.
    Configuring,
    /// It can be used.
    Ready,
}

/// All stages in their order.
pub const STAGES: [Stage; 6] =
    [Stage::Waiting, Stage::Found, Stage::Entered, Stage::Updating, Stage::Configuring, Stage::Ready];

impl Progress {
    /// The stage that it is in, or stands still in.
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

    /// Whether it stays as it is, whatever comes.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Ready | Self::Expired | Self::Cancelled)
    }
}

/// What Devices says of a code and of the phone that has used it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen<'a> {
    /// What has happened to the code, oldest first.
    pub code: &'a [TimelineEvent],
    /// What has happened to the phone that has used it, oldest first; empty while none has.
    pub phone: &'a [TimelineEvent],
    /// Why nothing more happens, if nothing does.
    pub standstill: Option<Reason>,
    /// The notice has come: Devices has done what it had to do, or has given up waiting for that.
    pub noticed: bool,
}

/// How far the phone is.
pub fn progress(seen: &Seen<'_>) -> Progress {
    let entered = seen.code.iter().any(|step| matches!(step, TimelineEvent::Entered(_) | TimelineEvent::Port(_)));
    if !entered && !seen.noticed {
        return before_entry(seen);
    }
    // What happened to the phone in an earlier life says nothing of this one.
    let since = seen.phone.iter().rposition(|step| matches!(step, TimelineEvent::Entered(_))).map_or(0, |at| at + 1);
    let latest = seen.phone.iter().skip(since).rev().find_map(|step| match step {
        TimelineEvent::UpdateOrdered(_) => Some(Progress::Updating),
        TimelineEvent::UpdateFailed(_) => Some(Progress::Failed(Trouble::UpdateFailed)),
        TimelineEvent::ConfigFailed(_) => Some(Progress::Failed(Trouble::ConfigurationFailed)),
        TimelineEvent::Updated(_) | TimelineEvent::Configured(_) | TimelineEvent::CleanedUp => {
            Some(Progress::Configuring)
        }
        _ => None,
    });
    let trouble = match seen.standstill {
        Some(Reason::UpdateFailed) => Some(Trouble::UpdateFailed),
        Some(Reason::ConfigurationFailed | Reason::CleanUpFailed) => Some(Trouble::ConfigurationFailed),
        Some(Reason::DeviceGone) => Some(Trouble::PhoneGone),
        Some(Reason::PasswordTentative) if !seen.noticed => Some(Trouble::PhoneAway),
        _ => None,
    };
    match (trouble, seen.noticed) {
        (Some(trouble), _) => Progress::Failed(trouble),
        // The notice comes after the work, or 15 minutes after the entry if the work takes longer.
        (None, true) if seen.standstill == Some(Reason::UpdateNotSeen) => Progress::Updating,
        (None, true) => Progress::Ready,
        // A step that failed and was tried again since is no trouble any more.
        (None, false) => latest.filter(|latest| !matches!(latest, Progress::Failed(_))).unwrap_or(Progress::Entered),
    }
}

fn before_entry(seen: &Seen<'_>) -> Progress {
    let has = |wanted: &TimelineEvent| seen.code.contains(wanted);
    match seen.standstill {
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

    fn of(code: &[TimelineEvent], phone: &[TimelineEvent], standstill: Option<Reason>, noticed: bool) -> Progress {
        progress(&Seen { code, phone, standstill, noticed })
    }

    #[test]
    fn a_phone_goes_its_way() {
        use TimelineEvent::{CleanedUp, Configured, Entered, Found, Issued, UpdateOrdered, Updated};
        let code = [Issued, Found, Entered(Way::Code)];
        let phone = [
            // An earlier life.
            Entered(Way::Code),
            Configured("phone".into()),
            TimelineEvent::Removed,
            // This one.
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
        let way = [Progress::Entered, Progress::Updating, Progress::Configuring, Progress::Configuring];
        for (steps, expected) in way.into_iter().enumerate() {
            assert_eq!(of(&code, &phone[..4 + steps], None, false), expected, "{steps}");
        }
        assert_eq!(of(&code, &phone, None, true), Progress::Ready);
        assert_eq!(of(&[], &[], None, true), Progress::Ready, "a notice is enough");
        let stages = STAGES.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(stages && Progress::Ready.stage() == STAGES[5] && Progress::Waiting.stage() == STAGES[0]);
    }

    #[test]
    fn every_trouble_has_its_name() {
        use TimelineEvent::{Entered, Issued, Revoked};
        let entered = [Issued, Entered(Way::Code)];
        let failed = |trouble| Progress::Failed(trouble);
        for (code, standstill, noticed, expected) in [
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
            assert_eq!(of(code, &[], standstill, noticed), expected, "{code:?} {standstill:?} {noticed}");
        }
        for trouble in Trouble::ALL {
            assert_eq!(serde_json::to_string(&trouble).unwrap(), format!("\"{}\"", trouble.as_str()));
        }
    }

    #[test]
    fn what_is_tried_again_is_no_trouble_while_it_is_tried() {
        use TimelineEvent::{Entered, Issued, UpdateFailed, UpdateOrdered};
        let code = [Issued, Entered(Way::Code)];
        let phone = [UpdateOrdered("1".into()), UpdateFailed("busy".into()), UpdateOrdered("1".into())];
        assert_eq!(of(&code, &phone, Some(Reason::UpdateNotSeen), false), Progress::Updating);
        assert_eq!(of(&code, &phone[..2], None, false), Progress::Entered);
    }
}
