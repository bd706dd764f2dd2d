//! Records of strangers in the file: a bounded pool of them, whose rules are in `bounds.rs`.
//!
//! A pool has an index of its records by end, a row for the source of each record, an index of the sources by their
//! number of records, and an index of the records of each source by end.

use std::time::Duration;

use super::keys;
use super::kv::{Outcome, Tx};
use crate::core::model::time::UnixMillis;
use crate::core::protocol::sysclient::auth::sha256_hex;
use crate::store::{RecordCaps, SOURCE_KNOWN};

/// Records that have ended, and that are removed together with a new one.
const PURGE: usize = 100;

/// Most records that give way to one. There is more than one too many only after a limit was lowered; then the next
/// records remove the rest.
const GIVE_WAY: u64 = 10;

/// Where a pool keeps its records.
pub(super) struct Pool {
    /// Part of the names of everything about its sources.
    pub name: &'static str,
    /// Index of the records by end.
    pub ends: &'static str,
    /// Another index with these records, if there is one.
    pub also: Option<&'static str>,
    /// The key of a record.
    pub record: fn(&str) -> String,
}

/// The contacts of phones that have entered no valid code.
pub(super) const CONTACTS: Pool = Pool { name: "dir", ends: keys::STRANGERS, also: None, record: keys::phone };

/// Unassigned devices.
pub(super) const UNASSIGNED: Pool = Pool {
    name: "unassigned",
    ends: keys::UNASSIGNED_ENDS,
    also: Some(keys::UNASSIGNED),
    record: keys::unassigned_row,
};

impl Pool {
    fn by(&self, record: &str) -> String {
        format!("sources:{}:by:{record}", self.name)
    }

    fn sources(&self) -> String {
        format!("sources:{}", self.name)
    }

    fn of(&self, source: &str) -> String {
        format!("sources:{}:of:{source}", self.name)
    }

    /// The source of a record, if it is in the pool.
    pub fn source(&self, tx: &Tx<'_>, record: &str) -> Outcome<Option<String>> {
        tx.get(&self.by(record))
    }

    /// Takes a record out of the pool; it is not removed.
    pub fn leave(&self, tx: &mut Tx<'_>, record: &str) -> Outcome<()> {
        tx.unrank(self.ends, record)?;
        let Some(source) = self.source(tx, record)? else { return Ok(()) };
        tx.remove(&self.by(record))?;
        let of = self.of(&source);
        tx.unrank(&of, record)?;
        self.recount(tx, &source)
    }

    /// Puts a record into the pool, or prolongs it there.
    pub fn hold(&self, tx: &mut Tx<'_>, record: &str, source: Option<&str>, ends: UnixMillis) -> Outcome<()> {
        tx.rank(self.ends, ends.0, record)?;
        let Some(source) = source else { return Ok(()) };
        tx.put(&self.by(record), &source, None)?;
        tx.rank(&self.of(source), ends.0, record)?;
        self.recount(tx, source)
    }

    /// Makes room for a record from a source that is known by this hash. Returns the source as it is called now, and
    /// how many records gave way.
    pub fn make_room(&self, tx: &mut Tx<'_>, hash: &str, caps: RecordCaps) -> Outcome<(String, u64)> {
        for over in tx.members_until(self.ends, tx.now.0, PURGE)? {
            self.forget(tx, &over)?;
        }
        let source = self.name_of(tx, hash)?;
        let mut gone = 0;
        while gone < GIVE_WAY {
            let own = tx.size(&self.of(&source))?;
            let from = if own >= caps.per_source {
                self.of(&source)
            } else if tx.size(self.ends)? < caps.most {
                break;
            } else {
                match tx.last(&self.sources())? {
                    Some((largest, _)) if own > 0 && own + 1 >= largest => self.of(&source),
                    Some((largest, other)) if largest > 1 => self.of(&other),
                    _ => self.ends.to_owned(),
                }
            };
            let Some(oldest) = tx.members_until(&from, u64::MAX, 1)?.pop() else { break };
            self.forget(tx, &oldest)?;
            gone += 1;
        }
        Ok((source, gone))
    }

    fn forget(&self, tx: &mut Tx<'_>, record: &str) -> Outcome<()> {
        self.leave(tx, record)?;
        if let Some(also) = self.also {
            tx.unrank(also, record)?;
        }
        tx.remove(&(self.record)(record))
    }

    fn recount(&self, tx: &mut Tx<'_>, source: &str) -> Outcome<()> {
        let (sources, now) = (self.sources(), tx.size(&self.of(source))?);
        if now == 0 { tx.unrank(&sources, source) } else { tx.rank(&sources, now, source) }
    }

    /// The source as it is known while there is this salt.
    fn name_of(&self, tx: &mut Tx<'_>, hash: &str) -> Outcome<String> {
        let place = format!("sources:{}:salt", self.name);
        let salt: String = match tx.get(&place)? {
            Some(salt) => salt,
            None => {
                let salt = crate::random::guid();
                tx.put(&place, &salt, Some(tx.now + SOURCE_KNOWN))?;
                salt
            }
        };
        Ok(sha256_hex(format!("{salt}{hash}").as_bytes()).chars().take(12).collect())
    }
}

/// Whether a record that is kept for `keep` after each writing was written within `renewed`.
pub(super) fn is_fresh(ends: Option<UnixMillis>, now: UnixMillis, keep: Duration, renewed: Duration) -> bool {
    ends.is_some_and(|ends| ends > now + keep.saturating_sub(renewed))
}
