//! Transfer of a device from one domain to another.
//!
//! Steps: a pending notice is put into the mailbox of the old domain; the record is written in the new domain, where
//! it is invisible while the old domain owns the device; the owner is changed, which is the transfer; the old record
//! is removed. Each step may run twice. If the process dies before the third step, nothing is transferred; if it dies
//! later, the old record stays, invisible. Lists skip such records and remove them (`devices.rs`).

use super::entry::Written;
use super::{LazyScript, Redis, keys, script};
use crate::core::model::ids::{DeviceKey, DomainName};
use crate::store::{Entered, Entry, Result};

use ::redis::cmd;

static HAND_OVER: LazyScript = script!("hand_over");

impl Redis {
    pub(super) async fn transfer_whole(&self, from: &DomainName, entry: &Entry) -> Result<Entered> {
        let (key, to) = (&entry.key, &entry.domain);
        let owner: Option<String> = self.client.ask(cmd("GET").arg(keys::owner(key))).await?;
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
        let (Some(id), Some(left)): (Option<u64>, Option<String>) = self.client.ask(&read).await? else {
            return Ok(Entered::OwnedElsewhere);
        };
        self.deposit_pending(from, key).await?;
        let writing = self.writing(entry, id);
        let (_, owed) = self.known(to, key).await?;
        let Written::In(record) = self.write_entry(&writing, owed).await? else { return Ok(Entered::CodeNotOpen) };
        let mut script = HAND_OVER.key(keys::owner(key));
        script.arg(from.as_str()).arg(to.as_str());
        let moved: bool = self.client.eval(&script).await?;
        if !moved {
            self.undo_entry(to, key, &writing.mark, None).await?;
            return Ok(Entered::OwnedElsewhere);
        }
        // The device is transferred, so this must not fail any more.
        let _ = self.drop_record(from, key, &left).await;
        Ok(Entered::In(Box::new(record.of(entry))))
    }

    /// The device is in the new domain already: by this entry, repeated after a time-out, or by another one.
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
        self.client.ask_all(&owners).await
    }
}
