//! Roll-outs in the file: a row for each, and its rows in chunks.

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::kv::{Outcome, Snapshot, Tx};
use super::rows::{CodeRow, next};
use super::{Embedded, keys};
use crate::core::model::device::{CodeState, KEEP_USED};
use crate::core::model::ids::{CategoryId, Code, DomainName, RolloutId};
use crate::core::model::quota::{QuotaKind, Quotas};
use crate::core::model::time::UnixMillis;
use crate::store::code_name::{CodeName, CodeUse, StoredCode};
use crate::store::rollout_row::{StoredRow, row_place};
use crate::store::{Result, Rollout, RolloutRow, Rollouts, StoreError};

/// Rows of a roll-out in one value.
const CHUNK: u64 = 500;

/// The head of a roll-out.
#[derive(Clone, Serialize, Deserialize)]
struct Head {
    name: Box<str>,
    category: CategoryId,
    users: u64,
    created: UnixMillis,
    rows: u64,
}

impl Head {
    fn rollout(&self, id: RolloutId) -> Rollout {
        let Self { name, category, users, created, rows } = self.clone();
        Rollout { id, name, category, created, users, rows }
    }
}

/// Checks whether one more roll-out for so many users may be begun. Those that have ended leave the index.
pub(super) fn check_rollouts<T: DeserializeOwned>(
    tx: &mut Tx<'_>,
    quotas: &Quotas,
    index: &str,
    key: impl Fn(RolloutId) -> String,
    users: u64,
    users_of: impl Fn(&T) -> u64,
) -> Outcome<()> {
    let have = tx.count_open(index)?;
    quotas.check(QuotaKind::Rollouts, have, 1).map_err(StoreError::from)?;
    if quotas.most(QuotaKind::RolloutRows).is_some() {
        let mut all = 0_u64;
        for id in tx.members_until(index, u64::MAX, usize::MAX)? {
            let head = id.parse().ok().map(RolloutId).map(|id| tx.get::<T>(&key(id))).transpose()?.flatten();
            all = all.saturating_add(head.as_ref().map_or(0, &users_of));
        }
        quotas.check(QuotaKind::RolloutRows, all, users).map_err(StoreError::from)?;
    }
    Ok(())
}

#[async_trait]
impl Rollouts for Embedded {
    async fn begin_rollout(
        &self,
        domain: &DomainName,
        name: &str,
        category: CategoryId,
        users: u64,
    ) -> Result<Rollout> {
        let (of, name, quotas) = (domain.clone(), Box::<str>::from(name), self.limits.quotas);
        self.kv
            .write(move |tx| {
                let index = keys::rollouts(&of);
                check_rollouts::<Head>(tx, &quotas, &index, |id| keys::rollout(&of, id), users, |head| head.users)?;
                let id = RolloutId(next(tx, &keys::seq_rollout(&of))?);
                let head = Head { name, category, users, created: tx.now, rows: 0 };
                let ends = tx.now + KEEP_USED;
                tx.put(&keys::rollout(&of, id), &head, Some(ends))?;
                tx.rank(&index, ends.0, &id.0.to_string())?;
                Ok(head.rollout(id))
            })
            .await
    }

    async fn add_rollout_rows(
        &self,
        domain: &DomainName,
        id: RolloutId,
        from: u64,
        rows: &[RolloutRow],
    ) -> Result<bool> {
        let place = rows_place(domain, id);
        let stored = |(number, row): (u64, &RolloutRow)| {
            StoredRow::of(row, StoredCode::sealed(&self.sealer, &row_place(&place, number), row.code))
        };
        let (of, rows) = (domain.clone(), (from..).zip(rows).map(stored).collect());
        self.kv.write(move |tx| add_rows(tx, &of, id, from, rows)).await
    }

    async fn rollouts(&self, domain: &DomainName) -> Result<Vec<Rollout>> {
        self.kv.read(|snapshot| {
            let mut all = Vec::new();
            for member in snapshot.members(&keys::rollouts(domain), snapshot.now.0) {
                let Some(id) = member?.parse().ok().map(RolloutId) else { continue };
                all.extend(snapshot.get::<Head>(&keys::rollout(domain, id))?.map(|head| head.rollout(id)));
            }
            all.sort_by_key(|rollout| std::cmp::Reverse(rollout.id.0));
            Ok(all)
        })
    }

    async fn rollout_rows(
        &self,
        domain: &DomainName,
        id: RolloutId,
        from: u64,
        limit: usize,
    ) -> Result<Option<Vec<(RolloutRow, Option<CodeState>)>>> {
        let place = rows_place(domain, id);
        self.kv.read(|snapshot| {
            let Some(head) = snapshot.get::<Head>(&keys::rollout(domain, id))? else { return Ok(None) };
            let end = from.saturating_add(limit as u64).min(head.rows);
            let mut found = Vec::new();
            let mut at = from;
            while at < end {
                let chunk: Vec<StoredRow> =
                    snapshot.get(&keys::rows(domain, id, at / CHUNK * CHUNK))?.unwrap_or_default();
                let wanted = chunk.into_iter().enumerate().map(|(i, row)| (at / CHUNK * CHUNK + i as u64, row));
                for (number, row) in wanted.filter(|(number, _)| (at..end).contains(number)) {
                    let row = row.opened(&self.sealer, &row_place(&place, number))?;
                    let name = self.name(CodeUse::Record, row.code);
                    let state = state(snapshot, domain, &name, row.code)?;
                    found.push((row, state));
                }
                at = (at / CHUNK + 1) * CHUNK;
            }
            Ok(Some(found))
        })
    }

    async fn remove_rollout(&self, domain: &DomainName, id: RolloutId) -> Result<bool> {
        let of = domain.clone();
        self.kv
            .write(move |tx| {
                let Some(head) = tx.get::<Head>(&keys::rollout(&of, id))? else { return Ok(false) };
                for chunk in (0..head.rows).step_by(usize::try_from(CHUNK).unwrap_or(usize::MAX)) {
                    tx.remove(&keys::rows(&of, id, chunk))?;
                }
                tx.remove(&keys::rollout(&of, id))?;
                tx.unrank(&keys::rollouts(&of), &id.0.to_string())?;
                Ok(true)
            })
            .await
    }
}

/// What the places of the rows of a roll-out begin with.
pub(super) fn rows_place(domain: &DomainName, id: RolloutId) -> String {
    format!("{{{domain}}}:rows:{}", id.0)
}

fn state(snapshot: &Snapshot, domain: &DomainName, name: &CodeName, code: Code) -> Outcome<Option<CodeState>> {
    let row: Option<CodeRow> = snapshot.get(&keys::code(domain, name))?;
    Ok(row.map(|row| row.issued(code, domain.clone()).state))
}

fn add_rows(tx: &mut Tx<'_>, domain: &DomainName, id: RolloutId, from: u64, rows: Vec<StoredRow>) -> Outcome<bool> {
    let key = keys::rollout(domain, id);
    let Some(mut head) = tx.row::<Head>(&key)? else { return Ok(false) };
    // Existing rows stay; behind a gap nothing is added.
    let known = usize::try_from(head.value.rows.saturating_sub(from)).unwrap_or(usize::MAX);
    let mut fresh = rows.into_iter().skip(known).peekable();
    while from <= head.value.rows && fresh.peek().is_some() {
        let at = head.value.rows;
        let place = keys::rows(domain, id, at / CHUNK * CHUNK);
        let mut chunk: Vec<StoredRow> = tx.get(&place)?.unwrap_or_default();
        let room = usize::try_from(CHUNK - at % CHUNK).unwrap_or(usize::MAX);
        let before = chunk.len();
        chunk.extend(fresh.by_ref().take(room));
        head.value.rows += (chunk.len() - before) as u64;
        tx.put(&place, &chunk, head.ends)?;
    }
    tx.put(&key, &head.value, head.ends)?;
    Ok(true)
}
