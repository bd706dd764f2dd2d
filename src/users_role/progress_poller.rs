//! How far phones are that somebody looks at. Devices is asked about those only, a bounded number of times a second: thousands of
//! open codes cost nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::settings::Settings;
use crate::core::model::ids::DeviceKey;
use crate::core::model::users_role::{EntryState, PhoneRequest, PhoneStatus, Progress, RequestId, progress};
use crate::core::session::app::client::{Answer, Ask};
use crate::store::StoreError;
use crate::users_role::devices_link::Link;
use crate::users_role::devices_rest::{DevicesError, Operators};
use crate::users_role::order_intake::Placing;

/// Requests that are looked at on this node in one domain; whoever is more sees what notices tell.
const MAX_WATCHED: usize = 1000;

/// One request is asked about no more often than that.
const BETWEEN: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Watched {
    lookers: usize,
    /// The phone, once it is known.
    phone: Option<DeviceKey>,
}

/// The requests that somebody looks at.
#[derive(Debug, Default, Clone)]
pub(super) struct ProgressPoller(Arc<(Mutex<BTreeMap<RequestId, Watched>>, Notify)>);

/// As long as this lives, somebody looks at a request.
#[derive(Debug)]
pub struct PollHandle {
    poller: ProgressPoller,
    id: RequestId,
}

impl ProgressPoller {
    fn watched(&self) -> MutexGuard<'_, BTreeMap<RequestId, Watched>> {
        // A count is whole whatever a panicking thread was doing.
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody looks at this request; `None` if too many are looked at.
    pub fn look_at(&self, id: &RequestId) -> Option<PollHandle> {
        let mut watched = self.watched();
        if watched.len() >= MAX_WATCHED && !watched.contains_key(id) {
            return None;
        }
        watched.entry(id.clone()).or_default().lookers += 1;
        self.0.1.notify_one();
        Some(PollHandle { poller: self.clone(), id: id.clone() })
    }

    /// The first one behind `after`, from the beginning if there is none.
    fn next(&self, after: Option<&RequestId>) -> Option<(RequestId, Option<DeviceKey>)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let watched = self.watched();
        let behind = after.and_then(|after| watched.range((Excluded(after.clone()), Unbounded)).next());
        behind.or_else(|| watched.iter().next()).map(|(id, watched)| (id.clone(), watched.phone.clone()))
    }

    fn len(&self) -> usize {
        self.watched().len()
    }

    fn know(&self, id: &RequestId, phone: &DeviceKey) {
        if let Some(watched) = self.watched().get_mut(id) {
            watched.phone = Some(phone.clone());
        }
    }
}

impl Drop for PollHandle {
    fn drop(&mut self) {
        let mut watched = self.poller.watched();
        if let Some(one) = watched.get_mut(&self.id) {
            one.lookers -= 1;
            if one.lookers == 0 {
                watched.remove(&self.id);
            }
        }
    }
}

/// Asks about one request after the other until it is dropped.
pub(super) async fn keep_looking(
    poller: ProgressPoller,
    operators: Arc<Operators>,
    link: Link,
    placing: Placing,
    settings: Arc<Settings>,
) {
    let mut last = None;
    loop {
        let Some((id, phone)) = poller.next(last.as_ref()) else {
            poller.0.1.notified().await;
            continue;
        };
        if let Err(error) = look(&poller, &operators, &link, &placing, &id, phone).await {
            tracing::debug!(domain = %placing.domain, %error, "progress of a phone not learned");
        }
        last = Some(id);
        // Up to three requests for each look.
        let pace = Duration::from_secs(3) / settings.looks_per_second.max(1);
        let each = BETWEEN / u32::try_from(poller.len().max(1)).unwrap_or(u32::MAX);
        tokio::time::sleep(pace.max(each)).await;
    }
}

#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Devices(#[from] DevicesError),
}

async fn look(
    poller: &ProgressPoller,
    operators: &Operators,
    link: &Link,
    placing: &Placing,
    id: &RequestId,
    phone: Option<DeviceKey>,
) -> Result<(), LookError> {
    let Some(request) = placing.store.phone_request(&placing.domain, id).await? else { return Ok(()) };
    if request.progress.is_final() {
        return Ok(());
    }
    let to = match seen(poller, operators, &request, phone).await {
        Ok(to) => to,
        // No operators' interface there, or not for us: the app protocol knows whether a phone has used the code.
        Err(DevicesError::Refused(_)) => match link.ask(Ask::Provisioned(request.code)).await {
            Ok(Answer::Provisioned(Some(_))) if request.phone.is_none() => Progress::Entered,
            Ok(_) => return Ok(()),
            Err(error) => return Err(DevicesError::from(error).into()),
        },
        Err(error) => return Err(error.into()),
    };
    // That a code has ended is for those to say who ask whether it was used (`open.rs`).
    let said = !matches!(to, Progress::Expired);
    if said && to != request.progress && placing.store.advance_request(&request, request.progress, to).await? {
        placing.teller.tell(&request);
    }
    Ok(())
}

/// How far the phone of a request is.
async fn seen(
    poller: &ProgressPoller,
    operators: &Operators,
    request: &PhoneRequest,
    phone: Option<DeviceKey>,
) -> Result<Progress, DevicesError> {
    let noticed = request.entry != EntryState::None && request.progress == Progress::Ready;
    let Some(code) = operators.code_timeline(request.code).await? else { return Ok(request.progress) };
    let mut seen = PhoneStatus { code: &code.steps, phone: &[], blocked: code.standstill, noticed };
    if progress(&seen).stage() < crate::core::model::users_role::Stage::Entered {
        return Ok(progress(&seen));
    }
    let known = request.phone.as_ref().map(|phone| phone.key.clone()).or(phone);
    let key = match known {
        Some(key) => Some(key),
        None => operators.phone_of(request.code).await?,
    };
    let Some(key) = key else { return Ok(progress(&seen)) };
    poller.know(&request.id, &key);
    let story = operators.phone_timeline(&key).await?.unwrap_or_default();
    seen.phone = &story.steps;
    Ok(progress(&seen))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_looked_at_has_a_turn() {
        let poller = ProgressPoller::default();
        let id = |number| RequestId::new([number; 16]);
        assert_eq!(poller.next(None), None);
        let one = poller.look_at(&id(1)).unwrap();
        let (two, again) = (poller.look_at(&id(2)).unwrap(), poller.look_at(&id(2)).unwrap());
        let next = |after: Option<u8>| poller.next(after.map(id).as_ref()).map(|(id, _)| id);
        assert_eq!([next(None), next(Some(1)), next(Some(2))], [Some(id(1)), Some(id(2)), Some(id(1))]);
        drop(one);
        drop(two);
        assert_eq!(next(None), Some(id(2)), "somebody else still looks");
        drop(again);
        assert_eq!(next(None), None);
    }
}
