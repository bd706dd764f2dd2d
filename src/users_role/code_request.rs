//! Asks Devices for the code of a phone request.

use crate::core::model::ids::{DomainName, RolloutId};
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::{EntryState, PeopleRollout, PersonId, PhoneRequest, Progress, RequestId, Row};
use crate::core::session::app::client::{Answer, Ask, AskError};
use crate::metrics::{self, Counter, RequestEvent};
use crate::random;
use crate::users_role::devices_link::Link;

/// For whom a phone is wanted, and which.
pub(super) struct Wanted<'a> {
    pub domain: &'a DomainName,
    pub person: &'a PersonId,
    pub sip: &'a str,
    pub name: &'a str,
    pub category: &'a str,
    pub app: &'a str,
    pub rollout: Option<RolloutId>,
}

/// Asks Devices for a code; the request is not kept yet.
pub(super) async fn ask_code(link: &Link, wanted: &Wanted<'_>, now: UnixMillis) -> Result<PhoneRequest, AskError> {
    let ask = Ask::Code {
        category: wanted.category.into(),
        sip: Some(wanted.sip).filter(|sip| !sip.is_empty()).map(Into::into),
        rollout: wanted.rollout.is_some(),
    };
    let Answer::Code { code, valid_until } = link.ask(ask).await? else { return Err(AskError::Malformed) };
    metrics::count(Counter::Request(RequestEvent::Asked));
    let mut id = [0; 16];
    random::fill(&mut id);
    Ok(PhoneRequest {
        id: RequestId::new(id),
        domain: wanted.domain.clone(),
        person: wanted.person.clone(),
        sip: wanted.sip.into(),
        name: wanted.name.into(),
        category: wanted.category.into(),
        app: wanted.app.into(),
        code,
        asked: now,
        valid_until: UnixMillis::from_seconds(valid_until),
        rollout: wanted.rollout,
        progress: Progress::Waiting,
        entry: EntryState::None,
        phone: None,
    })
}

/// The phone that a row of a roll-out asks for.
pub(super) fn wanted<'a>(domain: &'a DomainName, rollout: &'a PeopleRollout, row: &'a Row) -> Wanted<'a> {
    Wanted {
        domain,
        person: &row.person,
        sip: &row.sip,
        name: &row.name,
        category: &rollout.category,
        app: &rollout.app,
        rollout: Some(rollout.id),
    }
}
