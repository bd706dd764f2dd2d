//! What Devices says of the phone of a code, brought into the store.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::core::model::ids::{Code, DeviceKey, DomainName};
use crate::core::model::users_role::{PhoneFacts, Progress};
use crate::core::session::app::client::DeviceInfo;
use crate::metrics::{self, Counter, RequestEvent};
use crate::store::{Placed, Result, Store};
use crate::users_role::change_feed::ChangePublisher;

/// Brings what is learned of the codes of one domain into the store.
#[derive(Clone)]
pub(super) struct Placing {
    pub store: Arc<dyn Store>,
    pub domain: DomainName,
    pub teller: ChangePublisher,
    /// Wakes those who carry out orders.
    pub orders: Arc<Notify>,
}

impl Placing {
    /// A phone has used this code. When this has returned without an error, the order cannot be lost any more. `ready`: Devices has
    /// said so by a notice; it has not if it was asked.
    pub async fn used(&self, code: Code, device: &DeviceInfo, port: Option<&str>, ready: bool) -> Result<()> {
        let Ok(key) = DeviceKey::parse(&device.hw_id) else {
            tracing::warn!(domain = %self.domain, "Devices has told of a device without a usable identifier");
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
                self.teller.tell(&request);
            }
            Placed::Again(changed) => {
                metrics::count(Counter::Request(RequestEvent::Again));
                if let Some(request) = changed {
                    self.teller.tell(&request);
                }
            }
            // A code of an operator or of another Users.
            Placed::Unknown => metrics::count(Counter::Request(RequestEvent::Foreign)),
        }
        Ok(())
    }

    /// Devices does not know this code any more, and nobody has used it.
    pub async fn expired(&self, code: Code) -> Result<()> {
        let Some(request) = self.store.request_with_code(&self.domain, code).await? else { return Ok(()) };
        if request.phone.is_none()
            && !request.progress.is_final()
            && self.store.advance_request(&request, request.progress, Progress::Expired).await?
        {
            metrics::count(Counter::Request(RequestEvent::Expired));
            self.teller.tell(&request);
        }
        Ok(())
    }
}
