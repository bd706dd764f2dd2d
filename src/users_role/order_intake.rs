//! Stores what Devices reports about codes: a used code becomes an entry order, an expired one ends its phone
//! request.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::core::model::ids::{Code, DeviceKey, DomainName};
use crate::core::model::users_role::{PhoneFacts, Progress};
use crate::core::session::app::client::DeviceInfo;
use crate::metrics::{self, Counter, RequestEvent};
use crate::store::{Placed, Result, Store};
use crate::users_role::change_feed::ChangePublisher;

/// Stores reports about the codes of one domain.
#[derive(Clone)]
pub(super) struct OrderIntake {
    pub store: Arc<dyn Store>,
    pub domain: DomainName,
    pub changes: ChangePublisher,
    /// Wakes the task that carries out entry orders.
    pub orders: Arc<Notify>,
}

impl OrderIntake {
    /// A phone has used this code. Once this returns `Ok`, the entry order cannot be lost. `ready`: Devices has sent
    /// the notice; false if it was asked instead.
    pub async fn used(&self, code: Code, device: &DeviceInfo, port: Option<&str>, ready: bool) -> Result<()> {
        let Ok(key) = DeviceKey::parse(&device.hw_id) else {
            tracing::warn!(domain = %self.domain, "Devices has reported a device with an invalid identifier");
            return Ok(());
        };
        let phone = PhoneFacts {
            key,
            name: device.name.clone(),
            product: device.product.clone(),
            version: device.version.clone(),
            port: port.map(Into::into),
        };
        let progress = if ready { Progress::Ready } else { Progress::Entered };
        match self.store.place_order(&self.domain, code, &phone, progress).await? {
            Placed::New(request) => {
                metrics::count(Counter::Request(RequestEvent::Used));
                self.orders.notify_one();
                self.changes.publish(&request);
            }
            Placed::Again(changed) => {
                metrics::count(Counter::Request(RequestEvent::Again));
                if let Some(request) = changed {
                    self.changes.publish(&request);
                }
            }
            // A code of an operator or of another Users service.
            Placed::Unknown => metrics::count(Counter::Request(RequestEvent::Foreign)),
        }
        Ok(())
    }

    /// Devices no longer knows this code, and no phone has used it.
    pub async fn expired(&self, code: Code) -> Result<()> {
        let Some(request) = self.store.request_with_code(&self.domain, code).await? else { return Ok(()) };
        if request.phone.is_none()
            && !request.progress.is_final()
            && self.store.advance_request(&request, request.progress, Progress::Expired).await?
        {
            metrics::count(Counter::Request(RequestEvent::Expired));
            self.changes.publish(&request);
        }
        Ok(())
    }
}
