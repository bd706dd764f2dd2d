//! Domains and categories in the file.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::kv::{Outcome, Tx};
use super::{Embedded, keys};
use crate::core::model::device::{Category, Domain};
use crate::core::model::ids::{CategoryId, DomainId, DomainName};
use crate::store::record::missing_categories;
use crate::store::record::{Sealed, corrupt, open, seal};
use crate::store::{Domains, NewDomain, Result};

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct DomainRow {
    pub id: DomainId,
    #[serde(default)]
    pub revision: u64,
    pub password: Sealed,
    pub admin: Sealed,
    pub token: Sealed,
    /// Domains that have given this one access, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access: Vec<DomainName>,
    pub categories: Vec<Category>,
}

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
}

pub(super) fn ensure(tx: &mut Tx<'_>, key: &str, fresh: DomainRow, wanted: &[(Box<str>, bool)]) -> Outcome<DomainRow> {
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

/// The next number of a counter; the first is 1.
pub(super) fn next(tx: &mut Tx<'_>, counter: &str) -> Outcome<u64> {
    let number = tx.get::<u64>(counter)?.unwrap_or(0) + 1;
    tx.put(counter, &number, None)?;
    Ok(number)
}

impl Embedded {
    /// The row of a new domain, as yet without number and categories.
    pub(super) fn fresh(&self, new: &NewDomain) -> DomainRow {
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

    pub(super) fn opened(&self, name: &DomainName, row: DomainRow) -> Result<Domain> {
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
