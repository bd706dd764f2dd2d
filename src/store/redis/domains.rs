//! Domains and categories on Redis.

use std::collections::HashMap;

use ::redis::{ScriptInvocation, cmd};
use async_trait::async_trait;

use super::{LazyScript, Redis, keys, script};
use crate::core::model::device::{Category, Domain};
use crate::core::model::ids::{CategoryId, DomainId, DomainName, Secret};
use crate::store::record::missing_categories;
use crate::store::record::{corrupt, from_json, open, seal, to_json};
use crate::store::{Domains, NewDomain, Result};

static NUMBER: LazyScript = script!("domain_number");
static ENSURE: LazyScript = script!("domain_ensure");

/// In front of the name of a category, to make the name of its field.
pub(super) const CATEGORY: &str = "cat:";

/// In front of the name of a domain that has given this one access.
pub(super) const ACCESS: &str = "access:";

#[async_trait]
impl Domains for Redis {
    async fn ensure_domain(&self, new: &NewDomain) -> Result<Domain> {
        self.line.timed(self.ensure(new)).await
    }

    async fn domain(&self, name: &DomainName) -> Result<Option<Domain>> {
        self.line.timed(self.read_domain(name)).await
    }

    async fn domains(&self) -> Result<Vec<Domain>> {
        self.line.timed(self.all_domains()).await
    }
}

impl Redis {
    async fn ensure(&self, new: &NewDomain) -> Result<Domain> {
        let there = self.read_domain(&new.name).await?;
        let have = there.as_ref().map_or(&[][..], |domain| &domain.categories);
        let missing = missing_categories(have, &new.categories);
        // On a full store a node that finds everything in place must still start.
        if let Some(domain) = there.as_ref().filter(|_| missing.is_empty()) {
            return Ok(domain.clone());
        }
        let key = keys::domain(&new.name);
        let number = match &there {
            Some(domain) => domain.id.0,
            None => self.next_domain(&new.name).await?,
        };
        let last: u64 = self.line.ask(cmd("INCRBY").arg(keys::SEQ_CATEGORY).arg(missing.len())).await?;
        let mut script = ENSURE.key(&key);
        script.arg("id").arg(number);
        self.add_settings(&mut script, &key, new);
        for ((name, provisioning), id) in missing.iter().zip(last + 1 - missing.len() as u64..) {
            let category = Category { id: CategoryId(id), name: name.clone(), provisioning: *provisioning };
            script.arg(format!("{CATEGORY}{name}")).arg(to_json(&category));
        }
        self.line.eval::<()>(&script).await?;
        // Another node may have been first with some of it, so what counts is what is there now.
        self.read_domain(&new.name).await?.ok_or_else(|| corrupt(&key, &"gone right after it was made"))
    }

    /// Enters a name into the list of domains, with a number that no domain has had.
    pub(super) async fn next_domain(&self, name: &DomainName) -> Result<u64> {
        self.line.eval(NUMBER.key(keys::DOMAINS).arg(name.as_str())).await
    }

    /// Adds the sealed settings of a new domain, each behind the name of its field.
    pub(super) fn add_settings(&self, script: &mut ScriptInvocation<'_>, key: &str, new: &NewDomain) {
        for (field, secret) in [("password", &new.password), ("admin", &new.admin_password), ("token", &new.auto_token)]
        {
            script.arg(field).arg(seal(&self.sealer, key, field, secret));
        }
    }

    pub(super) async fn all_domains(&self) -> Result<Vec<Domain>> {
        let numbers: HashMap<String, u64> = self.line.ask(cmd("HGETALL").arg(keys::DOMAINS)).await?;
        // The field with the numbers given so far is no name.
        let names = numbers.into_keys().filter_map(|name| DomainName::parse(&name).ok());
        let reads: Vec<_> = names.map(|name| async move { self.read_domain(&name).await }).collect();
        let mut domains: Vec<Domain> = futures_util::future::try_join_all(reads).await?.into_iter().flatten().collect();
        domains.sort_by_key(|domain| domain.id.0);
        Ok(domains)
    }

    pub(super) async fn read_domain(&self, name: &DomainName) -> Result<Option<Domain>> {
        let key = keys::domain(name);
        let fields: HashMap<String, Vec<u8>> = self.line.ask(cmd("HGETALL").arg(&key)).await?;
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
}
