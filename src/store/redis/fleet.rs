//! Devices as operators see them, on Redis. A page of a list is a range of the index, and then everything else in one go.

use std::time::Duration;

use ::redis::{RedisResult, cmd};
use async_trait::async_trait;

use super::connection::unavailable;
use super::records::{self, Record};
use super::{LazyScript, Redis, keys, script};
use crate::core::model::ids::{CategoryId, Code, DeviceId, DeviceKey, DomainName};
use crate::core::model::time::UnixMillis;
use crate::core::model::work::Work;
use crate::store::record::to_json;
use crate::store::{Entered, Entry, Fleet, Listing, Offer, Result, UnassignedListing, Whereabouts};

static SET_FIELD: LazyScript = script!("set_field");
static KEEP_WORK: LazyScript = script!("keep_work");

/// In front of the name of an analogue port, to make the name of its field.
const PORT: &str = "port:";

/// A record whose device belongs to another domain is of a move that is under way for this long at most; after that it is a
/// leftover. No operation lives nearly as long.
const UNDER_WAY: Duration = Duration::from_secs(60);

/// Everything that is asked about the devices of a page.
type Asked = (Vec<RedisResult<Record>>, Vec<Option<String>>, Vec<Option<String>>);

#[async_trait]
impl Fleet for Redis {
    async fn devices(&self, domain: &DomainName, after: DeviceId, limit: usize) -> Result<Vec<Listing>> {
        self.line.timed(self.list_devices(domain, after, limit)).await
    }

    async fn device_count(&self, domain: &DomainName) -> Result<u64> {
        self.line.timed(self.line.ask(cmd("ZCARD").arg(keys::devices(domain)))).await
    }

    async fn rename(&self, domain: &DomainName, key: &DeviceKey, name: Option<&str>) -> Result<bool> {
        self.line.timed(self.set_field(domain, key, "name", name.unwrap_or_default())).await
    }

    async fn recategorise(&self, domain: &DomainName, key: &DeviceKey, category: CategoryId) -> Result<bool> {
        self.line.timed(self.set_field(domain, key, "category", &category.0.to_string())).await
    }

    async fn keep_work(&self, domain: &DomainName, key: &DeviceKey, work: &Work) -> Result<()> {
        let mut script = KEEP_WORK.key(keys::device(domain, key));
        script.arg(work.entry.0).arg(to_json(work));
        self.line.timed(self.line.eval(&script)).await
    }

    async fn ports(&self, domain: &DomainName, key: &DeviceKey) -> Result<Option<Vec<Box<str>>>> {
        let fields: Vec<String> = self.line.timed(self.line.ask(cmd("HKEYS").arg(keys::device(domain, key)))).await?;
        let mut ports: Vec<Box<str>> = fields.iter().filter_map(|f| f.strip_prefix(PORT)).map(Into::into).collect();
        ports.sort_unstable();
        Ok((!fields.is_empty()).then_some(ports))
    }

    async fn remove_port(&self, domain: &DomainName, key: &DeviceKey, port: &str) -> Result<bool> {
        let remove = cmd("HDEL").arg(keys::device(domain, key)).arg(format!("{PORT}{port}")).take();
        self.line.timed(self.line.ask(&remove)).await
    }

    async fn transfer(&self, from: &DomainName, entry: &Entry) -> Result<Entered> {
        self.line.timed(self.transfer_whole(from, entry)).await
    }

    async fn offer(&self, to: &DomainName, offer: &Offer, keep: Duration) -> Result<()> {
        self.line.timed(self.keep_offer(to, offer, keep)).await
    }

    async fn offers(&self, to: &DomainName) -> Result<Vec<Offer>> {
        self.line.timed(self.read_offers(to)).await
    }

    async fn end_offer(&self, to: &DomainName, key: &DeviceKey) -> Result<bool> {
        self.line.timed(self.drop_offer(to, key)).await
    }

    async fn unassigned_devices(&self, after: DeviceId, limit: usize) -> Result<Vec<UnassignedListing>> {
        self.line.timed(self.list_unassigned(after, limit)).await
    }

    async fn unassigned_count(&self) -> Result<u64> {
        self.line.timed(self.count_unassigned()).await
    }

    async fn attach_unassigned(&self, key: &DeviceKey, at: &Whereabouts, keep: Duration) -> Result<bool> {
        self.line.timed(self.hold_unassigned(key, at, keep)).await
    }

    async fn detach_unassigned(&self, key: &DeviceKey, at: &Whereabouts) -> Result<()> {
        self.line.timed(self.release_unassigned(key, at)).await
    }

    async fn unassigned_device(&self, key: &DeviceKey) -> Result<Option<UnassignedListing>> {
        let found = self.line.timed(self.watch_unassigned(std::slice::from_ref(key))).await?;
        Ok(found.into_iter().next())
    }

    async fn forget_unassigned(&self, key: &DeviceKey) -> Result<bool> {
        self.line.timed(self.drop_unassigned(key)).await
    }
}

impl Redis {
    async fn set_field(&self, domain: &DomainName, key: &DeviceKey, field: &str, value: &str) -> Result<bool> {
        self.line.eval(SET_FIELD.key(keys::device(domain, key)).arg(field).arg(value)).await
    }

    /// Up to `limit` members of an index by number, with a number above `after`.
    pub(super) async fn page(&self, index: &str, after: DeviceId, limit: usize) -> Result<Vec<(DeviceKey, DeviceId)>> {
        let mut range = cmd("ZRANGEBYSCORE");
        range.arg(index).arg(format!("({}", after.0)).arg("+inf").arg("WITHSCORES").arg("LIMIT").arg(0).arg(limit);
        let page: Vec<(String, u64)> = self.line.ask(&range).await?;
        let known = page.into_iter().filter_map(|(key, id)| Some((DeviceKey::parse(&key).ok()?, DeviceId(id))));
        Ok(known.collect())
    }

    /// The next `limit` devices. Records that are not of this domain (yet, or any more) are passed over.
    async fn list_devices(&self, domain: &DomainName, mut after: DeviceId, limit: usize) -> Result<Vec<Listing>> {
        let mut found = Vec::new();
        while found.len() < limit {
            let wanted = limit - found.len();
            let page = self.page(&keys::devices(domain), after, wanted).await?;
            let Some((_, last)) = page.last() else { break };
            after = *last;
            let full = page.len() == wanted;
            let devices: Vec<DeviceKey> = page.into_iter().map(|(key, _)| key).collect();
            found.append(&mut self.look_at_devices(domain, &devices).await?);
            if !full {
                break;
            }
        }
        Ok(found)
    }

    async fn look_at_devices(&self, domain: &DomainName, devices: &[DeviceKey]) -> Result<Vec<Listing>> {
        let of: Vec<String> = devices.iter().map(|key| keys::device(domain, key)).collect();
        let records = records::read_all(of.iter().map(String::as_str));
        let mut places = cmd("HMGET");
        places.arg(keys::presence(domain));
        for key in devices {
            places.arg(key.as_str());
        }
        let (records, owners, places): Asked =
            tokio::try_join!(self.line.ask_all(&records), self.owners(devices), self.line.ask(&places))?;
        let places = self.online(&places).await?;
        let mut found = Vec::new();
        for ((((key, of), record), owner), at) in devices.iter().zip(of).zip(records).zip(owners).zip(places) {
            match owner {
                Some(owner) if owner == domain.as_str() => {
                    let record = record.map_err(|e| unavailable(&e))?;
                    let device = self.device_of(domain, key, &of, record)?;
                    found.extend(device.map(|device| Listing { device, at }));
                }
                // The record of an interrupted entry; the device may still come and complete it.
                None => {}
                Some(_) => self.clean_up(domain, key).await?,
            }
        }
        Ok(found)
    }

    /// Drops what an interrupted move or entry has left of a device that belongs to another domain.
    async fn clean_up(&self, domain: &DomainName, key: &DeviceKey) -> Result<()> {
        let read = cmd("HMGET").arg(keys::device(domain, key)).arg(&["entry", "entered", "pending"]).take();
        let (mark, entered, code): (Option<String>, Option<String>, Option<String>) = self.line.ask(&read).await?;
        let Some(mark) = mark else { return Ok(()) };
        let entered = entered.and_then(|entered| entered.parse().ok()).unwrap_or_default();
        if UnixMillis(entered) + UNDER_WAY < self.server_time().await? {
            let code = code.and_then(|code| Code::parse(&code).ok());
            self.undo_entry(domain, key, &mark, code).await?;
        }
        Ok(())
    }
}
