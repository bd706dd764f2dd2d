//! Who owns a device and its record, asked for many devices at once.
//!
//! A batch of owners is one `MGET`, a batch of records one packet of `HMGET`s. A record that cannot be read fails only the
//! caller that wants it. In a cluster the `MGET` has to be split by slot, since each owner is a slot of its own.

use std::sync::Arc;

use ::redis::{Cmd, Pipeline, RedisResult};

use super::connection::{Line, Request, unavailable};
use super::together::{Batch, answer_all};
use super::{Redis, keys};
use crate::core::device::Device;
use crate::core::ids::{CategoryId, Code, DeviceId, DeviceKey, DomainName};
use crate::core::time::UnixMillis;
use crate::store::Result;
use crate::store::record::{corrupt, from_json, open};

/// The name of the owner.
pub(super) type Owner = Option<Vec<u8>>;

/// The fields of a record, in the order of [`FIELDS`].
pub(super) type Record = Vec<Option<Vec<u8>>>;

/// What a device is made of; [`Redis::device_of`] takes them apart.
const FIELDS: [&str; 12] = [
    "id",
    "category",
    "way",
    "password",
    "tentative",
    "admin",
    "entry_code",
    "pending",
    "entered",
    "name",
    "work",
    "facts",
];

/// Room for the name of the command and the names of the fields.
const FIELD_BYTES: usize = 96;

/// Asks for owners by their keys.
pub(super) async fn ask_owners(line: Arc<Line>, batch: Batch<String, Owner>) {
    let mut read = Cmd::with_capacity(batch.len() + 1, batch.iter().map(|asked| asked.question.len()).sum());
    read.arg("MGET");
    for asked in &batch {
        read.arg(&asked.question);
    }
    let owners: Result<Vec<Owner>> = line.ask_for(batch.len(), Request::Command(&read)).await;
    answer_all(batch, owners.map(|owners| owners.into_iter().map(Ok)));
}

/// Asks for records by their keys.
pub(super) async fn ask_records(line: Arc<Line>, batch: Batch<String, Record>) {
    let read = read_all(batch.iter().map(|asked| &*asked.question));
    let records: Result<Vec<RedisResult<Record>>> = line.ask_for(batch.len(), Request::Pipeline(&read)).await;
    let own = |record: RedisResult<Record>| record.map_err(|e| unavailable(&e));
    answer_all(batch, records.map(|records| records.into_iter().map(own)));
}

/// The commands that read these records. Each of them may fail alone.
pub(super) fn read_all<'a>(places: impl ExactSizeIterator<Item = &'a str>) -> Pipeline {
    let mut read = Pipeline::with_capacity(places.len());
    for place in places {
        let mut one = Cmd::with_capacity(FIELDS.len() + 2, FIELD_BYTES + place.len());
        one.arg("HMGET").arg(place).arg(&FIELDS);
        read.add_command(one);
    }
    read.ignore_errors();
    read
}

impl Redis {
    pub(super) async fn read_owner(&self, key: &DeviceKey) -> Result<Option<DomainName>> {
        let Some(owner) = self.owners.ask(keys::owner(key)).await? else { return Ok(None) };
        let name = DomainName::parse(&String::from_utf8_lossy(&owner));
        name.map(Some).map_err(|e| corrupt(&keys::owner(key), &e))
    }

    pub(super) async fn read_device(&self, domain: &DomainName, key: &DeviceKey) -> Result<Option<Device>> {
        let place = keys::device(domain, key);
        let record = self.records.ask(place.clone()).await?;
        self.device_of(domain, key, &place, record)
    }

    /// A device from its record at `place`; `None` if there is none.
    pub(super) fn device_of(
        &self,
        domain: &DomainName,
        key: &DeviceKey,
        place: &str,
        record: Record,
    ) -> Result<Option<Device>> {
        if record.iter().all(Option::is_none) {
            return Ok(None);
        }
        let [id, category, way, password, tentative, admin, entry_code, pending, entered, name, work, facts] =
            <[Option<Vec<u8>>; FIELDS.len()]>::try_from(record)
                .map_err(|_| corrupt(place, &"another number of fields"))?;
        let missing = |field: &str| corrupt(place, &format!("{field} is missing"));
        let code = |text: Option<Vec<u8>>| -> Result<Option<Code>> {
            text.map(|text| Code::parse(&String::from_utf8_lossy(&text)).map_err(|e| corrupt(place, &e))).transpose()
        };
        let secret = |field, sealed: Vec<u8>| open(&self.sealer, place, field, &sealed);
        Ok(Some(Device {
            id: DeviceId(from_json(place, &id.ok_or_else(|| missing("id"))?)?),
            key: key.clone(),
            domain: domain.clone(),
            category: CategoryId(from_json(place, &category.ok_or_else(|| missing("category"))?)?),
            way: from_json(place, &way.ok_or_else(|| missing("way"))?)?,
            password: secret("password", password.ok_or_else(|| missing("password"))?)?,
            tentative: tentative.is_some(),
            admin_password: admin.map(|sealed| secret("admin", sealed)).transpose()?,
            entry_code: code(entry_code)?,
            pending: code(pending)?,
            entered: UnixMillis(from_json(place, &entered.ok_or_else(|| missing("entered"))?)?),
            name: name.map(|name| String::from_utf8_lossy(&name).into()),
            work: work.map(|work| from_json(place, &work)).transpose()?.unwrap_or_default(),
            facts: from_json(place, &facts.ok_or_else(|| missing("facts"))?)?,
        }))
    }
}
