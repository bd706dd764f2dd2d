//! Unassigned devices on Redis. All of them share one hash tag, as the devices of a domain do.
//!
//! When a device enters a domain, its record here is removed in a second step. If that step is lost, the record ends
//! by itself; until then it is skipped, because the device has an owner.

use std::collections::HashMap;
use std::time::Duration;

use ::redis::{ScriptInvocation, cmd, pipe};
use async_trait::async_trait;

use super::{LazyScript, Redis, keys, millis, presence, script};
use crate::core::model::device::{Facts, UnassignedDevice};
use crate::core::model::ids::{DeviceId, DeviceKey};
use crate::core::model::time::UnixMillis;
use crate::core::policy::limits::SourceKey;
use crate::store::bounds::source_hash;
use crate::store::record::{corrupt, from_json, to_json};
use crate::store::{
    Recorded, Result, SOURCE_KNOWN, UNASSIGNED_RENEWED, UnassignedDevices, UnassignedListing, Whereabouts,
};

static RECORD: LazyScript = script!("record_unassigned", strangers);
static ATTACH: LazyScript = script!("attach_unassigned", strangers);
static FORGET: LazyScript = script!("forget_unassigned", strangers);
static COUNT: LazyScript = script!("count_open");

/// The fields of a record.
type Fields = HashMap<String, Vec<u8>>;

fn about<'a>(script: &'a LazyScript, key: &DeviceKey) -> ScriptInvocation<'a> {
    let mut call = script.key(keys::unassigned_device(key));
    call.key(keys::UNASSIGNED).key(keys::UNASSIGNED_ENDS).key(keys::UNASSIGNED_PRESENCE);
    call.key(keys::UNASSIGNED_BY).key(keys::UNASSIGNED_SOURCES);
    call.arg(key.as_str()).arg(keys::UNASSIGNED_DEVICE).arg(keys::UNASSIGNED_OF);
    call
}

#[async_trait]
impl UnassignedDevices for Redis {
    async fn record_unassigned(
        &self,
        key: &DeviceKey,
        facts: &Facts,
        source: Option<SourceKey>,
        keep: Duration,
    ) -> Result<Recorded> {
        self.client.timed(self.record_unassigned_device(key, facts, source, keep)).await
    }

    async fn unassigned_devices(&self, after: DeviceId, limit: usize) -> Result<Vec<UnassignedListing>> {
        self.client.timed(self.list_unassigned(after, limit)).await
    }

    async fn unassigned_count(&self) -> Result<u64> {
        self.client.timed(self.client.eval(&COUNT.key(keys::UNASSIGNED_ENDS))).await
    }

    async fn attach_unassigned(&self, key: &DeviceKey, at: &Whereabouts, keep: Duration) -> Result<bool> {
        let mut script = about(&ATTACH, key);
        script.arg(presence::write(at)).arg(millis(keep));
        self.client.timed(self.client.eval(&script)).await
    }

    async fn detach_unassigned(&self, key: &DeviceKey, at: &Whereabouts) -> Result<()> {
        let mut script = presence::DETACH.key(keys::UNASSIGNED_PRESENCE);
        script.arg(key.as_str()).arg(presence::write(at));
        self.client.timed(self.client.eval(&script)).await
    }

    async fn unassigned_device(&self, key: &DeviceKey) -> Result<Option<UnassignedListing>> {
        let found = self.client.timed(self.watch_unassigned(std::slice::from_ref(key))).await?;
        Ok(found.into_iter().next())
    }

    async fn forget_unassigned(&self, key: &DeviceKey) -> Result<bool> {
        self.client.timed(self.drop_unassigned(key)).await
    }
}

impl Redis {
    async fn record_unassigned_device(
        &self,
        key: &DeviceKey,
        facts: &Facts,
        source: Option<SourceKey>,
        keep: Duration,
    ) -> Result<Recorded> {
        let known: bool = self.client.ask(cmd("EXISTS").arg(keys::unassigned_device(key))).await?;
        // Drawn only for a new device. If the record ends at this moment, the repetition below draws it.
        let id = if known { 0 } else { self.next_device().await? };
        if let Some(recorded) = self.write_unassigned(key, id, facts, source, keep).await? {
            return Ok(recorded);
        }
        let id = self.next_device().await?;
        let recorded = self.write_unassigned(key, id, facts, source, keep).await?;
        recorded.ok_or_else(|| corrupt("unassigned", &"the number of a new record is 0"))
    }

    /// `None`: it needs a number.
    async fn write_unassigned(
        &self,
        key: &DeviceKey,
        id: u64,
        facts: &Facts,
        source: Option<SourceKey>,
        keep: Duration,
    ) -> Result<Option<Recorded>> {
        let mut script = about(&RECORD, key);
        let caps = self.limits.unassigned;
        script.key(keys::UNASSIGNED_SALT).arg(id).arg(to_json(facts)).arg(millis(keep)).arg(millis(UNASSIGNED_RENEWED));
        script.arg(source_hash(&self.sealer, source)).arg(crate::random::guid()).arg(millis(SOURCE_KNOWN));
        script.arg(caps.most).arg(caps.per_source);
        let (first, kept, evicted): (i8, bool, u64) = self.client.eval(&script).await?;
        if first >= 0 && !kept {
            self.client.refused_as_full();
        }
        Ok((first >= 0).then_some(Recorded { first: first == 1, kept, evicted }))
    }

    pub(super) async fn drop_unassigned(&self, key: &DeviceKey) -> Result<bool> {
        self.client.eval_once(&about(&FORGET, key)).await
    }

    /// The next `limit` unassigned devices. Those that have ended or entered a domain meanwhile are skipped.
    async fn list_unassigned(&self, mut after: DeviceId, limit: usize) -> Result<Vec<UnassignedListing>> {
        let mut found = Vec::new();
        while found.len() < limit {
            let wanted = limit - found.len();
            let keys = self.page(keys::UNASSIGNED, after, wanted).await?;
            let Some((_, last)) = keys.last() else { break };
            after = *last;
            let full = keys.len() == wanted;
            let keys: Vec<DeviceKey> = keys.into_iter().map(|(key, _)| key).collect();
            found.append(&mut self.watch_unassigned(&keys).await?);
            if !full {
                break;
            }
        }
        Ok(found)
    }

    async fn watch_unassigned(&self, devices: &[DeviceKey]) -> Result<Vec<UnassignedListing>> {
        let (mut records, mut places) = (pipe(), cmd("HMGET"));
        places.arg(keys::UNASSIGNED_PRESENCE);
        for key in devices {
            records.cmd("HGETALL").arg(keys::unassigned_device(key));
            places.arg(key.as_str());
        }
        let (records, owners, places): (Vec<Fields>, _, Vec<Option<String>>) =
            tokio::try_join!(self.client.ask_all(&records), self.owners(devices), self.client.ask(&places))?;
        let places = self.online(&places).await?;
        let mut found = Vec::new();
        for (((key, fields), owner), at) in devices.iter().zip(records).zip(owners).zip(places) {
            if owner.is_none() && !fields.is_empty() {
                found.push(UnassignedListing { device: unassigned_of(key, &fields)?, at });
            }
        }
        Ok(found)
    }
}

fn unassigned_of(key: &DeviceKey, fields: &Fields) -> Result<UnassignedDevice> {
    let place = keys::unassigned_device(key);
    let field =
        |name: &str| fields.get(name).map(Vec::as_slice).ok_or_else(|| corrupt(&place, &format!("{name} is missing")));
    Ok(UnassignedDevice {
        id: DeviceId(from_json(&place, field("id")?)?),
        key: key.clone(),
        facts: from_json(&place, field("facts")?)?,
        seen: UnixMillis(from_json(&place, field("seen")?)?),
    })
}
