//! The keys of the file: those of Redis (described in `src/store/redis/keys.rs`), without prefix and hash tags.
//!
//! The rows of a roll-out are in chunks, `{domain}:rows:<id>:<number of the first row>`. `code:<hash>` → domain leads
//! from a code to its record here too. Not in the file: presence, leases of nodes and of notices, signals.

use crate::core::model::accounts::AccountName;
use crate::core::model::ids::{DeviceKey, DomainName, JobId, RolloutId};
use crate::core::model::users_role::{PersonId, PhoneFacts};
use crate::store::code_name::CodeName;

pub(super) const KEY_CHECK: &str = "keycheck";
pub(super) const SCHEMA: &str = "schema";
pub(super) const KEYRING: &str = "keyring";
pub(super) const RESEAL: &str = "reseal";
pub(super) const PING: &str = "ping";
pub(super) const TICKETS: &str = "tickets";
pub(super) const SEQ_DEVICE: &str = "seq:device";
pub(super) const SEQ_DOMAIN: &str = "seq:domain";
pub(super) const SEQ_CATEGORY: &str = "seq:category";
pub(super) const SEQ_JOB: &str = "seq:job";
pub(super) const SEQ_CONFIG: &str = "seq:config";
/// Prefix of the name of each domain.
pub(super) const DOMAIN: &str = "domain:";
pub(super) const AUDIT: &str = "deeds";
pub(super) const AUDIT_INSTANCE: &str = "deeds:instance";
/// Prefix of the name of each account.
pub(super) const ACCOUNT: &str = "account:";
pub(super) const UNASSIGNED: &str = "unassigned";
pub(super) const UNASSIGNED_ENDS: &str = "unassigned:ends";
pub(super) const STRANGERS: &str = "dir:strangers";
pub(super) const DIR_OPEN: &str = "dir:open";

/// Reports of wrong attempts at a kind of secret.
pub(super) fn wrong_attempts(kind: &str) -> String {
    format!("attempts:wrong:{kind}")
}

pub(super) fn domain(domain: &DomainName) -> String {
    format!("{DOMAIN}{domain}")
}

/// Prefix of everything of a domain except its own row.
pub(super) fn within(domain: &DomainName) -> String {
    format!("{{{domain}}}:")
}

pub(super) fn account(name: &AccountName) -> String {
    format!("{ACCOUNT}{name}")
}

pub(super) fn session(hash: &str) -> String {
    format!("web:session:{hash}")
}

pub(super) fn sessions_of(account: &AccountName) -> String {
    format!("web:of:{account}")
}

/// The row of an entry of the audit log; the lists contain its mark only.
pub(super) fn action(mark: &str) -> String {
    format!("deed:{mark}")
}

pub(super) fn audit_entries(domain: &DomainName) -> String {
    format!("{{{domain}}}:deeds")
}

/// Prefix of the number of each job of a domain.
pub(super) fn jobs(domain: &DomainName) -> String {
    format!("{{{domain}}}:job:")
}

pub(super) fn job(domain: &DomainName, id: JobId) -> String {
    format!("{{{domain}}}:job:{}", id.0)
}

pub(super) fn builds(domain: &DomainName) -> String {
    format!("{{{domain}}}:builds")
}

pub(super) fn bundles(domain: &DomainName) -> String {
    format!("{{{domain}}}:bundles")
}

pub(super) fn misdirected(domain: &DomainName) -> String {
    format!("{{{domain}}}:misdirected")
}

/// Prefix of each code that is issued for a domain.
pub(super) fn code_prefix(domain: &DomainName) -> String {
    format!("{{{domain}}}:code:")
}

/// Prefix of the key of each device of a domain.
pub(super) fn device_rows(domain: &DomainName) -> String {
    format!("{{{domain}}}:device:")
}

pub(super) fn pointer(name: &CodeName) -> String {
    format!("code:{}", name.as_str())
}

pub(super) fn owner(device: &DeviceKey) -> String {
    format!("owner:{device}")
}

pub(super) fn unassigned_device(device: &DeviceKey) -> String {
    unassigned_row(device.as_str())
}

/// The same, from the text of a key.
pub(super) fn unassigned_row(device: &str) -> String {
    format!("unassigned:{device}")
}

pub(super) fn code(domain: &DomainName, name: &CodeName) -> String {
    format!("{{{domain}}}:code:{}", name.as_str())
}

pub(super) fn open(domain: &DomainName, rollout: bool) -> String {
    format!("{{{domain}}}:open:{}", if rollout { "rollout" } else { "short" })
}

pub(super) fn codes(domain: &DomainName) -> String {
    format!("{{{domain}}}:codes")
}

pub(super) fn seq_rollout(domain: &DomainName) -> String {
    format!("{{{domain}}}:seq:rollout")
}

pub(super) fn rollouts(domain: &DomainName) -> String {
    format!("{{{domain}}}:rollouts")
}

pub(super) fn rollout(domain: &DomainName, id: RolloutId) -> String {
    format!("{{{domain}}}:rollout:{}", id.0)
}

pub(super) fn rows(domain: &DomainName, id: RolloutId, chunk: u64) -> String {
    format!("{{{domain}}}:rows:{}:{chunk}", id.0)
}

pub(super) fn device_timeline(domain: &DomainName, device: &DeviceKey) -> String {
    format!("{{{domain}}}:timeline:device:{device}")
}

pub(super) fn code_timeline(domain: &DomainName, name: &CodeName) -> String {
    format!("{{{domain}}}:timeline:code:{}", name.as_str())
}

pub(super) fn device(domain: &DomainName, device: &DeviceKey) -> String {
    format!("{{{domain}}}:device:{device}")
}

pub(super) fn devices(domain: &DomainName) -> String {
    format!("{{{domain}}}:devices")
}

pub(super) fn offer(to: &DomainName, device: &DeviceKey) -> String {
    format!("{{{to}}}:offer:{device}")
}

pub(super) fn offers(to: &DomainName) -> String {
    format!("{{{to}}}:offers")
}

/// The member of an offer in the index of its giver.
pub(super) fn offered_to(to: &DomainName, device: &DeviceKey) -> String {
    format!("{to}/{device}")
}

pub(super) fn offered_by(from: &DomainName) -> String {
    format!("{{{from}}}:offered")
}

pub(super) fn issued(domain: &DomainName) -> String {
    format!("{{{domain}}}:issued")
}

pub(super) fn pending(domain: &DomainName) -> String {
    format!("{{{domain}}}:pending")
}

pub(super) fn mail(domain: &DomainName, name: &CodeName) -> String {
    format!("{{{domain}}}:mail:{}", name.as_str())
}

pub(super) fn mailbox(domain: &DomainName) -> String {
    format!("{{{domain}}}:mailbox")
}

pub(super) fn phone_request(domain: &DomainName, id: &str) -> String {
    format!("{{{domain}}}:people:request:{id}")
}

pub(super) fn people_code(domain: &DomainName, name: &CodeName) -> String {
    format!("{{{domain}}}:people:code:{}", name.as_str())
}

pub(super) fn people_phone(domain: &DomainName, phone: &PhoneFacts) -> String {
    // Neither a device key nor a port name contains a slash.
    format!("{{{domain}}}:people:phone:{}/{}", phone.key, phone.port.as_deref().unwrap_or_default())
}

pub(super) fn people_of(domain: &DomainName, person: &PersonId) -> String {
    format!("{{{domain}}}:people:of:{person}")
}

pub(super) fn people_open(domain: &DomainName) -> String {
    format!("{{{domain}}}:people:open")
}

pub(super) fn people_open_of(domain: &DomainName, person: &PersonId) -> String {
    format!("{{{domain}}}:people:open:{person}")
}

pub(super) fn people_orders(domain: &DomainName) -> String {
    format!("{{{domain}}}:people:orders")
}

pub(super) fn people_failed(domain: &DomainName) -> String {
    format!("{{{domain}}}:people:failed")
}

pub(super) fn people_seq(domain: &DomainName) -> String {
    format!("{{{domain}}}:people:seq")
}

pub(super) fn users_role_rollouts(domain: &DomainName) -> String {
    format!("{{{domain}}}:people:rollouts")
}

pub(super) fn users_role_rollout(domain: &DomainName, id: RolloutId) -> String {
    format!("{{{domain}}}:people:rollout:{}", id.0)
}

pub(super) fn people_row(domain: &DomainName, id: RolloutId, number: u64) -> String {
    format!("{{{domain}}}:people:rows:{}:{number}", id.0)
}

pub(super) fn people_turn(domain: &DomainName, what: &str) -> String {
    format!("{{{domain}}}:people:turn:{what}")
}

pub(super) fn listing(hash: &str) -> String {
    format!("dir:code:{hash}")
}

pub(super) fn entered(hash: &str) -> String {
    format!("dir:entered:{hash}")
}

pub(super) fn spent(hash: &str) -> String {
    format!("dir:spent:{hash}")
}

pub(super) fn dir_open(credential: &str) -> String {
    format!("dir:open:{credential}")
}

pub(super) fn answer(hash: &str) -> String {
    format!("dir:answer:{hash}")
}

pub(super) fn phone(mac: &str) -> String {
    format!("dir:phone:{mac}")
}
