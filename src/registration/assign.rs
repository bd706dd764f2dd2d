//! Assignment of a device to a domain by an operator.
//!
//! Only the records change here. The caller publishes [`crate::store::Signal::Recheck`], so that the connection of the
//! device reads them again.

use crate::core::model::device::{Device, Facts};
use crate::core::model::ids::{CategoryId, DeviceKey, DomainName};
use crate::core::protocol::sysclient::auth::PASSWORD_CHARS;
use crate::core::session::device::event::Membership;
use crate::metrics::Registration;
use crate::random;
use crate::store::{Entered, Entry, EntryRight, Result};

use super::RegistrationService;
use super::claim::{count_registration, membership};

impl RegistrationService {
    /// Enters a device into a domain by an operator's order; `from` is the domain that it leaves for it. `None` if the
    /// store refuses, because somebody else has changed the assignment.
    pub async fn assign(
        &self,
        key: &DeviceKey,
        from: Option<&DomainName>,
        to: &DomainName,
        category: CategoryId,
        facts: &Facts,
    ) -> Result<Option<Box<Device>>> {
        let entry = Entry {
            key: key.clone(),
            domain: to.clone(),
            category,
            right: EntryRight::Manual,
            password: random::letters_and_digits(PASSWORD_CHARS),
            admin_password: None,
            name: None,
            facts: facts.clone(),
        };
        let entered = match from {
            Some(from) => self.store.transfer(from, &entry).await?,
            None => self.store.enter(&entry).await?,
        };
        let Entered::In(device) = entered else { return Ok(None) };
        count_registration(Registration::EnteredManual);
        tracing::info!(device = %key, domain = %to, from = from.map(DomainName::as_str), "device assigned by an operator");
        Ok(Some(device))
    }

    /// The membership of a device now; `None` if it belongs to no domain.
    pub async fn recheck(&self, key: &DeviceKey) -> Result<Option<Membership>> {
        let Some(device) = self.store.find_device(key).await? else { return Ok(None) };
        let domain = self.tenants.find(&device.domain).await?;
        Ok(Some(membership(Box::new(device), domain.as_deref())))
    }
}
