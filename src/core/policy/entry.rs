//! Who may enter which domain: the rows of `docs/protocol/sysclient.md` section 5 that decide about an identify.
//!
//! The decision is made on what the store knew a moment ago. The store makes it true or refuses
//! (`store::Devices::enter`), so two devices with one code are settled there and not here.

use crate::core::model::device::{CodeState, Device, IssuedCode, Way};
use crate::core::model::ids::{CategoryId, DeviceKey, DomainName};

/// What the connection has reached when the identify arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// New or unassigned.
    Open,
    /// A challenge was sent, and this identify does not answer it.
    Challenged,
    /// This connection is a member.
    Member,
}

/// The code of an identify, looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeOffer<'a> {
    /// None was sent.
    None,
    /// Not twelve digits, unknown, or expired: the three cannot be told apart.
    Bad,
    /// There is such a code within its validity.
    Found(&'a IssuedCode),
}

/// The query of automatic provisioning, compared (`docs/protocol/sysclient.md` section 6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AutoOffer {
    /// The address had no query of this kind.
    None,
    /// Incomplete, or something in it is wrong.
    Bad,
    /// Domain, token and category are right.
    Good {
        /// The domain.
        domain: DomainName,
        /// The category.
        category: CategoryId,
    },
}

/// Everything that the decision depends on.
#[derive(Debug, Clone)]
pub struct Situation<'a> {
    /// The device that sent the identify.
    pub key: &'a DeviceKey,
    /// Its record, if it belongs to a domain.
    pub device: Option<&'a Device>,
    /// Its code.
    pub code: CodeOffer<'a>,
    /// Its query.
    pub auto: AutoOffer,
    /// Another connection of this device is a member.
    pub other_member: bool,
    /// What this connection has reached.
    pub stage: Stage,
}

/// What has to happen.
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
    /// Known: send a challenge.
    Challenge,
    /// Unknown: keep as unassigned.
    Unassigned,
    /// Nothing changes.
    Stay,
}

/// A decision, and what was noticed on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What has to happen.
    pub step: Step,
    /// The code was a wrong guess.
    pub bad_code: bool,
    /// The query was wrong, and the device is unknown.
    pub bad_token: bool,
    /// Code or query would have moved the device out of another domain; refused, and the code stays open.
    pub other_domain: bool,
}

/// Decides about an identify.
pub fn decide(situation: &Situation<'_>) -> Verdict {
    let Situation { key, device, code, auto, other_member, stage } = situation;
    let offer = weigh(*code, key, *device, *stage);
    let mut verdict = Verdict {
        step: Step::Stay,
        bad_code: offer == Offer::Wrong && *stage != Stage::Member,
        bad_token: *auto == AutoOffer::Bad && device.is_none(),
        other_domain: false,
    };
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
    }
    if let AutoOffer::Good { domain, category } = auto {
        if *domain == device.domain {
            if *stage == Stage::Challenged && entered_in_vain(device) && may_replace {
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

/// The device entered by the query, but nothing proves that its password has ever arrived. The token is shared by many
/// devices, so it counts once more only for a device that has been asked and could not answer
/// (`docs/protocol/sysclient.md` 5.1).
pub fn entered_in_vain(device: &Device) -> bool {
    device.tentative && device.way == Way::Auto
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Offer<'a> {
    None,
    Good(&'a DomainName),
    /// Used up by this very device: not good any more, but no guess either.
    Spent,
    Wrong,
}

fn weigh<'a>(code: CodeOffer<'a>, key: &DeviceKey, device: Option<&Device>, stage: Stage) -> Offer<'a> {
    match code {
        CodeOffer::None => Offer::None,
        CodeOffer::Bad => Offer::Wrong,
        CodeOffer::Found(code) => match &code.state {
            CodeState::Open => Offer::Good(&code.domain),
            // A member has its password; a code that it keeps sending does nothing twice
            // (`docs/protocol/sysclient.md` section 5).
            CodeState::Used { by, .. } if by == key && stage == Stage::Member => Offer::Spent,
            CodeState::Used { by, port: None } if by == key => {
                // Without a record its last entry broke off half-way, or it was removed since; the store knows which.
                let again =
                    device.is_none_or(|d| d.tentative && d.entry_code == Some(code.code) && d.domain == code.domain);
                if again { Offer::Good(&code.domain) } else { Offer::Spent }
            }
            CodeState::Used { .. } => Offer::Wrong,
        },
    }
}

#[cfg(test)]
mod tests;
