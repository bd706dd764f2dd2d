//! The version of what is stored, and how a store of an earlier version becomes one of this version.
//!
//! A store has a version; each [`Step`] of migration raises it by one. A new store has the newest version at once. The
//! backends perform the steps in pages: progress is kept in the store, and each page may be repeated, so a migration
//! goes on where it was interrupted.
//!
//! On Redis, programs of two versions run side by side during an upgrade. Until all live nodes know the newest version,
//! every node writes what the older program reads ([`Form::Old`]). Then the door is closed to older programs
//! ([`Phase::Closing`]); after that the nodes write the new form and read both ([`Phase::Moving`]), and once all of
//! them say so in their leases the steps run. The embedded store has one process only: it is migrated when it is
//! opened, so its operations know the new form only. `docs/operations.md` says how to upgrade.

use std::sync::atomic::{AtomicU32, Ordering};

use super::Result;
use super::observed::store_trait;
use crate::core::model::ids::NodeId;

/// The steps of migration, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Codes under keyed hashes.
    Codes,
    /// Everything sealed with the instance key.
    Seals,
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Codes, Self::Seals];

    /// The version of a store after this step.
    pub const fn version(self) -> u32 {
        self as u32 + 1
    }

    /// Its name in logs and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Codes => "codes",
            Self::Seals => "seals",
        }
    }

    /// The step that a store of this version needs next.
    pub fn after(version: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.version() > version)
    }
}

/// The version that this program makes and keeps.
#[allow(clippy::cast_possible_truncation)]
pub const VERSION: u32 = Step::ALL.len() as u32;

/// The value of `keycheck` in a store that has a version. Programs that know of no version compare it with the check
/// value of their master key, and refuse the store.
pub(super) const VERSIONED: &str = "see schema";

/// How the records that a step changes are read and written now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Written as before the step, since nodes of the earlier version run; read in both forms.
    Old,
    /// Written in the new form; there may be records of either.
    Both,
    /// The step is done: there is only the new form.
    New,
}

/// How far the change to a newer version has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u32)]
pub(super) enum Phase {
    /// None is under way.
    #[default]
    Settled,
    /// Older programs are refused at their start; everything is still written in the old form.
    Closing,
    /// Everything is written in the new form, and the steps run.
    Moving,
}

impl Phase {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settled => "",
            Self::Closing => "closing",
            Self::Moving => "moving",
        }
    }

    pub fn parse(text: &str) -> Self {
        match text {
            "closing" => Self::Closing,
            "moving" => Self::Moving,
            _ => Self::Settled,
        }
    }
}

/// Version and phase of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Stage {
    pub version: u32,
    pub phase: Phase,
}

impl Stage {
    /// Nothing is left to be done.
    pub const NEWEST: Self = Self { version: VERSION, phase: Phase::Settled };

    /// How the records of a step are read and written at this stage.
    pub fn form(self, step: Step) -> Form {
        if self.version >= step.version() {
            Form::New
        } else if self.phase == Phase::Moving {
            Form::Both
        } else {
            Form::Old
        }
    }

    /// Whether nothing is left to be done.
    pub fn is_newest(self) -> bool {
        self == Self::NEWEST
    }

    /// Whether a node at this stage writes the new form of everything.
    pub fn moves(self) -> bool {
        self.phase == Phase::Moving || self.version >= VERSION
    }

    /// The text by which a node announces in its lease which version it knows, by which stage it works, and which
    /// revision of the key ring it has.
    pub fn announcement(self, ring: u64) -> String {
        format!("v{VERSION} {} {} {ring}", self.version, self.phase.as_str())
    }
}

/// What a node has announced in its lease. Programs that know of no version write `1` there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Announced {
    /// The newest version that it knows.
    pub knows: u32,
    /// The stage by which it works.
    pub stage: Stage,
    /// The revision of the key ring that it has.
    pub ring: u64,
}

impl Announced {
    pub fn parse(text: &str) -> Self {
        let mut words = text.split(' ');
        let knows = words.next().and_then(|word| word.strip_prefix('v')).and_then(|word| word.parse().ok());
        let Some(knows) = knows else { return Self::default() };
        let version = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        let phase = words.next().map(Phase::parse).unwrap_or_default();
        let ring = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        Self { knows, stage: Stage { version, phase }, ring }
    }
}

/// The stage by which this process works; shared by all of its threads.
#[derive(Debug, Default)]
pub(super) struct CurrentStage(AtomicU32);

/// Bits of the phase in [`CurrentStage`].
const PHASES: u32 = 4;

impl CurrentStage {
    pub fn get(&self) -> Stage {
        let packed = self.0.load(Ordering::Acquire);
        let phase = match packed % PHASES {
            1 => Phase::Closing,
            2 => Phase::Moving,
            _ => Phase::Settled,
        };
        Stage { version: packed / PHASES, phase }
    }

    pub fn set(&self, stage: Stage) {
        self.0.store(stage.version * PHASES + stage.phase as u32, Ordering::Release);
    }

    pub fn form(&self, step: Step) -> Form {
        self.get().form(step)
    }
}

/// The outcome of one page of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    /// Where the next page begins; `None`: this was the last one.
    pub next: Option<String>,
    /// Records that this page has changed.
    pub changed: u64,
}

/// What keeps a store from the newest version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MigrationState {
    /// Nothing: it has the newest version.
    Done,
    /// These nodes run a program of an earlier version, or have not followed yet.
    WaitingForNodes(Vec<NodeId>),
    /// Older programs are refused from now on; until one that was just starting would have shown itself.
    Closing,
    /// This step is under way.
    Running(Step),
}

impl MigrationState {
    /// Its name in answers and logs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::WaitingForNodes(_) => "waiting for nodes",
            Self::Closing => "closing",
            Self::Running(_) => "running",
        }
    }
}

/// The version of a store, and how far its migration has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaStatus {
    /// The version that it has.
    pub version: u32,
    /// The version that this program brings it to.
    pub newest: u32,
    /// What is left to be done.
    pub state: MigrationState,
    /// Records that the migration under way, or the last one, has changed so far.
    pub changed: u64,
}

/// When to ask for the next piece of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// There is nothing left.
    Done,
    /// At once.
    Again,
    /// In a second: it is another node's turn, or other nodes have to follow first.
    Later,
}

store_trait! {
    /// The version of the store.
    pub trait Schema: Send + Sync {
        /// Version and progress.
        async fn schema(&self) -> Result<SchemaStatus> => Schema;

        /// Performs the next piece of the migration, which is short, if it is this node's turn. Costs nothing when there
        /// is nothing to do.
        async fn migrate(&self) -> Result<Pace> => Migrate;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_follows_version_and_phase() {
        let form = |version, phase| Stage { version, phase }.form(Step::Codes);
        assert_eq!(form(0, Phase::Settled), Form::Old);
        assert_eq!(form(0, Phase::Closing), Form::Old, "an older node may still be running");
        assert_eq!(form(0, Phase::Moving), Form::Both);
        assert_eq!(form(1, Phase::Moving), Form::New);
        assert_eq!(form(1, Phase::Settled), Form::New);
        assert_eq!(Step::after(0), Some(Step::Codes));
        assert_eq!(Step::after(VERSION), None);
    }

    #[test]
    fn a_node_announces_what_it_knows_and_does() {
        for stage in
            [Stage::NEWEST, Stage { version: 0, phase: Phase::Closing }, Stage { version: 7, phase: Phase::Moving }]
        {
            let announced = Announced::parse(&stage.announcement(5));
            assert_eq!(announced, Announced { knows: VERSION, stage, ring: 5 });
            let current = CurrentStage::default();
            current.set(stage);
            assert_eq!(current.get(), stage);
        }
        assert_eq!(Announced::parse("1"), Announced::default(), "the program of before");
    }
}
