//! Domains and categories in the file.

use async_trait::async_trait;
use serde::de::IgnoredAny;

use super::kv::{Outcome, Tx};
use super::rows::{CodeRow, DeviceRow, DomainRow, next};
use super::{Embedded, jobs, keys};
use crate::core::model::device::{Category, Domain};
use crate::core::model::ids::{CategoryId, DomainId, DomainName};
use crate::core::model::quota::{QuotaKind, Quotas};
use crate::store::record::{Sealed, corrupt, missing_categories, open, seal};
use crate::store::seal::Sealer;
use crate::store::{Deleted, DomainChange, Domains, NewDomain, PutCategory, Result, StoreError};

#[async_trait]
impl Domains for Embedded {
    async fn ensure_domain(&self, new: &NewDomain) -> Result<Domain> {
        let (key, fresh, wanted) = (keys::domain(&new.name), self.fresh(new), new.categories.clone());
        let row = self.kv.write(move |tx| ensure(tx, &key, fresh, &wanted)).await?;
        self.opened(&new.name, row)
    }

    async fn domain(&self, name: &DomainName) -> Result<Option<Domain>> {
        let row: Option<DomainRow> = self.kv.read(|snapshot| snapshot.get(&keys::domain(name)))?;
        row.map(|row| self.opened(name, row)).transpose()
    }

    async fn domains(&self) -> Result<Vec<Domain>> {
        let rows: Vec<(String, DomainRow)> = self.kv.read(|snapshot| snapshot.with_prefix(keys::DOMAIN))?;
        let domain = |(name, row): (String, DomainRow)| {
            let name = DomainName::parse(&name).map_err(|e| corrupt(keys::DOMAIN, &e))?;
            self.opened(&name, row)
        };
        let mut domains = rows.into_iter().map(domain).collect::<Result<Vec<_>>>()?;
        domains.sort_by_key(|domain| domain.id.0);
        Ok(domains)
    }

    async fn create_domain(&self, new: &NewDomain) -> Result<Option<Domain>> {
        self.limits.quotas.check(QuotaKind::Categories, 0, new.categories.len() as u64)?;
        let (key, fresh, wanted) = (keys::domain(&new.name), self.fresh(new), new.categories.clone());
        let made = self.kv.write(move |tx| {
            let taken = tx.has(&key)?;
            if taken { Ok(None) } else { ensure(tx, &key, fresh, &wanted).map(Some) }
        });
        made.await?.map(|row| self.opened(&new.name, row)).transpose()
    }

    async fn change_domain(&self, domain: &DomainName, change: &DomainChange) -> Result<bool> {
        let (key, change, sealer) = (keys::domain(domain), change.clone(), self.sealer.clone());
        let changed = self.kv.write(move |tx| {
            let Some(mut row) = tx.get::<DomainRow>(&key)? else { return Ok(false) };
            if !change.is_empty() {
                apply(&mut row, &change, &key, &sealer);
                tx.put(&key, &row, None)?;
            }
            Ok(true)
        });
        changed.await
    }

    async fn delete_domain(&self, domain: &DomainName) -> Result<Deleted> {
        let domain = domain.clone();
        self.kv.write(move |tx| delete(tx, &domain)).await
    }

    async fn put_category(
        &self,
        domain: &DomainName,
        id: Option<CategoryId>,
        name: &str,
        provisioning: bool,
    ) -> Result<PutCategory> {
        let (key, name, quotas) = (keys::domain(domain), Box::<str>::from(name), self.limits.quotas);
        self.kv.write(move |tx| put_category(tx, &key, id, (name, provisioning), &quotas)).await
    }

    async fn delete_category(&self, domain: &DomainName, id: CategoryId) -> Result<Deleted> {
        let (domain, sealer) = (domain.clone(), self.sealer.clone());
        self.kv.write(move |tx| delete_category(tx, &sealer, &domain, id)).await
    }
}

fn ensure(tx: &mut Tx<'_>, key: &str, fresh: DomainRow, wanted: &[(Box<str>, bool)]) -> Outcome<DomainRow> {
    let there: Option<DomainRow> = tx.get(key)?;
    let known = there.is_some();
    let mut row = there.unwrap_or(fresh);
    let missing: Vec<_> = missing_categories(&row.categories, wanted).into_iter().cloned().collect();
    if known && missing.is_empty() {
        return Ok(row);
    }
    if !known {
        row.id = DomainId(next(tx, keys::SEQ_DOMAIN)?);
    }
    for (name, provisioning) in missing {
        row.categories.push(Category { id: CategoryId(next(tx, keys::SEQ_CATEGORY)?), name, provisioning });
    }
    row.revision += 1;
    tx.put(key, &row, None)?;
    Ok(row)
}

fn apply(row: &mut DomainRow, change: &DomainChange, key: &str, sealer: &Sealer) {
    row.revision += 1;
    let fields = [
        ("password", &change.password, &mut row.password),
        ("admin", &change.admin_password, &mut row.admin),
        ("token", &change.auto_token, &mut row.token),
    ];
    for (field, secret, place) in fields {
        if let Some(secret) = secret {
            *place = Sealed(seal(sealer, key, field, secret));
        }
    }
    row.access.retain(|name| !change.access_lost.contains(name));
    row.access.extend(change.access_gained.iter().cloned());
    row.access.sort();
    row.access.dedup();
}

fn delete(tx: &mut Tx<'_>, domain: &DomainName) -> Outcome<Deleted> {
    let key = keys::domain(domain);
    if !tx.has(&key)? {
        return Ok(Deleted::Unknown);
    }
    if tx.any::<IgnoredAny>(&keys::device_rows(domain), |_| true)? {
        return Ok(Deleted::InUse);
    }
    for (name, mut row) in tx.with_prefix::<DomainRow>(keys::DOMAIN)? {
        if row.access.contains(domain) {
            row.access.retain(|other| other != domain);
            row.revision += 1;
            tx.put(&format!("{}{name}", keys::DOMAIN), &row, None)?;
        }
    }
    tx.remove_all(&keys::within(domain))?;
    tx.remove(&key)?;
    Ok(Deleted::Gone)
}

fn put_category(
    tx: &mut Tx<'_>,
    key: &str,
    id: Option<CategoryId>,
    (name, provisioning): (Box<str>, bool),
    quotas: &Quotas,
) -> Outcome<PutCategory> {
    let Some(mut row) = tx.get::<DomainRow>(key)? else { return Ok(PutCategory::Unknown) };
    let there = row.categories.iter().position(|category| Some(category.id) == id);
    if id.is_some() && there.is_none() {
        return Ok(PutCategory::Unknown);
    }
    if row.categories.iter().any(|category| category.name == name && Some(category.id) != id) {
        return Ok(PutCategory::NameTaken);
    }
    if there.is_none() {
        quotas.check(QuotaKind::Categories, row.categories.len() as u64, 1).map_err(StoreError::from)?;
    }
    let id = match id {
        Some(id) => id,
        None => CategoryId(next(tx, keys::SEQ_CATEGORY)?),
    };
    let category = Category { id, name, provisioning };
    match there {
        Some(place) => row.categories[place] = category.clone(),
        None => row.categories.push(category.clone()),
    }
    row.revision += 1;
    tx.put(key, &row, None)?;
    Ok(PutCategory::Kept(category))
}

fn delete_category(tx: &mut Tx<'_>, sealer: &Sealer, domain: &DomainName, id: CategoryId) -> Outcome<Deleted> {
    let key = keys::domain(domain);
    let Some(mut row) = tx.get::<DomainRow>(&key)? else { return Ok(Deleted::Unknown) };
    if !row.categories.iter().any(|category| category.id == id) {
        return Ok(Deleted::Unknown);
    }
    let jobs = jobs::open_all(sealer, domain, tx.with_prefix(&keys::jobs(domain))?)?;
    let used = jobs.iter().any(|job| job.order.category == Some(id))
        || tx.any::<DeviceRow>(&keys::device_rows(domain), |device| device.category == id)?
        || tx.any::<CodeRow>(&keys::code_prefix(domain), |code| code.by.is_none() && code.about.category == id)?;
    if used {
        return Ok(Deleted::InUse);
    }
    row.categories.retain(|category| category.id != id);
    row.revision += 1;
    tx.put(&key, &row, None)?;
    Ok(Deleted::Gone)
}

impl Embedded {
    /// The row of a new domain, without number and categories yet.
    fn fresh(&self, new: &NewDomain) -> DomainRow {
        let place = keys::domain(&new.name);
        let sealed = |field, secret| Sealed(seal(&self.sealer, &place, field, secret));
        DomainRow {
            id: DomainId(0),
            revision: 0,
            password: sealed("password", &new.password),
            admin: sealed("admin", &new.admin_password),
            token: sealed("token", &new.auto_token),
            access: Vec::new(),
            categories: Vec::new(),
        }
    }

    fn opened(&self, name: &DomainName, row: DomainRow) -> Result<Domain> {
        let place = keys::domain(name);
        let secret = |field, sealed: &Sealed| open(&self.sealer, &place, field, &sealed.0);
        Ok(Domain {
            id: row.id,
            name: name.clone(),
            password: secret("password", &row.password)?,
            admin_password: secret("admin", &row.admin)?,
            auto_token: secret("token", &row.token)?,
            access_to: row.access,
            revision: row.revision,
            categories: row.categories,
        })
    }
}
