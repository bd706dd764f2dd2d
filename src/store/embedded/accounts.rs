//! Accounts in the file: a row each; the hash of a password is sealed in it.

use async_trait::async_trait;

use super::{Embedded, keys};
use crate::core::model::accounts::{Account, AccountName};
use crate::core::model::quota::QuotaKind;
use crate::store::accounts::AccountRow;
use crate::store::{Accounts, MAX_ACCOUNTS, PutAccount, Result, StoreError};

#[async_trait]
impl Accounts for Embedded {
    async fn put_account(&self, account: &Account, replace: bool) -> Result<PutAccount> {
        let place = keys::account(&account.identity.account);
        let row = AccountRow::of(&self.sealer, &place, account);
        let quotas = self.limits.quotas;
        self.kv
            .write(move |tx| {
                let there = tx.has(&place)?;
                if there && !replace {
                    return Ok(PutAccount::Exists);
                }
                if !there {
                    let others = tx.with_prefix::<AccountRow>(keys::ACCOUNT)?;
                    if others.len() >= MAX_ACCOUNTS {
                        return Ok(PutAccount::TooMany);
                    }
                    if let Some(domain) = row.domain() {
                        let have = others.iter().filter(|(_, other)| other.domain() == Some(domain)).count() as u64;
                        quotas.check(QuotaKind::Accounts, have, 1).map_err(StoreError::from)?;
                    }
                }
                tx.put(&place, &row, None)?;
                Ok(PutAccount::Kept)
            })
            .await
    }

    async fn change_account(&self, before: &Account, account: &Account) -> Result<bool> {
        let place = keys::account(&account.identity.account);
        let row = AccountRow::of(&self.sealer, &place, account);
        let (before, sealer) = (before.clone(), self.sealer.clone());
        self.kv
            .write(move |tx| {
                let Some(there) = tx.get::<AccountRow>(&place)? else { return Ok(false) };
                let same = there.open(&sealer, &place)? == before;
                if same {
                    tx.put(&place, &row, None)?;
                }
                Ok(same)
            })
            .await
    }

    async fn account(&self, name: &AccountName) -> Result<Option<Account>> {
        let place = keys::account(name);
        let row: Option<AccountRow> = self.kv.read(|snapshot| snapshot.get(&place))?;
        row.map(|row| row.open(&self.sealer, &place)).transpose()
    }

    async fn accounts(&self) -> Result<Vec<Account>> {
        let rows: Vec<(String, AccountRow)> = self.kv.read(|snapshot| snapshot.with_prefix(keys::ACCOUNT))?;
        let account = |(name, row): (String, AccountRow)| row.open(&self.sealer, &format!("{}{name}", keys::ACCOUNT));
        rows.into_iter().map(account).collect()
    }

    async fn remove_account(&self, name: &AccountName) -> Result<bool> {
        let place = keys::account(name);
        self.kv
            .write(move |tx| {
                let there = tx.has(&place)?;
                tx.remove(&place)?;
                Ok(there)
            })
            .await
    }
}
