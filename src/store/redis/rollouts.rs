//! Roll-outs on Redis: a hash and a list of rows each.

use std::collections::HashMap;

use ::redis::{ScriptInvocation, cmd, pipe};
use async_trait::async_trait;

use super::{LazyScript, Redis, keys, millis, script};
use crate::core::model::device::{CodeState, KEEP_USED};
use crate::core::model::ids::{CategoryId, Code, DomainName, RolloutId};
use crate::core::model::quota::QuotaKind;
use crate::core::model::time::UnixMillis;
use crate::store::record::{corrupt, from_json, to_json};
use crate::store::rollout_row::{StoredRow, row_place};
use crate::store::{Result, Rollout, RolloutRow, Rollouts};

static BEGIN: LazyScript = script!("begin_rollout");
static ADD_ROWS: LazyScript = script!("add_rollout_rows");

/// Rows that are sent in one script.
const BATCH: usize = 500;

#[async_trait]
impl Rollouts for Redis {
    async fn begin_rollout(
        &self,
        domain: &DomainName,
        name: &str,
        category: CategoryId,
        users: u64,
    ) -> Result<Rollout> {
        let begin = async {
            let id = RolloutId(self.client.ask(cmd("INCR").arg(keys::seq_rollout(domain))).await?);
            let mut script = BEGIN.key(keys::rollout(domain, id));
            script.key(keys::rollouts(domain)).arg(id.0).arg(name).arg(category.0).arg(users).arg(millis(KEEP_USED));
            self.add_rollout_quotas(&mut script).arg(keys::rollout_prefix(domain));
            let created = self.begun(self.client.eval(&script).await?)?;
            Ok(Rollout { id, name: name.into(), category, created, users, rows: 0 })
        };
        self.client.timed(begin).await
    }

    async fn add_rollout_rows(
        &self,
        domain: &DomainName,
        id: RolloutId,
        from: u64,
        rows: &[RolloutRow],
    ) -> Result<bool> {
        for (from, rows) in (from..).step_by(BATCH).zip(rows.chunks(BATCH)) {
            let mut script = ADD_ROWS.key(keys::rollout(domain, id));
            script.key(keys::rows(domain, id)).arg(from);
            let place = keys::rows(domain, id);
            for (number, row) in (from..).zip(rows) {
                script.arg(to_json(&StoredRow::of(row, self.new_stored(&row_place(&place, number), row.code))));
            }
            if !self.client.timed(self.client.eval::<bool>(&script)).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn rollouts(&self, domain: &DomainName) -> Result<Vec<Rollout>> {
        self.client
            .timed(async {
                let ids: Vec<u64> = self.client.ask(cmd("ZRANGE").arg(keys::rollouts(domain)).arg(0).arg(-1)).await?;
                let ids: Vec<RolloutId> = ids.into_iter().map(RolloutId).collect();
                let mut all: Vec<Rollout> = self.read_rollouts(domain, &ids).await?.into_iter().flatten().collect();
                all.sort_by_key(|rollout| std::cmp::Reverse(rollout.id.0));
                Ok(all)
            })
            .await
    }

    async fn rollout_rows(
        &self,
        domain: &DomainName,
        id: RolloutId,
        from: u64,
        limit: usize,
    ) -> Result<Option<Vec<(RolloutRow, Option<CodeState>)>>> {
        self.client
            .timed(async {
                let mut pipeline = pipe();
                pipeline.exists(keys::rollout(domain, id));
                let last = i64::try_from(from.saturating_add(limit as u64)).unwrap_or(i64::MAX) - 1;
                pipeline.cmd("LRANGE").arg(keys::rows(domain, id)).arg(from).arg(last);
                let (there, rows): (bool, Vec<Vec<u8>>) = self.client.ask_all(&pipeline).await?;
                if !there {
                    return Ok(None);
                }
                let place = keys::rows(domain, id);
                let rows = (from..).zip(&rows).take(limit).map(|(number, row)| {
                    from_json::<StoredRow>(&place, row)?.opened(&self.sealer, &row_place(&place, number))
                });
                let rows = rows.collect::<Result<Vec<RolloutRow>>>()?;
                let codes: Vec<Code> = rows.iter().map(|row| row.code).collect();
                let records = self.read_codes(domain, &codes).await?;
                let states = records.into_iter().map(|record| record.map(|record| record.state));
                Ok(Some(rows.into_iter().zip(states).collect()))
            })
            .await
    }

    async fn remove_rollout(&self, domain: &DomainName, id: RolloutId) -> Result<bool> {
        let mut pipeline = pipe();
        pipeline.cmd("DEL").arg(keys::rollout(domain, id));
        pipeline.cmd("UNLINK").arg(keys::rows(domain, id)).ignore();
        pipeline.zrem(keys::rollouts(domain), id.0).ignore();
        let (removed,): (bool,) = self.client.timed(self.client.ask_all(&pipeline)).await?;
        Ok(removed)
    }
}

impl Redis {
    /// Adds the limits of a roll-out to the arguments of the script that begins it.
    pub(super) fn add_rollout_quotas<'s, 'a>(
        &self,
        script: &'s mut ScriptInvocation<'a>,
    ) -> &'s mut ScriptInvocation<'a> {
        let quotas = &self.limits.quotas;
        script.arg(quotas.rollouts).arg(quotas.rollout_rows)
    }

    /// When a roll-out was begun, from the answer of the script.
    pub(super) fn begun(&self, answer: i64) -> Result<UnixMillis> {
        match u64::try_from(answer) {
            Ok(begun) => Ok(UnixMillis(begun)),
            Err(_) if answer == -1 => Err(self.limits.quotas.over(QuotaKind::Rollouts).into()),
            Err(_) => Err(self.limits.quotas.over(QuotaKind::RolloutRows).into()),
        }
    }

    async fn read_rollouts(&self, domain: &DomainName, ids: &[RolloutId]) -> Result<Vec<Option<Rollout>>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = pipe();
        for id in ids {
            pipeline.hgetall(keys::rollout(domain, *id)).llen(keys::rows(domain, *id));
        }
        let mut answers = self.client.ask_all::<Vec<::redis::Value>>(&pipeline).await?.into_iter();
        let mut all = Vec::with_capacity(ids.len());
        for id in ids {
            let place = keys::rollout(domain, *id);
            let (Some(fields), Some(rows)) = (answers.next(), answers.next()) else {
                return Err(corrupt(&place, &"no answer"));
            };
            let wrong = |e: ::redis::ParsingError| corrupt(&place, &e);
            let fields: HashMap<String, String> = ::redis::from_redis_value(fields).map_err(wrong)?;
            let rows = ::redis::from_redis_value(rows).map_err(wrong)?;
            let number = |name| fields.get(name).and_then(|text: &String| text.parse().ok()).unwrap_or_default();
            all.push(fields.get("name").map(|name| Rollout {
                id: *id,
                name: name.as_str().into(),
                category: CategoryId(number("category")),
                created: UnixMillis(number("created")),
                users: number("users"),
                rows,
            }));
        }
        Ok(all)
    }
}
