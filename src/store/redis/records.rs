//! Looks up owner and record of many devices at once.
//!
//! For a batch, the owners are one `MGET` and the records one packet of `HMGET`s. A record that cannot be read is an
//! error only for the caller that asked for it. In a cluster the `MGET` has to be split by slot, since each owner is
//! in a slot of its own.

use std::sync::Arc;

use ::redis::{Cmd, Pipeline, RedisResult, cmd};

use super::connection::{RedisClient, Request, unavailable};
use super::{Redis, keys};
use crate::core::model::app_ip_path::AppIpPath;
use crate::core::model::device::Device;
use crate::core::model::ids::{CategoryId, Code, DeviceId, DeviceKey, DomainName};
use crate::core::model::time::UnixMillis;
use crate::store::Result;
use crate::store::code_name::{CodeName, open_code};
use crate::store::record::{corrupt, from_json, open};
use crate::store::redis::batch::{Batch, answer_all};

/// The fields of a record, in the order of [`FIELDS`].
pub(super) type Record = Vec<Option<Vec<u8>>>;

/// The fields of a device; [`Redis::device_of`] reads them.
const FIELDS: [&str; 14] = [
    "id",
    "category",
    "way",
    "password",
    "tentative",
    "admin",
    "entry_code",
    "pending",
    "sealed",
    "entered",
    "name",
    "app_ip",
    "work",
    "facts",
];

/// Room for the name of the command and the names of the fields.
const FIELD_BYTES: usize = 110;

/// The domain of a device, and its record there.
pub(super) struct Found {
    pub domain: DomainName,
    pub record: Record,
}

/// Looks devices up.
pub(super) async fn find_all(client: Arc<RedisClient>, batch: Batch<DeviceKey, Option<Found>>) {
    let owners = match owners_of(&client, &batch).await {
        Ok(owners) => owners,
        Err(e) => return answer_all(batch, Err::<Vec<_>, _>(e)),
    };
    let (mut owned, mut places) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
    for (asked, owner) in batch.into_iter().zip(owners) {
        match owner.map(|owner| domain_of(&asked.question, &owner)).transpose() {
            Ok(Some(domain)) => {
                places.push(keys::device(&domain, &asked.question));
                owned.push((asked, domain));
            }
            Ok(None) => asked.answer(Ok(None)),
            Err(e) => asked.answer(Err(e)),
        }
    }
    if owned.is_empty() {
        return;
    }
    let read = read_all(places.iter().map(String::as_str));
    let records: Result<Vec<RedisResult<Record>>> = client.ask_for(owned.len(), Request::Pipeline(&read)).await;
    match records {
        Ok(records) => owned.into_iter().zip(records).for_each(|((asked, domain), record)| {
            asked.answer(record.map(|record| Some(Found { domain, record })).map_err(|e| unavailable(&e)));
        }),
        Err(e) => owned.into_iter().for_each(|(asked, _)| asked.answer(Err(e.clone()))),
    }
}

async fn owners_of<A>(client: &RedisClient, batch: &Batch<DeviceKey, A>) -> Result<Vec<Option<Vec<u8>>>> {
    let places: Vec<_> = batch.iter().map(|asked| keys::owner(&asked.question)).collect();
    let mut read = Cmd::with_capacity(places.len() + 1, places.iter().map(String::len).sum());
    read.arg("MGET").arg(&places);
    client.ask_for(batch.len(), Request::Command(&read)).await
}

fn domain_of(key: &DeviceKey, owner: &[u8]) -> Result<DomainName> {
    DomainName::parse(&String::from_utf8_lossy(owner)).map_err(|e| corrupt(&keys::owner(key), &e))
}

/// The path of an App IP from a record at `place`.
pub(super) fn app_ip_of(place: &str, path: &str) -> Result<AppIpPath> {
    AppIpPath::parse(path).map_err(|e| corrupt(place, &e))
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
    /// The record of a device in this domain, whoever owns it; `None` if it has none there.
    pub(super) async fn read_device(&self, domain: &DomainName, key: &DeviceKey) -> Result<Option<Device>> {
        let place = keys::device(domain, key);
        let mut read = cmd("HMGET");
        let record = self.client.ask(read.arg(&place).arg(&FIELDS)).await?;
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
        let [
            id,
            category,
            way,
            password,
            tentative,
            admin,
            entry_code,
            pending,
            sealed,
            entered,
            name,
            app_ip,
            work,
            facts,
        ] = <[Option<Vec<u8>>; FIELDS.len()]>::try_from(record)
            .map_err(|_| corrupt(place, &"another number of fields"))?;
        let missing = |field: &str| corrupt(place, &format!("{field} is missing"));
        // Nobody asks for the code of an entry whose password is proved and whose notice is sent, and opening it would
        // cost each registration.
        let wanted = tentative.is_some() || pending.is_some();
        let code = |name: Option<Vec<u8>>| -> Result<Option<Code>> {
            let Some(name) = name.filter(|_| wanted) else { return Ok(None) };
            let name = CodeName::stored(String::from_utf8_lossy(&name));
            open_code(&self.sealer, place, domain, &name, sealed.as_deref()).map(Some)
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
            app_ip: app_ip.map(|path| app_ip_of(place, &String::from_utf8_lossy(&path))).transpose()?,
            work: work.map(|work| from_json(place, &work)).transpose()?.unwrap_or_default(),
            facts: from_json(place, &facts.ok_or_else(|| missing("facts"))?)?,
        }))
    }
}
