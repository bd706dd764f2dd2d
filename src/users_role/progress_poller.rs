//! Polls the progress of phone requests that a page shows. Only those are polled, at a bounded rate, so open codes
//! that nobody watches cost nothing.

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
use crate::users_role::devices_rest::{DevicesError, OperatorApi};
use crate::users_role::order_intake::OrderIntake;

/// Bound of watched requests per domain and node; further pages see only what notices report.
const MAX_WATCHED: usize = 1000;

/// Shortest interval between polls of one request.
const BETWEEN: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Watched {
    subscribers: usize,
    /// Device key of the phone, once known.
    phone: Option<DeviceKey>,
}

/// The watched requests.
#[derive(Debug, Default, Clone)]
pub(super) struct ProgressPoller(Arc<(Mutex<BTreeMap<RequestId, Watched>>, Notify)>);

/// Keeps a request watched until dropped.
#[derive(Debug)]
pub struct PollHandle {
    poller: ProgressPoller,
    id: RequestId,
}

impl ProgressPoller {
    fn watched(&self) -> MutexGuard<'_, BTreeMap<RequestId, Watched>> {
        // A panic cannot leave the counts inconsistent.
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches a request; `None` if too many are watched.
    pub fn subscribe(&self, id: &RequestId) -> Option<PollHandle> {
        let mut watched = self.watched();
        if watched.len() >= MAX_WATCHED && !watched.contains_key(id) {
            return None;
        }
        watched.entry(id.clone()).or_default().subscribers += 1;
        self.0.1.notify_one();
        Some(PollHandle { poller: self.clone(), id: id.clone() })
    }

    /// The next request after `after` in order of identifiers, wrapping around.
    fn next(&self, after: Option<&RequestId>) -> Option<(RequestId, Option<DeviceKey>)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let watched = self.watched();
        let behind = after.and_then(|after| watched.range((Excluded(after.clone()), Unbounded)).next());
        behind.or_else(|| watched.iter().next()).map(|(id, watched)| (id.clone(), watched.phone.clone()))
    }

    fn len(&self) -> usize {
        self.watched().len()
    }

    fn remember_phone(&self, id: &RequestId, phone: &DeviceKey) {
        if let Some(watched) = self.watched().get_mut(id) {
            watched.phone = Some(phone.clone());
        }
    }
}

impl Drop for PollHandle {
    fn drop(&mut self) {
        let mut watched = self.poller.watched();
        if let Some(one) = watched.get_mut(&self.id) {
            one.subscribers -= 1;
            if one.subscribers == 0 {
                watched.remove(&self.id);
            }
        }
    }
}

/// Polls the watched requests in turn until dropped.
pub(super) async fn poll_progress(
    poller: ProgressPoller,
    operator_api: Arc<OperatorApi>,
    link: Link,
    intake: OrderIntake,
    settings: Arc<Settings>,
) {
    let mut last = None;
    loop {
        let Some((id, phone)) = poller.next(last.as_ref()) else {
            poller.0.1.notified().await;
            continue;
        };
        if let Err(error) = poll_one(&poller, &operator_api, &link, &intake, &id, phone).await {
            tracing::debug!(domain = %intake.domain, %error, "progress of a phone request not polled");
        }
        last = Some(id);
        // One poll makes up to three requests.
        let min_interval = Duration::from_secs(3) / settings.polls_per_second.max(1);
        let each = BETWEEN / u32::try_from(poller.len().max(1)).unwrap_or(u32::MAX);
        tokio::time::sleep(min_interval.max(each)).await;
    }
}

#[derive(Debug, thiserror::Error)]
enum PollError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Devices(#[from] DevicesError),
}

async fn poll_one(
    poller: &ProgressPoller,
    operator_api: &OperatorApi,
    link: &Link,
    intake: &OrderIntake,
    id: &RequestId,
    phone: Option<DeviceKey>,
) -> Result<(), PollError> {
    let Some(request) = intake.store.phone_request(&intake.domain, id).await? else { return Ok(()) };
    if request.progress.is_final() {
        return Ok(());
    }
    let to = match fetch_progress(poller, operator_api, &request, phone).await {
        Ok(to) => to,
        // The REST interface is missing or refuses us; the app protocol still tells whether the code was used.
        Err(DevicesError::Refused(_)) => match link.ask(Ask::Provisioned(request.code)).await {
            Ok(Answer::Provisioned(Some(_))) if request.phone.is_none() => Progress::Entered,
            Ok(_) => return Ok(()),
            Err(error) => return Err(DevicesError::from(error).into()),
        },
        Err(error) => return Err(error.into()),
    };
    // Expiry is recorded by `open_codes`, which asks whether the code was used.
    let is_reported = !matches!(to, Progress::Expired);
    if is_reported && to != request.progress && intake.store.advance_request(&request, request.progress, to).await? {
        intake.changes.publish(&request);
    }
    Ok(())
}

/// Asks Devices for the progress of a request.
async fn fetch_progress(
    poller: &ProgressPoller,
    operator_api: &OperatorApi,
    request: &PhoneRequest,
    phone: Option<DeviceKey>,
) -> Result<Progress, DevicesError> {
    let noticed = request.entry != EntryState::None && request.progress == Progress::Ready;
    let Some(code) = operator_api.code_timeline(request.code).await? else { return Ok(request.progress) };
    let mut status = PhoneStatus { code: &code.steps, phone: &[], blocked: code.blocked, noticed };
    if progress(&status).stage() < crate::core::model::users_role::Stage::Entered {
        return Ok(progress(&status));
    }
    let known = request.phone.as_ref().map(|phone| phone.key.clone()).or(phone);
    let key = match known {
        Some(key) => Some(key),
        None => operator_api.phone_of(request.code).await?,
    };
    let Some(key) = key else { return Ok(progress(&status)) };
    poller.remember_phone(&request.id, &key);
    let timeline = operator_api.phone_timeline(&key).await?.unwrap_or_default();
    status.phone = &timeline.steps;
    Ok(progress(&status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscribed_requests_take_turns() {
        let poller = ProgressPoller::default();
        let id = |number| RequestId::new([number; 16]);
        assert_eq!(poller.next(None), None);
        let one = poller.subscribe(&id(1)).unwrap();
        let (two, again) = (poller.subscribe(&id(2)).unwrap(), poller.subscribe(&id(2)).unwrap());
        let next = |after: Option<u8>| poller.next(after.map(id).as_ref()).map(|(id, _)| id);
        assert_eq!([next(None), next(Some(1)), next(Some(2))], [Some(id(1)), Some(id(2)), Some(id(1))]);
        drop(one);
        drop(two);
        assert_eq!(next(None), Some(id(2)), "another subscription is left");
        drop(again);
        assert_eq!(next(None), None);
    }
}
