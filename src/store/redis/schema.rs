//! Version and migration on Redis, while nodes run (`src/store/schema.rs`).
//!
//! One node at a time, the holder of a lock, performs the pages. The lock may be lost in the middle of a page: pages
//! may run twice, and every change of the record of the schema names what it expects to find there.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ::redis::{Cmd, cmd, pipe};
use async_trait::async_trait;

use super::{LazyScript, Redis, keys, script};
use crate::core::model::ids::NodeId;
use crate::store::schema::{
    Announced, MigrationState, Pace, Page, Phase, Schema, SchemaStatus, Stage, Step, VERSION, VERSIONED,
};
use crate::store::{Locks as _, Result};

static SET_FIELDS_IF: LazyScript = script!("set_fields_if");

/// Name of the lock of the node that migrates.
const LOCK: &str = "schema";
/// How long it stays without a page.
const LOCKED: Duration = Duration::from_secs(10);

/// The stage of this process, and what only its migration needs.
pub(super) struct Current {
    /// This process has written the old form when it had to be the new one.
    missed: AtomicBool,
    /// Who we are to the lock.
    holder: String,
    /// Pages that this process has performed.
    pages: AtomicU64,
}

impl Current {
    pub fn new() -> Self {
        Self { missed: AtomicBool::new(false), holder: crate::random::guid(), pages: AtomicU64::new(0) }
    }
}

/// The record of the schema.
#[derive(Default)]
pub(super) struct Record {
    pub stage: Stage,
    /// The value of `keycheck` from the time before it was versioned.
    pub check: String,
    /// The version at which the migration under way began.
    from: u32,
    /// When the door was closed.
    since: u64,
    /// Where the next page begins, and the run of the server for which that is so.
    cursor: String,
    run: String,
    changed: u64,
    /// Where the next page of sealing anew begins, and the run of the server for which that is so.
    pub reseal_cursor: String,
    pub reseal_run: String,
    pub reseal_records: u64,
    /// The generation with which everything is sealed, and since when.
    pub resealed: u64,
    pub resealed_at: u64,
}

/// Its fields, in the order in which they are read.
const FIELDS: [&str; 13] = [
    "version",
    "phase",
    "keycheck",
    "from",
    "since",
    "cursor",
    "run",
    "changed",
    "reseal_cursor",
    "reseal_run",
    "reseal_records",
    "resealed",
    "resealed_at",
];

impl Record {
    pub fn read() -> Cmd {
        cmd("HMGET").arg(keys::SCHEMA).arg(&FIELDS).take()
    }

    pub fn of(fields: Vec<Option<String>>) -> Self {
        let mut fields = fields.into_iter().map(Option::unwrap_or_default);
        let mut next = || fields.next().unwrap_or_default();
        let number = |text: String| text.parse().unwrap_or(0);
        Self {
            stage: Stage { version: next().parse().unwrap_or(0), phase: Phase::parse(&next()) },
            check: next(),
            from: next().parse().unwrap_or(0),
            since: number(next()),
            cursor: next(),
            run: next(),
            changed: number(next()),
            reseal_cursor: next(),
            reseal_run: next(),
            reseal_records: number(next()),
            resealed: number(next()),
            resealed_at: number(next()),
        }
    }

    fn status(&self, state: MigrationState) -> SchemaStatus {
        SchemaStatus { version: self.stage.version, newest: VERSION, state, changed: self.changed }
    }
}

#[async_trait]
impl Schema for Redis {
    async fn schema(&self) -> Result<SchemaStatus> {
        let record = self.schema_record().await?;
        if record.stage.version >= VERSION && record.stage.phase == Phase::Settled {
            return Ok(record.status(MigrationState::Done));
        }
        let behind = self.nodes_behind(record.stage.phase).await?;
        let state = match (record.stage.phase, Step::after(record.stage.version)) {
            _ if !behind.is_empty() => MigrationState::WaitingForNodes(behind),
            (Phase::Moving, Some(step)) => MigrationState::Running(step),
            _ => MigrationState::Closing,
        };
        Ok(record.status(state))
    }

    async fn migrate(&self) -> Result<Pace> {
        let missed = self.schema.missed.load(Ordering::Relaxed);
        if self.sealer.stage().get().is_newest() && !missed && self.ring_at_rest() {
            return Ok(Pace::Done);
        }
        let record = self.schema_record().await?;
        self.follow(record.stage);
        let missed = self.schema.missed.load(Ordering::Relaxed);
        let newest = record.stage.version >= VERSION && record.stage.phase == Phase::Settled && !missed;
        if newest && self.ring_at_rest() {
            return Ok(Pace::Done);
        }
        if !self.lock(LOCK, &self.schema.holder, LOCKED).await? {
            return Ok(Pace::Later);
        }
        if newest {
            return self.advance_ring(&record).await;
        }
        if missed && record.stage.phase == Phase::Settled {
            return self.begin_again(&record).await;
        }
        let behind = self.nodes_behind(record.stage.phase).await?;
        match record.stage.phase {
            Phase::Settled if behind.is_empty() => self.close(&record).await,
            Phase::Settled => Ok(Pace::Later),
            Phase::Closing => self.closing(&record, behind).await,
            Phase::Moving if behind.is_empty() => self.next_page(&record).await,
            Phase::Moving => self.begin_again(&record).await,
        }
    }
}

impl Redis {
    /// Works by this stage from now on.
    pub(super) fn follow(&self, now: Stage) {
        let before = self.sealer.stage().get();
        if before.phase != Phase::Moving && before.version < now.version && now.phase == Phase::Settled {
            // The lease of this node had ended, so nobody has waited for it.
            self.schema.missed.store(true, Ordering::Relaxed);
        }
        self.sealer.stage().set(now);
    }

    /// The text for the lease of this node.
    pub(super) fn announcement(&self) -> String {
        self.sealer.stage().get().announcement(self.ring.keyring().revision)
    }

    pub(super) fn tell_page(&self) {
        if let Some(tell) = &self.options.after_page {
            tell(self.schema.pages.fetch_add(1, Ordering::Relaxed) + 1);
        }
    }

    pub(super) async fn schema_record(&self) -> Result<Record> {
        Ok(Record::of(self.client.timed(self.client.ask(&Record::read())).await?))
    }

    /// What each live node has announced.
    async fn announced(&self) -> Result<Vec<(NodeId, Announced)>> {
        // Every node of every version reports how many members it has.
        let names: Vec<String> = self.client.timed(self.client.ask(cmd("HKEYS").arg(keys::MEMBERS))).await?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let nodes: Vec<_> = names.iter().map(|name| NodeId::new(name)).collect();
        let mut read = pipe();
        for node in &nodes {
            read.cmd("GET").arg(keys::node(node));
        }
        let leases: Vec<Option<String>> = self.client.timed(self.client.ask_all(&read)).await?;
        let live = nodes.into_iter().zip(leases).filter_map(|(node, lease)| Some((node, Announced::parse(&lease?))));
        Ok(live.collect())
    }

    /// The live nodes that do not know this version, and in the phase of moving those that do not move yet.
    async fn nodes_behind(&self, phase: Phase) -> Result<Vec<NodeId>> {
        let mut live = self.announced().await?;
        live.retain(|(_, said)| said.knows < VERSION || phase == Phase::Moving && !said.stage.moves());
        Ok(live.into_iter().map(|(node, _)| node).collect())
    }

    /// The live nodes that do not have this revision of the key ring.
    pub(super) async fn nodes_without_ring(&self, revision: u64) -> Result<Vec<NodeId>> {
        let mut live = self.announced().await?;
        live.retain(|(_, said)| said.ring < revision);
        Ok(live.into_iter().map(|(node, _)| node).collect())
    }

    /// Changes the record of the schema, unless it is not any more what was read.
    async fn set_schema(&self, record: &Record, fields: &[(&str, String)]) -> Result<bool> {
        let expected = [
            ("version", record.stage.version.to_string()),
            ("phase", record.stage.phase.as_str().to_owned()),
            ("cursor", record.cursor.clone()),
        ];
        self.set_if(&expected, fields).await
    }

    /// Sets fields of the record of the schema, if others have these values.
    pub(super) async fn set_if(&self, expected: &[(&str, String)], fields: &[(&str, String)]) -> Result<bool> {
        let mut script = SET_FIELDS_IF.key(keys::SCHEMA);
        script.arg(expected.len());
        for (field, value) in expected.iter().chain(fields) {
            script.arg(field).arg(value);
        }
        self.client.timed(self.client.eval(&script)).await
    }

    /// Refuses older programs from now on.
    async fn close(&self, record: &Record) -> Result<Pace> {
        let mut read = pipe();
        read.cmd("HSETNX").arg(keys::SCHEMA).arg("version").arg(0).ignore();
        read.cmd("GET").arg(keys::KEY_CHECK);
        let (check,): (Option<String>,) = self.client.timed(self.client.ask_all(&read)).await?;
        let since = self.client.timed(self.server_time()).await?.0.to_string();
        let phase = Phase::Closing.as_str().to_owned();
        let check = check.unwrap_or_default();
        let from = record.stage.version.to_string();
        let mut fields = vec![("phase", phase), ("since", since), ("from", from), ("changed", String::new())];
        if check != VERSIONED {
            fields.push(("keycheck", check));
        }
        if self.set_schema(record, &fields).await? {
            self.shut().await?;
            tracing::info!(from = record.stage.version, to = VERSION, "the store is closed to programs of before");
        }
        Ok(if self.options.closing.is_zero() { Pace::Again } else { Pace::Later })
    }

    async fn shut(&self) -> Result<()> {
        self.client.timed(self.client.ask(cmd("SET").arg(keys::KEY_CHECK).arg(VERSIONED))).await
    }

    async fn closing(&self, record: &Record, behind: Vec<NodeId>) -> Result<Pace> {
        if !behind.is_empty() {
            // It was starting while the door was closed. Nothing has changed yet, so it may stay.
            let open = cmd("SET").arg(keys::KEY_CHECK).arg(&record.check).take();
            self.client.timed(self.client.ask::<()>(&open)).await?;
            self.set_schema(record, &[("phase", String::new())]).await?;
            return Ok(Pace::Later);
        }
        // Whoever has closed it may have ended before this.
        self.shut().await?;
        let now = self.client.timed(self.server_time()).await?.0;
        if now.saturating_sub(record.since) < super::millis(self.options.closing) {
            return Ok(Pace::Later);
        }
        if self.set_schema(record, &[("phase", Phase::Moving.as_str().into())]).await? {
            self.follow(Stage { phase: Phase::Moving, ..record.stage });
        }
        Ok(Pace::Again)
    }

    async fn next_page(&self, record: &Record) -> Result<Pace> {
        let Some(step) = Step::after(record.stage.version) else {
            self.set_schema(record, &[("phase", String::new())]).await?;
            return Ok(Pace::Again);
        };
        // A cursor of SCAN means nothing to a server that was started again.
        let run = self.client.timed(self.run_id()).await?;
        let cursor = if run == record.run { &*record.cursor } else { "" };
        if cursor.is_empty() {
            tracing::info!(step = step.as_str(), "migration of the store: step begins");
        }
        let Page { next, changed } = self.migrate_page(step, cursor).await?;
        let changed = ("changed", some(record.changed + changed));
        let stage = match next {
            Some(next) => {
                self.set_schema(record, &[("cursor", next), ("run", run), changed]).await?;
                record.stage
            }
            None => {
                let phase = if step.version() == VERSION { Phase::Settled } else { Phase::Moving };
                let version = step.version();
                let mut fields = vec![
                    ("version", version.to_string()),
                    ("phase", phase.as_str().into()),
                    ("cursor", String::new()),
                    ("run", String::new()),
                    changed,
                ];
                if phase == Phase::Settled {
                    // Nobody needs it any more, and it would help to guess the password that it was made from.
                    fields.push(("keycheck", String::new()));
                }
                if self.set_schema(record, &fields).await? {
                    tracing::info!(version, records = %fields[4].1, "migration of the store: step done");
                }
                Stage { version, phase }
            }
        };
        self.sealer.stage().set(stage);
        self.tell_page();
        Ok(if stage == Stage::NEWEST { Pace::Done } else { Pace::Again })
    }

    /// A node may have written the old form after its place was passed: the steps run again.
    async fn begin_again(&self, record: &Record) -> Result<Pace> {
        let begun = record.stage.version > record.from || !record.cursor.is_empty() || record.changed > 0;
        if begun {
            let fields = [
                ("version", record.from.to_string()),
                ("phase", Phase::Moving.as_str().into()),
                ("cursor", String::new()),
                ("changed", String::new()),
            ];
            if self.set_schema(record, &fields).await? {
                self.schema.missed.store(false, Ordering::Relaxed);
                self.sealer.stage().set(Stage { version: record.from, phase: Phase::Moving });
                tracing::warn!("migration of the store begins again: a node had not followed it");
            }
        }
        Ok(Pace::Later)
    }

    pub(super) async fn run_id(&self) -> Result<String> {
        let info: String = self.client.ask(cmd("INFO").arg("server")).await?;
        let line = info.lines().find_map(|line| line.strip_prefix("run_id:"));
        Ok(line.unwrap_or("unknown").to_owned())
    }

    /// A page of a step.
    async fn migrate_page(&self, step: Step, cursor: &str) -> Result<Page> {
        match step {
            Step::Codes => self.lift_page(cursor, self.options.page).await,
            Step::Seals => self.reseal_page(cursor).await,
        }
    }
}

/// A number as a value; nothing for zero, which is what a field that is not there means.
fn some(number: impl Into<u64>) -> String {
    match number.into() {
        0 => String::new(),
        number => number.to_string(),
    }
}
