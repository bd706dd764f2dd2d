//! Roll-outs of the Users role on Redis: a hash and a list of rows each, for 30 days.

use std::collections::HashMap;

use ::redis::{cmd, pipe};
use async_trait::async_trait;

use crate::core::model::device::KEEP_USED;
use crate::core::model::ids::{DomainName, RolloutId};
use crate::core::model::time::UnixMillis;
use crate::core::model::users_role::{Person, RequestId, Row, UsersRoleRollout};
use crate::store::record::{corrupt, from_json, to_json};
use crate::store::redis::{LazyScript, Redis, keys, millis, script};
use crate::store::users_role::RowRecord;
use crate::store::{Result, UsersRoleRollouts};

static BEGIN: LazyScript = script!("begin_users_role_rollout");
static ADD_ROWS: LazyScript = script!("add_rollout_rows");
static SET_ROW: LazyScript = script!("set_row_request");

/// Rows that are sent in one script.
const BATCH: usize = 500;

#[async_trait]
impl UsersRoleRollouts for Redis {
    async fn begin_users_role_rollout(
        &self,
        domain: &DomainName,
        name: &str,
        category: &str,
        app: &str,
        users: u64,
    ) -> Result<UsersRoleRollout> {
        self.client.timed(self.begin_people(domain, name, category, app, users)).await
    }

    async fn add_users_role_rollout_rows(
        &self,
        domain: &DomainName,
        id: RolloutId,
        from: u64,
        people: &[Person],
    ) -> Result<bool> {
        for (from, people) in (from..).step_by(BATCH).zip(people.chunks(BATCH)) {
            let mut script = ADD_ROWS.key(keys::users_role_rollout(domain, id));
            script.key(keys::people_rows(domain, id)).arg(from);
            for person in people {
                script.arg(to_json(&RowRecord::of(person)));
            }
            // The deadline is for each step, not for all.
            if !self.client.timed(self.client.eval::<bool>(&script)).await? {
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
        let mut script = SET_ROW.key(keys::users_role_rollout(domain, id));
        script.key(keys::people_rows(domain, id)).arg(number).arg(before.map_or("", RequestId::as_str));
        script.arg(request.as_str());
        self.client.timed(self.client.eval(&script)).await
    }

    async fn users_role_rollouts(&self, domain: &DomainName) -> Result<Vec<UsersRoleRollout>> {
        self.client.timed(self.read_users_role_rollouts(domain)).await
    }

    async fn users_role_rollout_rows(
        &self,
        domain: &DomainName,
        id: RolloutId,
        from: u64,
        limit: usize,
    ) -> Result<Option<Vec<Row>>> {
        self.client.timed(self.read_users_role_rollout_rows(domain, id, from, limit)).await
    }

    async fn remove_users_role_rollout(&self, domain: &DomainName, id: RolloutId) -> Result<bool> {
        let mut pipeline = pipe();
        pipeline.cmd("DEL").arg(keys::users_role_rollout(domain, id));
        pipeline.cmd("UNLINK").arg(keys::people_rows(domain, id)).ignore();
        pipeline.zrem(keys::users_role_rollouts(domain), id.0).ignore();
        let (removed,): (bool,) = self.client.timed(self.client.ask_all(&pipeline)).await?;
        Ok(removed)
    }
}

impl Redis {
    async fn begin_people(
        &self,
        domain: &DomainName,
        name: &str,
        category: &str,
        app: &str,
        users: u64,
    ) -> Result<UsersRoleRollout> {
        let id = RolloutId(self.client.ask(cmd("INCR").arg(keys::people_seq(domain))).await?);
        let mut script = BEGIN.key(keys::users_role_rollout(domain, id));
        script.key(keys::users_role_rollouts(domain)).arg(id.0).arg(name).arg(category).arg(app).arg(users);
        script.arg(millis(KEEP_USED));
        self.add_rollout_quotas(&mut script).arg(keys::users_role_rollout_prefix(domain));
        let begun = self.begun(self.client.eval(&script).await?)?;
        let (name, category, app) = (name.into(), category.into(), app.into());
        Ok(UsersRoleRollout { id, name, category, app, begun, users, rows: 0, made: 0, registered: 0 })
    }

    async fn read_users_role_rollouts(&self, domain: &DomainName) -> Result<Vec<UsersRoleRollout>> {
        let ids: Vec<u64> =
            self.client.ask(cmd("ZRANGE").arg(keys::users_role_rollouts(domain)).arg(0).arg(-1)).await?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = pipe();
        for id in &ids {
            let id = RolloutId(*id);
            pipeline.hgetall(keys::users_role_rollout(domain, id)).llen(keys::people_rows(domain, id));
        }
        let mut answers = self.client.ask_all::<Vec<::redis::Value>>(&pipeline).await?.into_iter();
        let mut all = Vec::with_capacity(ids.len());
        for id in ids.into_iter().map(RolloutId) {
            let place = keys::users_role_rollout(domain, id);
            let (Some(fields), Some(rows)) = (answers.next(), answers.next()) else {
                return Err(corrupt(&place, &"no answer"));
            };
            let wrong = |e: ::redis::ParsingError| corrupt(&place, &e);
            let fields: HashMap<String, String> = ::redis::from_redis_value(fields).map_err(wrong)?;
            let rows = ::redis::from_redis_value(rows).map_err(wrong)?;
            let text = |name| fields.get(name).map_or("", |text: &String| text.as_str());
            let number = |name| text(name).parse().unwrap_or_default();
            all.extend(fields.contains_key("name").then(|| UsersRoleRollout {
                id,
                name: text("name").into(),
                category: text("category").into(),
                app: text("app").into(),
                begun: UnixMillis(number("begun")),
                users: number("users"),
                rows,
                made: number("made"),
                registered: number("registered"),
            }));
        }
        all.sort_by_key(|rollout| std::cmp::Reverse(rollout.id.0));
        Ok(all)
    }

    async fn read_users_role_rollout_rows(
        &self,
        domain: &DomainName,
        id: RolloutId,
        from: u64,
        limit: usize,
    ) -> Result<Option<Vec<Row>>> {
        let mut pipeline = pipe();
        pipeline.exists(keys::users_role_rollout(domain, id));
        let last = i64::try_from(from.saturating_add(limit as u64)).unwrap_or(i64::MAX) - 1;
        pipeline.cmd("LRANGE").arg(keys::people_rows(domain, id)).arg(from).arg(last);
        let (there, rows): (bool, Vec<Vec<u8>>) = self.client.ask_all(&pipeline).await?;
        if !there {
            return Ok(None);
        }
        let place = keys::people_rows(domain, id);
        let rows = rows.iter().take(limit).map(|row| from_json(&place, row)).collect::<Result<Vec<RowRecord>>>()?;
        let ids: Vec<RequestId> = rows.iter().filter_map(|row| row.request.clone()).collect();
        let records = self.read_requests(domain, &ids).await?;
        let mut found: HashMap<RequestId, _> =
            ids.into_iter().zip(records).filter_map(|(id, record)| Some((id, record?.0))).collect();
        let row = |(number, row): (u64, RowRecord)| {
            let request = row.request.as_ref().and_then(|id| found.remove(id));
            row.row(number, request)
        };
        Ok(Some((from..).zip(rows).map(row).collect()))
    }
}
