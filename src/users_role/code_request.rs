//! Requests codes from Devices for new phone requests.

use crate::core::model::ids::{DomainName, RolloutId};
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::{EntryState, PersonId, PhoneRequest, Progress, RequestId, Row, UsersRoleRollout};
use crate::core::session::app::client::{Answer, Ask, AskError};
use crate::metrics::{self, Counter, RequestEvent};
use crate::random;
use crate::users_role::devices_link::Link;

/// The contents of a new phone request.
pub(super) struct RequestDetails<'a> {
    pub domain: &'a DomainName,
    pub person: &'a PersonId,
    pub sip: &'a str,
    pub name: &'a str,
    pub category: &'a str,
    pub app: &'a str,
    pub rollout: Option<RolloutId>,
}

/// Requests a code from Devices; the phone request is not stored yet.
pub(super) async fn ask_code(
    link: &Link,
    request_details: &RequestDetails<'_>,
    now: UnixMillis,
) -> Result<PhoneRequest, AskError> {
    let ask = Ask::Code {
        category: request_details.category.into(),
        sip: Some(request_details.sip).filter(|sip| !sip.is_empty()).map(Into::into),
        rollout: request_details.rollout.is_some(),
    };
    let Answer::Code { code, valid_until } = link.ask(ask).await? else { return Err(AskError::Malformed) };
    metrics::count(Counter::Request(RequestEvent::Asked));
    let mut id = [0; 16];
    random::fill(&mut id);
    Ok(PhoneRequest {
        id: RequestId::new(id),
        domain: request_details.domain.clone(),
        person: request_details.person.clone(),
        sip: request_details.sip.into(),
        name: request_details.name.into(),
        category: request_details.category.into(),
        app: request_details.app.into(),
        code,
        asked: now,
        valid_until: UnixMillis::from_seconds(valid_until),
        rollout: request_details.rollout,
        progress: Progress::Waiting,
        entry: EntryState::None,
        phone: None,
    })
}

/// The contents of the phone request of a row.
pub(super) fn request_details<'a>(
    domain: &'a DomainName,
    rollout: &'a UsersRoleRollout,
    row: &'a Row,
) -> RequestDetails<'a> {
    RequestDetails {
        domain,
        person: &row.person,
        sip: &row.sip,
        name: &row.name,
        category: &rollout.category,
        app: &rollout.app,
        rollout: Some(rollout.id),
    }
}
