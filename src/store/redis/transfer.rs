//! A device goes from one domain to another.
//!
//! Steps: what is owed to Users of the old domain is posted there; the record is written in the new one, where nobody sees it
//! as long as the device belongs to the other; the ownership changes hands, and that is the move; the old record is dropped.
//! Each step may run twice. A process that dies before the third has moved nothing, one that dies after it leaves a record
//! that nobody sees either; lists pass it over and clean it up (`devices.rs`).

use super::entry::Written;
use super::{LazyScript, Redis, keys, script};
use crate::core::model::ids::{DeviceKey, DomainName};
use crate::store::{Entered, Entry, Result};

use ::redis::cmd;

static HAND_OVER: LazyScript = script!("hand_over");

impl Redis {
    pub(super) async fn transfer_whole(&self, from: &DomainName, entry: &Entry) -> Result<Entered> {
        let (key, to) = (&entry.key, &entry.domain);
        let owner: Option<String> = self.line.ask(cmd("GET").arg(keys::owner(key))).await?;
        if owner.as_deref() == Some(to.as_str()) && from != to {
            return self.transferred(entry).await;
        }
        if owner.as_deref() != Some(from.as_str()) {
            return Ok(Entered::OwnedElsewhere);
        }
        if from == to {
            return self.enter_whole(entry).await;
        }
        let read = cmd("HMGET").arg(keys::device(from, key)).arg(&["id", "entry"]).take();
        let (Some(id), Some(left)): (Option<u64>, Option<String>) = self.line.ask(&read).await? else {
            return Ok(Entered::OwnedElsewhere);
        };
        self.deposit_pending(from, key).await?;
        let writing = self.writing(entry, id);
        let (_, owed) = self.known(&keys::device(to, key)).await?;
        let Written::In(record) = self.write_entry(&writing, owed).await? else { return Ok(Entered::CodeNotOpen) };
        let mut script = HAND_OVER.key(keys::owner(key));
        script.arg(from.as_str()).arg(to.as_str());
        let moved: bool = self.line.eval(&script).await?;
        if !moved {
            self.undo_entry(to, key, &writing.mark, None).await?;
            return Ok(Entered::OwnedElsewhere);
        }
        // The device has moved, so this must not fail any more.
        let _ = self.drop_record(from, key, &left).await;
        Ok(Entered::In(Box::new(record.of(entry))))
    }

    /// The device is there already: by this very entry, after a time-out, or by another one.
    async fn transferred(&self, entry: &Entry) -> Result<Entered> {
        let there = self.read_device(&entry.domain, &entry.key).await?;
        Ok(match there.filter(|device| device.password == entry.password) {
            Some(device) => Entered::In(Box::new(device)),
            None => Entered::OwnedElsewhere,
        })
    }

    /// Who owns each of these devices.
    pub(super) async fn owners(&self, devices: &[DeviceKey]) -> Result<Vec<Option<String>>> {
        let mut owners = ::redis::pipe();
        for key in devices {
            owners.cmd("GET").arg(keys::owner(key));
        }
        self.line.ask_all(&owners).await
    }
}
