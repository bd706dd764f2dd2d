//! Domains and categories on Redis.

use std::collections::{HashMap, HashSet};

use ::redis::{ScriptInvocation, cmd, pipe};
use async_trait::async_trait;

use super::{LazyScript, Redis, keys, script};
use crate::core::model::device::{Category, Domain};
use crate::core::model::ids::{CategoryId, DeviceKey, DomainId, DomainName, Secret};
use crate::core::model::quota::QuotaKind;
use crate::store::code_name::CodeName;
use crate::store::record::{corrupt, from_json, missing_categories, open, seal, to_json};
use crate::store::{Deleted, DomainChange, Domains, NewDomain, PutCategory, Result, StoreError};

static NUMBER: LazyScript = script!("domain_number");
static ENSURE: LazyScript = script!("domain_ensure");
static CREATE: LazyScript = script!("domain_create");
static CHANGE: LazyScript = script!("domain_change");
static DELETE: LazyScript = script!("domain_delete");
static FORGET: LazyScript = script!("domain_forget");
static PUT_CATEGORY: LazyScript = script!("category_put");
static DELETE_CATEGORY: LazyScript = script!("category_delete");

/// Prefix of the field of a category.
const CATEGORY: &str = "cat:";

/// Prefix of the field of a domain that has given this one access.
const ACCESS: &str = "access:";

/// Devices, codes or keys that are read in one step.
const PAGE: usize = 1000;

/// How often the domain may change concurrently before the operation fails.
const TRIES: u32 = 5;

#[async_trait]
impl Domains for Redis {
    async fn ensure_domain(&self, new: &NewDomain) -> Result<Domain> {
        self.client.timed(self.ensure(new)).await
    }

    async fn domain(&self, name: &DomainName) -> Result<Option<Domain>> {
        self.client.timed(self.read_domain(name)).await
    }

    async fn domains(&self) -> Result<Vec<Domain>> {
        self.client.timed(self.all_domains()).await
    }

    async fn create_domain(&self, new: &NewDomain) -> Result<Option<Domain>> {
        self.client.timed(self.create(new)).await
    }

    async fn change_domain(&self, domain: &DomainName, change: &DomainChange) -> Result<bool> {
        self.client.timed(self.change(domain, change)).await
    }

    async fn delete_domain(&self, domain: &DomainName) -> Result<Deleted> {
        // Cleaning up scans all keys, so the deadline is for each step, not for all of them.
        let number: Option<u64> = self.client.timed(self.number_of(domain)).await?;
        let Some(number) = number else { return Ok(Deleted::Unknown) };
        let mut script = DELETE.key(keys::domain(domain));
        script.key(keys::devices(domain)).key(keys::jobs(domain)).key(keys::builds(domain));
        for kind in keys::KINDS {
            script.key(keys::open(domain, kind));
        }
        script.arg(keys::code_prefix(domain));
        // Without a record of the domain an earlier attempt was interrupted after this step: it is completed now.
        let outcome: String = self.client.timed(self.client.eval(&script)).await?;
        if outcome == "used" {
            return Ok(Deleted::InUse);
        }
        self.sweep(domain).await?;
        for other in self.client.timed(self.all_domains()).await? {
            if other.access_to.contains(domain) {
                let lost = DomainChange { access_lost: vec![domain.clone()], ..DomainChange::default() };
                self.change_domain(&other.name, &lost).await?;
            }
        }
        // Last, because the rest is found through it.
        let mut forget = FORGET.key(keys::DOMAINS);
        forget.arg(domain.as_str()).arg(number);
        self.client.timed(self.client.eval::<()>(&forget)).await?;
        Ok(Deleted::Gone)
    }

    async fn put_category(
        &self,
        domain: &DomainName,
        id: Option<CategoryId>,
        name: &str,
        provisioning: bool,
    ) -> Result<PutCategory> {
        self.client
            .timed(async {
                let number = match id {
                    Some(id) => id.0,
                    None => self.client.ask(cmd("INCR").arg(keys::SEQ_CATEGORY)).await?,
                };
                let category = Category { id: CategoryId(number), name: name.into(), provisioning };
                let mut script = PUT_CATEGORY.key(keys::domain(domain));
                script.arg(number).arg(field(name)).arg(to_json(&category)).arg(u8::from(id.is_none()));
                script.arg(self.limits.quotas.categories);
                let outcome: String = self.client.eval(&script).await?;
                if outcome == "many" {
                    return Err(self.limits.quotas.over(QuotaKind::Categories).into());
                }
                Ok(match outcome.as_str() {
                    "kept" => PutCategory::Kept(category),
                    "taken" => PutCategory::NameTaken,
                    _ => PutCategory::Unknown,
                })
            })
            .await
    }

    async fn delete_category(&self, domain: &DomainName, id: CategoryId) -> Result<Deleted> {
        if self.category_in_use(domain, id).await? {
            return Ok(Deleted::InUse);
        }
        let category = match self.client.timed(self.take_category(domain, id)).await? {
            Ok(category) => category,
            Err(there) => return Ok(there),
        };
        // A device may have entered, or a code been issued, between check and deletion; from here on neither can
        // happen.
        if !self.category_in_use(domain, id).await? {
            return Ok(Deleted::Gone);
        }
        let mut script = PUT_CATEGORY.key(keys::domain(domain));
        script.arg(id.0).arg(field(&category.name)).arg(to_json(&category)).arg(1).arg(0);
        self.client.timed(self.client.eval::<()>(&script)).await?;
        Ok(Deleted::InUse)
    }
}

fn field(category: &str) -> String {
    format!("{CATEGORY}{category}")
}

impl Redis {
    async fn ensure(&self, new: &NewDomain) -> Result<Domain> {
        let there = self.read_domain(&new.name).await?;
        let have = there.as_ref().map_or(&[][..], |domain| &domain.categories);
        let missing = missing_categories(have, &new.categories);
        // A node that finds everything in place must also start on a full store.
        if let Some(domain) = there.as_ref().filter(|_| missing.is_empty()) {
            return Ok(domain.clone());
        }
        let key = keys::domain(&new.name);
        let number = match &there {
            Some(domain) => domain.id.0,
            None => self.next_domain(&new.name).await?,
        };
        let last: u64 = self.client.ask(cmd("INCRBY").arg(keys::SEQ_CATEGORY).arg(missing.len())).await?;
        let mut script = ENSURE.key(&key);
        script.arg("id").arg(number);
        self.add_settings(&mut script, &key, new);
        for ((name, provisioning), id) in missing.iter().zip(last + 1 - missing.len() as u64..) {
            let category = Category { id: CategoryId(id), name: name.clone(), provisioning: *provisioning };
            script.arg(format!("{CATEGORY}{name}")).arg(to_json(&category));
        }
        self.client.eval::<()>(&script).await?;
        // Another node may have created some of it first, so the record as it is now counts.
        self.read_domain(&new.name).await?.ok_or_else(|| corrupt(&key, &"gone right after it was made"))
    }

    /// Adds a name to the list of domains, with a number that no domain has had.
    async fn next_domain(&self, name: &DomainName) -> Result<u64> {
        self.client.eval(NUMBER.key(keys::DOMAINS).arg(name.as_str())).await
    }

    /// Adds the sealed settings of a new domain to the arguments, each after the name of its field.
    fn add_settings(&self, script: &mut ScriptInvocation<'_>, key: &str, new: &NewDomain) {
        for (field, secret) in [("password", &new.password), ("admin", &new.admin_password), ("token", &new.auto_token)]
        {
            script.arg(field).arg(seal(&self.sealer, key, field, secret));
        }
    }

    async fn all_domains(&self) -> Result<Vec<Domain>> {
        let numbers: HashMap<String, u64> = self.client.ask(cmd("HGETALL").arg(keys::DOMAINS)).await?;
        // The field with the last number is not a domain name.
        let names = numbers.into_keys().filter_map(|name| DomainName::parse(&name).ok());
        let reads: Vec<_> = names.map(|name| async move { self.read_domain(&name).await }).collect();
        let mut domains: Vec<Domain> = futures_util::future::try_join_all(reads).await?.into_iter().flatten().collect();
        domains.sort_by_key(|domain| domain.id.0);
        Ok(domains)
    }

    pub(super) async fn read_domain(&self, name: &DomainName) -> Result<Option<Domain>> {
        let key = keys::domain(name);
        let fields: HashMap<String, Vec<u8>> = self.client.ask(cmd("HGETALL").arg(&key)).await?;
        if fields.is_empty() {
            return Ok(None);
        }
        let secret = |field: &str| -> Result<Secret> {
            let sealed = fields.get(field).ok_or_else(|| corrupt(&key, &format!("{field} is missing")))?;
            open(&self.sealer, &key, field, sealed)
        };
        let mut categories = fields
            .iter()
            .filter(|(field, _)| field.starts_with(CATEGORY))
            .map(|(_, json)| from_json(&key, json))
            .collect::<Result<Vec<Category>>>()?;
        categories.sort_by_key(|category| category.id.0);
        let access = fields.keys().filter_map(|field| field.strip_prefix(ACCESS));
        let access = access.map(|name| DomainName::parse(name).map_err(|e| corrupt(&key, &e)));
        let mut access_to = access.collect::<Result<Vec<_>>>()?;
        access_to.sort();
        let id = from_json(&key, fields.get("id").map_or(&[][..], |id| id))?;
        Ok(Some(Domain {
            id: DomainId(id),
            name: name.clone(),
            password: secret("password")?,
            admin_password: secret("admin")?,
            auto_token: secret("token")?,
            access_to,
            revision: fields.get("revision").map(|revision| from_json(&key, revision)).transpose()?.unwrap_or_default(),
            categories,
        }))
    }

    async fn create(&self, new: &NewDomain) -> Result<Option<Domain>> {
        self.limits.quotas.check(QuotaKind::Categories, 0, new.categories.len() as u64)?;
        if self.read_domain(&new.name).await?.is_some() {
            return Ok(None);
        }
        let key = keys::domain(&new.name);
        let number = self.next_domain(&new.name).await?;
        let last: u64 = self.client.ask(cmd("INCRBY").arg(keys::SEQ_CATEGORY).arg(new.categories.len())).await?;
        let mut script = CREATE.key(&key);
        script.arg(number);
        self.add_settings(&mut script, &key, new);
        for ((name, provisioning), id) in new.categories.iter().zip(last + 1 - new.categories.len() as u64..) {
            let category = Category { id: CategoryId(id), name: name.clone(), provisioning: *provisioning };
            script.arg(field(name)).arg(to_json(&category));
        }
        if !self.client.eval::<bool>(&script).await? {
            return Ok(None);
        }
        self.read_domain(&new.name).await
    }

    async fn change(&self, domain: &DomainName, change: &DomainChange) -> Result<bool> {
        let key = keys::domain(domain);
        if change.is_empty() {
            return self.client.ask(cmd("EXISTS").arg(&key)).await;
        }
        let secrets =
            [("password", &change.password), ("admin", &change.admin_password), ("token", &change.auto_token)];
        let secrets = secrets.into_iter().filter_map(|(field, secret)| Some((field, secret.as_ref()?)));
        let mut set: Vec<(String, Vec<u8>)> =
            secrets.map(|(field, secret)| (field.into(), seal(&self.sealer, &key, field, secret))).collect();
        set.extend(change.access_gained.iter().map(|name| (format!("{ACCESS}{name}"), b"1".to_vec())));
        let mut script = CHANGE.key(&key);
        script.arg(set.len());
        for (field, value) in set {
            script.arg(field).arg(value);
        }
        for name in &change.access_lost {
            script.arg(format!("{ACCESS}{name}"));
        }
        self.client.eval(&script).await
    }

    async fn number_of(&self, domain: &DomainName) -> Result<Option<u64>> {
        self.client.ask(cmd("HGET").arg(keys::DOMAINS).arg(domain.as_str())).await
    }

    /// Removes every key of a deleted domain. A domain of the same name that is created meanwhile keeps its record
    /// and devices.
    async fn sweep(&self, domain: &DomainName) -> Result<()> {
        let keep: HashSet<String> =
            [keys::domain(domain), keys::jobs(domain), keys::builds(domain), keys::devices(domain)].into();
        let (pattern, devices) = (keys::all_of(domain), keys::device_records(domain));
        let mut cursor = 0_u64;
        loop {
            let scan = cmd("SCAN").arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(PAGE).take();
            let (next, found): (u64, Vec<String>) = self.client.timed(self.client.ask(&scan)).await?;
            let gone: Vec<_> =
                found.into_iter().filter(|key| !keep.contains(key) && !key.starts_with(&devices)).collect();
            if !gone.is_empty() {
                self.client.timed(self.client.ask::<()>(cmd("UNLINK").arg(gone))).await?;
            }
            cursor = next;
            if cursor == 0 {
                return Ok(());
            }
        }
    }

    /// Deletes a category that no job belongs to. Returns it, or why it was not deleted.
    async fn take_category(
        &self,
        domain: &DomainName,
        id: CategoryId,
    ) -> Result<std::result::Result<Category, Deleted>> {
        for _ in 0..TRIES {
            let Some(known) = self.read_domain(domain).await? else { return Ok(Err(Deleted::Unknown)) };
            let category = known.categories.into_iter().find(|category| category.id == id);
            let Some(category) = category else { return Ok(Err(Deleted::Unknown)) };
            if self.read_jobs(domain).await?.iter().any(|job| job.order.category == Some(id)) {
                return Ok(Err(Deleted::InUse));
            }
            let mut script = DELETE_CATEGORY.key(keys::domain(domain));
            script.arg(field(&category.name)).arg(known.revision);
            if self.client.eval_once(&script).await? {
                return Ok(Ok(category));
            }
        }
        Err(StoreError::Unavailable("the domain is being changed by others too".into()))
    }

    /// Whether a device or an open code belongs to a category. Reads all of them, in pages.
    async fn category_in_use(&self, domain: &DomainName, id: CategoryId) -> Result<bool> {
        let devices = |key: &str| Some(keys::device(domain, &DeviceKey::parse(key).ok()?));
        let codes = |name: &str| Some(keys::code(domain, &CodeName::stored(name)));
        let of_device = id.0.to_string();
        let device_is = |category: &str| category == of_device;
        if self.any_in(&keys::devices(domain), devices, "category", device_is).await? {
            return Ok(true);
        }
        let code_is = |about: &str| {
            serde_json::from_str::<HashMap<String, serde_json::Value>>(about)
                .is_ok_and(|about| about.get("category").and_then(serde_json::Value::as_u64) == Some(id.0))
        };
        for kind in keys::KINDS {
            if self.any_in(&keys::open(domain, kind), codes, "about", code_is).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether `wanted` is true for this field of any record whose name is in an index.
    async fn any_in(
        &self,
        index: &str,
        place: impl Fn(&str) -> Option<String>,
        field: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<bool> {
        let mut cursor = 0_u64;
        loop {
            let scan = cmd("ZSCAN").arg(index).arg(cursor).arg("COUNT").arg(PAGE).take();
            let (next, found): (u64, Vec<(String, f64)>) = self.client.timed(self.client.ask(&scan)).await?;
            let mut reads = pipe();
            for key in found.iter().filter_map(|(member, _)| place(member)) {
                reads.hget(key, field);
            }
            if !reads.is_empty() {
                let values: Vec<Option<String>> = self.client.timed(self.client.ask_all(&reads)).await?;
                if values.iter().flatten().any(|value| wanted(value)) {
                    return Ok(true);
                }
            }
            cursor = next;
            if cursor == 0 {
                return Ok(false);
            }
        }
    }
}
