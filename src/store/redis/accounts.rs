//! Accounts on Redis: one hash; the hash of a password is sealed in it.

use std::collections::HashMap;

use ::redis::cmd;
use async_trait::async_trait;

use super::{LazyScript, Redis, keys, script};
use crate::core::model::accounts::{Account, AccountName};
use crate::core::model::ids::DomainName;
use crate::core::model::quota::QuotaKind;
use crate::store::accounts::AccountRow;
use crate::store::record::{corrupt, from_json, to_json};
use crate::store::{Accounts, MAX_ACCOUNTS, PutAccount, Result};

static PUT: LazyScript = script!("account_put");
static CHANGE: LazyScript = script!("account_change");

/// The place that a sealed hash is bound to.
fn place(name: &AccountName) -> String {
    format!("{}#{name}", keys::ACCOUNTS)
}

impl Redis {
    async fn account_row(&self, name: &AccountName) -> Result<Option<Vec<u8>>> {
        let read = cmd("HGET").arg(keys::ACCOUNTS).arg(name.as_str()).take();
        self.client.timed(self.client.ask(&read)).await
    }

    fn opened_account(&self, name: &AccountName, row: &[u8]) -> Result<Account> {
        from_json::<AccountRow>(keys::ACCOUNTS, row)?.open(&self.sealer, &place(name))
    }
}

#[async_trait]
impl Accounts for Redis {
    async fn put_account(&self, account: &Account, replace: bool) -> Result<PutAccount> {
        let name = &account.identity.account;
        let mut script = PUT.key(keys::ACCOUNTS);
        script.arg(name.as_str()).arg(to_json(&AccountRow::of(&self.sealer, &place(name), account)));
        script.arg(u8::from(replace)).arg(MAX_ACCOUNTS);
        script.arg(account.identity.domain.as_ref().map_or("", DomainName::as_str)).arg(self.limits.quotas.accounts);
        let became: u8 = self.client.timed(self.client.eval_once(&script)).await?;
        if became == 3 {
            return Err(self.limits.quotas.over(QuotaKind::Accounts).into());
        }
        Ok(match became {
            0 => PutAccount::Kept,
            1 => PutAccount::Exists,
            _ => PutAccount::TooMany,
        })
    }

    async fn change_account(&self, before: &Account, account: &Account) -> Result<bool> {
        let name = &account.identity.account;
        let Some(row) = self.account_row(name).await? else { return Ok(false) };
        if self.opened_account(name, &row)? != *before {
            return Ok(false);
        }
        let new = to_json(&AccountRow::of(&self.sealer, &place(name), account));
        let mut script = CHANGE.key(keys::ACCOUNTS);
        script.arg(name.as_str()).arg(row).arg(new);
        self.client.timed(self.client.eval_once(&script)).await
    }

    async fn account(&self, name: &AccountName) -> Result<Option<Account>> {
        let row = self.account_row(name).await?;
        row.map(|row| self.opened_account(name, &row)).transpose()
    }

    async fn accounts(&self) -> Result<Vec<Account>> {
        let read = cmd("HGETALL").arg(keys::ACCOUNTS).take();
        let rows: HashMap<String, Vec<u8>> = self.client.timed(self.client.ask(&read)).await?;
        let account = |(name, row): (&String, &Vec<u8>)| {
            let name = AccountName::parse(name).map_err(|e| corrupt(keys::ACCOUNTS, &e))?;
            from_json::<AccountRow>(keys::ACCOUNTS, row)?.open(&self.sealer, &place(&name))
        };
        let mut accounts = rows.iter().map(account).collect::<Result<Vec<_>>>()?;
        accounts.sort_by(|a, b| a.identity.account.cmp(&b.identity.account));
        Ok(accounts)
    }

    async fn remove_account(&self, name: &AccountName) -> Result<bool> {
        let remove = cmd("HDEL").arg(keys::ACCOUNTS).arg(name.as_str()).take();
        self.client.timed(self.client.ask(&remove)).await
    }
}
