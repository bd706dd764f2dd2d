//! Decides which domain a device enters by its identify: the table of `docs/protocol/sysclient.md` section 5.
//!
//! The decision is made on records read a moment before and must not be taken as final: the store applies or refuses
//! it atomically (`store::Devices::enter`), which settles a race of two devices for one code.

use crate::core::model::device::{CodeState, Device, IssuedCode, Way};
use crate::core::model::ids::{CategoryId, DeviceKey, DomainName};

/// State of the connection when the identify arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// New, or registered as an unassigned device.
    Open,
    /// A challenge was sent, and this identify does not answer it.
    Challenged,
    /// This connection is a member.
    Member,
}

/// The code of an identify, after looking it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeOffer<'a> {
    /// None was sent.
    None,
    /// Malformed, unknown or expired; the caller cannot tell these apart.
    Bad,
    /// The code exists and is valid.
    Found(&'a IssuedCode),
}

/// The query of automatic provisioning, after comparing it (`docs/protocol/sysclient.md` section 6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AutoOffer {
    /// The address had no such query, or it is not looked at.
    None,
    /// Incomplete or unreadable, so nothing was compared.
    Bad,
    /// There is no such domain, it has no token, or it has another one.
    WrongToken,
    /// The token is right, but the domain has no such category, or that is not for provisioning.
    WrongCategory {
        /// The domain.
        domain: DomainName,
        /// The category.
        category: Box<str>,
    },
    /// Domain, token and category are right.
    Good {
        /// The domain.
        domain: DomainName,
        /// The category.
        category: CategoryId,
    },
}

/// Input of the decision.
#[derive(Debug, Clone)]
pub struct Situation<'a> {
    /// The device that sent the identify.
    pub key: &'a DeviceKey,
    /// Its record, if it belongs to a domain.
    pub device: Option<&'a Device>,
    /// Its code, looked up.
    pub code: CodeOffer<'a>,
    /// Its query, compared.
    pub auto: AutoOffer,
    /// Another connection of this device is a member.
    pub other_member: bool,
    /// State of this connection.
    pub stage: Stage,
}

/// The step to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Enter with the code.
    EnterByCode,
    /// Enter by the query.
    EnterByQuery {
        /// The domain.
        domain: DomainName,
        /// The category.
        category: CategoryId,
    },
    /// The device is known: send a challenge.
    Challenge,
    /// The device is unknown: register it as unassigned.
    Unassigned,
    /// Nothing changes.
    Stay,
}

/// A decision, and what the caller has to count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The step to take.
    pub step: Step,
    /// Counts as a bad code (`docs/protocol/sysclient.md` 9.1), whatever the connection has proved.
    pub bad_code: bool,
    /// Code or query would have moved the device out of another domain; refused, and the code stays open.
    pub other_domain: bool,
}

/// Decides about an identify.
pub fn decide(situation: &Situation<'_>) -> Verdict {
    let Situation { key, device, code, auto, other_member, stage } = situation;
    let offer = assess(*code, key, *device, *stage);
    let mut verdict = Verdict { step: Step::Stay, bad_code: offer == Offer::Wrong, other_domain: false };
    let Some(device) = device else {
        verdict.step = match (offer, auto) {
            (Offer::Good(_), _) => Step::EnterByCode,
            (_, AutoOffer::Good { domain, category }) => {
                Step::EnterByQuery { domain: domain.clone(), category: *category }
            }
            _ => Step::Unassigned,
        };
        return verdict;
    };

    let may_replace = *stage == Stage::Member || !other_member;
    if let Offer::Good(domain) = offer {
        if *domain == device.domain && may_replace {
            verdict.step = Step::EnterByCode;
            return verdict;
        }
        verdict.other_domain = *domain != device.domain;
        verdict.bad_code = verdict.other_domain;
    }
    if let AutoOffer::Good { domain, category } = auto {
        if *domain == device.domain {
            if *stage == Stage::Challenged && entered_unproved(device) && may_replace {
                verdict.step = Step::EnterByQuery { domain: domain.clone(), category: *category };
                return verdict;
            }
        } else {
            verdict.other_domain = true;
        }
    }
    if *stage == Stage::Open {
        verdict.step = Step::Challenge;
    }
    verdict
}

/// Whether the query of a device is looked at: once its password is proved it does not matter any more
/// (`docs/protocol/sysclient.md` section 6).
pub fn query_matters(device: Option<&Device>) -> bool {
    device.is_none_or(|device| device.tentative)
}

/// Whether the device entered by the query and has not proved its password since. The token is shared by many devices,
/// so it is accepted again only from a device that was challenged and could not answer (`docs/protocol/sysclient.md`
/// 5.1).
pub fn entered_unproved(device: &Device) -> bool {
    device.tentative && device.way == Way::Auto
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Offer<'a> {
    None,
    Good(&'a DomainName),
    /// Used up by this very device: no longer valid, but not a wrong code either.
    Spent,
    Wrong,
}

fn assess<'a>(code: CodeOffer<'a>, key: &DeviceKey, device: Option<&Device>, stage: Stage) -> Offer<'a> {
    match code {
        CodeOffer::None => Offer::None,
        CodeOffer::Bad => Offer::Wrong,
        CodeOffer::Found(code) => match &code.state {
            CodeState::Open => Offer::Good(&code.domain),
            // A member has its password, so repeating its code has no effect (`docs/protocol/sysclient.md` section 5).
            CodeState::Used { by, .. } if by == key && stage == Stage::Member => Offer::Spent,
            CodeState::Used { by, port: None } if by == key => {
                // Without a record the last entry was interrupted, or the device was removed since; the store tells
                // which.
                let again =
                    device.is_none_or(|d| d.tentative && d.entry_code == Some(code.code) && d.domain == code.domain);
                if again { Offer::Good(&code.domain) } else { Offer::Spent }
            }
            CodeState::Used { .. } | CodeState::Lent { .. } => Offer::Wrong,
        },
    }
}

#[cfg(test)]
mod tests;
