//! Roll-outs of the Users role in the file: a row for each roll-out and for each of its rows, for 30 days.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::read;
use crate::core::model::device::KEEP_USED;
use crate::core::model::ids::{DomainName, RolloutId};
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::{Person, RequestId, Row, UsersRoleRollout};
use crate::store::embedded::kv::{Outcome, Tx};
use crate::store::embedded::rollouts::check_rollouts;
use crate::store::embedded::rows::next;
use crate::store::embedded::{Embedded, keys};
use crate::store::users_role::RowRecord;
use crate::store::{Result, UsersRoleRollouts};

/// Rows that are written in one job.
const BATCH: usize = 500;

#[derive(Clone, Serialize, Deserialize)]
struct Head {
    name: Box<str>,
    category: Box<str>,
    app: Box<str>,
    begun: UnixMillis,
    users: u64,
    rows: u64,
    made: u64,
    registered: u64,
}

impl Head {
    fn rollout(self, id: RolloutId) -> UsersRoleRollout {
        let Self { name, category, app, begun, users, rows, made, registered } = self;
        UsersRoleRollout { id, name, category, app, begun, users, rows, made, registered }
    }
}

#[async_trait]
impl UsersRoleRollouts for Embedded {
    async fn begin_users_role_rollout(
        &self,
        domain: &DomainName,
        name: &str,
        category: &str,
        app: &str,
        users: u64,
    ) -> Result<UsersRoleRollout> {
        let (of, name, category, app) = (domain.clone(), name.into(), category.into(), app.into());
        let quotas = self.limits.quotas;
        self.kv
            .write(move |tx| {
                let (index, key) = (keys::users_role_rollouts(&of), |id| keys::users_role_rollout(&of, id));
                check_rollouts::<Head>(tx, &quotas, &index, key, users, |head| head.users)?;
                let id = RolloutId(next(tx, &keys::people_seq(&of))?);
                let head = Head { name, category, app, begun: tx.now, users, rows: 0, made: 0, registered: 0 };
                let ends = tx.now + KEEP_USED;
                tx.put(&keys::users_role_rollout(&of, id), &head, Some(ends))?;
                tx.rank(&index, ends.0, &id.0.to_string())?;
                Ok(head.rollout(id))
            })
            .await
    }

    async fn add_users_role_rollout_rows(
        &self,
        domain: &DomainName,
        id: RolloutId,
        from: u64,
        people: &[Person],
    ) -> Result<bool> {
        for (from, people) in (from..).step_by(BATCH).zip(people.chunks(BATCH)) {
            let (of, rows) = (domain.clone(), people.iter().map(RowRecord::of).collect::<Vec<_>>());
            let there = self.kv.write(move |tx| {
                let key = keys::users_role_rollout(&of, id);
                let Some(mut head) = tx.row::<Head>(&key)? else { return Ok(false) };
                for (number, row) in (from..).zip(rows) {
                    // Existing rows stay; behind a gap nothing is added.
                    if number == head.value.rows {
                        tx.put(&keys::people_row(&of, id, number), &row, head.ends)?;
                        head.value.rows += 1;
                    }
                }
                tx.put(&key, &head.value, head.ends)?;
                Ok(true)
            });
            if !there.await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn set_row_request(
        &self,
        domain: &DomainName,
        id: RolloutId,
        number: u64,
        before: Option<&RequestId>,
        request: &RequestId,
    ) -> Result<bool> {
        let (of, before, request) = (domain.clone(), before.cloned(), request.clone());
        self.kv
            .write(move |tx| {
                let (key, place) = (keys::users_role_rollout(&of, id), keys::people_row(&of, id, number));
                let Some(mut row) = tx.row::<RowRecord>(&place)? else { return Ok(false) };
                if row.value.request.as_ref() == Some(&request) {
                    return Ok(true);
                }
                if row.value.request != before {
                    return Ok(false);
                }
                row.value.request = Some(request);
                tx.put(&place, &row.value, row.ends)?;
                if before.is_none()
                    && let Some(mut head) = tx.row::<Head>(&key)?
                {
                    head.value.made += 1;
                    tx.put(&key, &head.value, head.ends)?;
                }
                Ok(true)
            })
            .await
    }

    async fn users_role_rollouts(&self, domain: &DomainName) -> Result<Vec<UsersRoleRollout>> {
        self.kv.read(|snapshot| {
            let mut all = Vec::new();
            for member in snapshot.members(&keys::users_role_rollouts(domain), snapshot.now.0) {
                let Some(id) = member?.parse().ok().map(RolloutId) else { continue };
                all.extend(snapshot.get::<Head>(&keys::users_role_rollout(domain, id))?.map(|head| head.rollout(id)));
            }
            all.sort_by_key(|rollout| std::cmp::Reverse(rollout.id.0));
            Ok(all)
        })
    }

    async fn users_role_rollout_rows(
        &self,
        domain: &DomainName,
        id: RolloutId,
        from: u64,
        limit: usize,
    ) -> Result<Option<Vec<Row>>> {
        self.kv.read(|snapshot| {
            let Some(head) = snapshot.get::<Head>(&keys::users_role_rollout(domain, id))? else { return Ok(None) };
            let mut rows = Vec::new();
            for number in from..from.saturating_add(limit as u64).min(head.rows) {
                let Some(row) = snapshot.get::<RowRecord>(&keys::people_row(domain, id, number))? else { break };
                let request = match &row.request {
                    Some(request) => read(snapshot, &self.sealer, domain, request.as_str())?,
                    None => None,
                };
                rows.push(row.row(number, request));
            }
            Ok(Some(rows))
        })
    }

    async fn remove_users_role_rollout(&self, domain: &DomainName, id: RolloutId) -> Result<bool> {
        let of = domain.clone();
        self.kv
            .write(move |tx| {
                let Some(head) = tx.get::<Head>(&keys::users_role_rollout(&of, id))? else { return Ok(false) };
                (0..head.rows).try_for_each(|number| tx.remove(&keys::people_row(&of, id, number)))?;
                tx.remove(&keys::users_role_rollout(&of, id))?;
                tx.unrank(&keys::users_role_rollouts(&of), &id.0.to_string())?;
                Ok(true)
            })
            .await
    }
}

/// Counts one more row of this roll-out that has its phone.
pub(super) fn count_registered(tx: &mut Tx<'_>, domain: &DomainName, id: RolloutId) -> Outcome<()> {
    let key = keys::users_role_rollout(domain, id);
    let Some(mut head) = tx.row::<Head>(&key)? else { return Ok(()) };
    head.value.registered += 1;
    tx.put(&key, &head.value, head.ends)
}
