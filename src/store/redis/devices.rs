//! Devices on Redis. Entry is in `entry.rs`, transfer in `transfer.rs`, ownership in `owner.rs`, reading a record in
//! `records.rs`.
//!
//! A page of a list is a range of the index, and then everything else in one packet.

use std::time::Duration;

use ::redis::{RedisResult, cmd};
use async_trait::async_trait;

use super::connection::unavailable;
use super::records::{self, Found, Record};
use super::{LazyScript, Redis, keys, millis, script};
use crate::core::model::app_ip_path::AppIpPath;
use crate::core::model::device::{CodeState, Device, Facts, KEEP_USED};
use crate::core::model::ids::{CategoryId, Code, DeviceId, DeviceKey, DomainName, Secret};
use crate::core::model::time::UnixMillis;
use crate::core::model::work::Work;
use crate::store::code_name::CodeName;
use crate::store::record::{open, to_json};
use crate::store::{DeviceListing, Devices, Entered, Entry, PortClaim, Result};

static CONFIRM: LazyScript = script!("confirm");
static REFRESH: LazyScript = script!("refresh");
static REMOVE: LazyScript = script!("remove");
static CLAIM_PORT: LazyScript = script!("claim_port");
static SET_FIELD: LazyScript = script!("set_field");
static RENAME: LazyScript = script!("rename");
static KEEP_WORK: LazyScript = script!("keep_work");

/// Prefix of the field of an analogue port.
const PORT: &str = "port:";

/// A record whose device belongs to another domain may be of a transfer in progress for this long; after that it is a
/// leftover. No operation takes nearly as long.
const TRANSFER_TIME: Duration = Duration::from_secs(60);

/// The answers about the devices of a page: records, owners, presence.
type Asked = (Vec<RedisResult<Record>>, Vec<Option<String>>, Vec<Option<String>>);

#[async_trait]
impl Devices for Redis {
    async fn find_device(&self, key: &DeviceKey) -> Result<Option<Device>> {
        let found = self.client.timed(self.finding.ask(key.clone())).await?;
        let Some(Found { domain, record }) = found else { return Ok(None) };
        self.device_of(&domain, key, &keys::device(&domain, key), record)
    }

    async fn enter(&self, entry: &Entry) -> Result<Entered> {
        self.client.timed(self.enter_whole(entry)).await
    }

    async fn confirm(&self, domain: &DomainName, key: &DeviceKey, password: &Secret) -> Result<()> {
        self.client
            .timed(async {
                let device = keys::device(domain, key);
                let read = cmd("HMGET").arg(&device).arg(&["password", "tentative"]).take();
                let (sealed, tentative): (Option<Vec<u8>>, Option<String>) = self.client.ask(&read).await?;
                let (Some(sealed), Some(_)) = (sealed, tentative) else { return Ok(()) };
                if open(&self.sealer, &device, "password", &sealed)? != *password {
                    return Ok(());
                }
                // The script compares what was opened here: a newer password is sealed differently.
                self.client.eval(CONFIRM.key(&device).arg(sealed)).await
            })
            .await
    }

    async fn refresh(&self, domain: &DomainName, key: &DeviceKey, facts: &Facts) -> Result<()> {
        let mut script = REFRESH.key(keys::device(domain, key));
        script.arg(to_json(facts));
        self.client.timed(self.client.eval(&script)).await
    }

    async fn remove(&self, domain: &DomainName, key: &DeviceKey) -> Result<bool> {
        self.client
            .timed(async {
                let owner: Option<String> = self.client.ask(cmd("GET").arg(keys::owner(key))).await?;
                let removed = self.drop_record(domain, key, "").await?;
                // The record first: an entry in progress checks for it before it makes the ownership permanent.
                self.disown(key, domain).await?;
                Ok(removed && owner.as_deref() == Some(domain.as_str()))
            })
            .await
    }

    async fn claim_port(&self, domain: &DomainName, key: &DeviceKey, port: &str, code: Code) -> Result<PortClaim> {
        self.client.timed(self.claim_port_whole(domain, key, port, code)).await
    }

    async fn devices(&self, domain: &DomainName, after: DeviceId, limit: usize) -> Result<Vec<DeviceListing>> {
        self.client.timed(self.list_devices(domain, after, limit)).await
    }

    async fn device_count(&self, domain: &DomainName) -> Result<u64> {
        self.client.timed(self.client.ask(cmd("ZCARD").arg(keys::devices(domain)))).await
    }

    async fn rename(&self, domain: &DomainName, key: &DeviceKey, name: Option<&str>) -> Result<bool> {
        let mut script = RENAME.key(keys::device(domain, key));
        script.arg(name.unwrap_or_default());
        self.client.timed(self.client.eval(&script)).await
    }

    async fn set_app_ip(&self, domain: &DomainName, key: &DeviceKey, path: Option<&AppIpPath>) -> Result<bool> {
        let path = path.map_or("", AppIpPath::as_str);
        self.client.timed(self.set_field(domain, key, "app_ip", path)).await
    }

    async fn recategorise(&self, domain: &DomainName, key: &DeviceKey, category: CategoryId) -> Result<bool> {
        self.client.timed(self.set_field(domain, key, "category", &category.0.to_string())).await
    }

    async fn keep_work(&self, domain: &DomainName, key: &DeviceKey, work: &Work) -> Result<()> {
        let mut script = KEEP_WORK.key(keys::device(domain, key));
        script.arg(work.entry.0).arg(to_json(work));
        self.client.timed(self.client.eval(&script)).await
    }

    async fn ports(&self, domain: &DomainName, key: &DeviceKey) -> Result<Option<Vec<Box<str>>>> {
        let fields: Vec<String> =
            self.client.timed(self.client.ask(cmd("HKEYS").arg(keys::device(domain, key)))).await?;
        let mut ports: Vec<Box<str>> = fields.iter().filter_map(|f| f.strip_prefix(PORT)).map(Into::into).collect();
        ports.sort_unstable();
        Ok((!fields.is_empty()).then_some(ports))
    }

    async fn remove_port(&self, domain: &DomainName, key: &DeviceKey, port: &str) -> Result<bool> {
        let remove = cmd("HDEL").arg(keys::device(domain, key)).arg(format!("{PORT}{port}")).take();
        self.client.timed(self.client.ask(&remove)).await
    }

    async fn transfer(&self, from: &DomainName, entry: &Entry) -> Result<Entered> {
        self.client.timed(self.transfer_whole(from, entry)).await
    }
}

impl Redis {
    async fn claim_port_whole(
        &self,
        domain: &DomainName,
        key: &DeviceKey,
        port: &str,
        code: Code,
    ) -> Result<PortClaim> {
        let Some(of) = self.code_domain(code).await? else { return Ok(PortClaim::CodeNotOpen) };
        if of != *domain {
            let open = self.read_code(&of, code).await?.is_some_and(|code| code.state == CodeState::Open);
            return Ok(if open { PortClaim::WrongDomain } else { PortClaim::CodeNotOpen });
        }
        let name = self.code_name(domain, code).await?;
        let mut script = CLAIM_PORT.key(keys::device(domain, key));
        script.key(keys::code(domain, &name)).key(keys::window(domain, &name));
        for kind in keys::KINDS {
            script.key(keys::open(domain, kind));
        }
        script.key(keys::mail(domain, &name)).key(keys::mailbox(domain));
        script.arg(key.as_str()).arg(port).arg(name.as_str()).arg(millis(KEEP_USED));
        let recorded: bool = self.client.eval(&script).await?;
        Ok(if recorded { PortClaim::Recorded } else { PortClaim::CodeNotOpen })
    }

    /// Removes the record of a device, if it is still of this entry (empty: of any).
    pub(super) async fn drop_record(&self, domain: &DomainName, key: &DeviceKey, entry: &str) -> Result<bool> {
        let mut script = REMOVE.key(keys::device(domain, key));
        script.key(keys::pending(domain)).key(keys::devices(domain)).key(keys::presence(domain));
        script.arg(key.as_str()).arg(entry);
        self.client.eval_once(&script).await
    }

    async fn set_field(&self, domain: &DomainName, key: &DeviceKey, field: &str, value: &str) -> Result<bool> {
        self.client.eval(SET_FIELD.key(keys::device(domain, key)).arg(field).arg(value)).await
    }

    /// Up to `limit` members of an index by number, with a number above `after`.
    pub(super) async fn page(&self, index: &str, after: DeviceId, limit: usize) -> Result<Vec<(DeviceKey, DeviceId)>> {
        let mut range = cmd("ZRANGEBYSCORE");
        range.arg(index).arg(format!("({}", after.0)).arg("+inf").arg("WITHSCORES").arg("LIMIT").arg(0).arg(limit);
        let page: Vec<(String, u64)> = self.client.ask(&range).await?;
        let known = page.into_iter().filter_map(|(key, id)| Some((DeviceKey::parse(&key).ok()?, DeviceId(id))));
        Ok(known.collect())
    }

    /// The next `limit` devices. Records that are not of this domain (yet, or any more) are skipped.
    async fn list_devices(&self, domain: &DomainName, mut after: DeviceId, limit: usize) -> Result<Vec<DeviceListing>> {
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

    async fn look_at_devices(&self, domain: &DomainName, devices: &[DeviceKey]) -> Result<Vec<DeviceListing>> {
        let of: Vec<String> = devices.iter().map(|key| keys::device(domain, key)).collect();
        let records = records::read_all(of.iter().map(String::as_str));
        let mut places = cmd("HMGET");
        places.arg(keys::presence(domain));
        for key in devices {
            places.arg(key.as_str());
        }
        let (records, owners, places): Asked =
            tokio::try_join!(self.client.ask_all(&records), self.owners(devices), self.client.ask(&places))?;
        let places = self.online(&places).await?;
        let mut found = Vec::new();
        for ((((key, of), record), owner), at) in devices.iter().zip(of).zip(records).zip(owners).zip(places) {
            match owner {
                Some(owner) if owner == domain.as_str() => {
                    let record = record.map_err(|e| unavailable(&e))?;
                    let device = self.device_of(domain, key, &of, record)?;
                    found.extend(device.map(|device| DeviceListing { device, at }));
                }
                // The record of an interrupted entry; the device may still complete it.
                None => {}
                Some(_) => self.clean_up(domain, key).await?,
            }
        }
        Ok(found)
    }

    /// Removes the record that an interrupted transfer or entry has left of a device that belongs to another domain.
    async fn clean_up(&self, domain: &DomainName, key: &DeviceKey) -> Result<()> {
        let read = cmd("HMGET").arg(keys::device(domain, key)).arg(&["entry", "entered", "pending"]).take();
        let (mark, entered, code): (Option<String>, Option<String>, Option<String>) = self.client.ask(&read).await?;
        let Some(mark) = mark else { return Ok(()) };
        let entered = entered.and_then(|entered| entered.parse().ok()).unwrap_or_default();
        if UnixMillis(entered) + TRANSFER_TIME < self.server_time().await? {
            let code = self.lifted_of(domain, key, code.map(CodeName::stored)).await?;
            self.undo_entry(domain, key, &mark, code.as_ref()).await?;
        }
        Ok(())
    }
}
