//! The key schema. Every key of the broker on Redis is built here.
//!
//! Braces are hash tags: in a cluster, keys with the same tag are on the same node, and one script uses one tag only.
//! Validity is the TTL of a key and nothing else; no job sweeps.
//!
//! ```text
//! of no domain
//!   pb:keycheck                    string  `see schema`; before there were versions: check value of the master key
//!   pb:schema                      hash    version, keycheck; of a migration phase, since, from, cursor, run, changed;
//!                                          of a rotation reseal_cursor, reseal_run, reseal_records, resealed,
//!                                          resealed_at
//!   pb:keyring                     string  generations of the instance key, sealed under the master key, JSON
//!   pb:domains                     hash    domain → its number; `/last` → numbers given so far
//!   pb:seq:device  pb:seq:category  pb:seq:job  pb:seq:config
//!                                  counter numbers given so far
//!   pb:code:<hash>                 string  → domain                               TTL validity
//!   pb:owner:<device>              string  → domain                               TTL 60 s until owned, then none
//!   pb:node:<node>                 string  lease of a node: version, stage, key ring    TTL as asked
//!   pb:members                     hash    node → its members                     TTL 1 h from the last report
//!   pb:ping                        string  proof that writes are taken            TTL 10 s
//!   pb:lock:<name>                 string  holder of a lock                       TTL as asked
//!   pb:bus                         channel signals, JSON
//!   pb:tickets                     zset    keys of session tickets° by time        TTL of the last one
//!   pb:accounts                    hash    name → identity, hash of the password°, JSON
//!   pb:deeds                       zset    audit log: "<mark> <action>" by time   TTL 180 days from the last one
//!   pb:deeds:instance              zset    the same, of the instance only         TTL 180 days from the last one
//! of attempts at secrets
//!   pb:attempts:{attempts}:wrong:<kind>      zset   "<number> <id of the report>" by time  TTL 60 s from the last one
//!   pb:attempts:{attempts}:decisions:<kind>  string decisions of this second               TTL 1 s
//! of browsers
//!   pb:web:{web}:session:<hash>    hash    about, account, began, seen            TTL until it has been idle too long
//!   pb:web:{web}:of:<account>      zset    its sessions by their last end         TTL of the last one
//! of unassigned devices
//!   pb:unassigned:{unassigned}:device:<device>  hash  id, facts, seen              TTL as asked
//!   pb:unassigned:{unassigned}:devices          zset  devices by number            TTL of the last one
//!   pb:unassigned:{unassigned}:ends             zset  devices by end               TTL of the last one
//!   pb:unassigned:{unassigned}:presence         hash  device → "<conn> <node>"     TTL of the last one
//!   pb:unassigned:{unassigned}:by               hash  device → source             TTL of the last one
//!   pb:unassigned:{unassigned}:sources          zset  sources by number of devices TTL of the last one
//!   pb:unassigned:{unassigned}:of:<source>      zset  devices of a source by end   TTL of the last one
//!   pb:unassigned:{unassigned}:salt             string key of the hashes of sources TTL 1 day
//! of a domain
//!   pb:{domain}:domain             hash    id, revision, password°, admin°, token°, cat:<name> → JSON,
//!                                          access:<domain> → 1
//!   pb:{domain}:deeds              zset    audit log: "<mark> <action>" by time   TTL 180 days from the last one
//!   pb:{domain}:jobs               hash    number → job°
//!   pb:{domain}:builds             string  current build list, JSON
//!   pb:{domain}:bundles            hash    revision, state: bundles of the domain, JSON
//!   pb:{domain}:code:<hash>        hash    about, holder, kind, sealed°; by, port when used; by, lent when lent
//!                                                      TTL validity, 30 days from use, lent: validity + 30 days
//!   pb:{domain}:window:<hash>      string  the device that used it and may repeat TTL rest of the validity
//!   pb:{domain}:open:<kind>        zset    hashes of open codes by end of validity; a counter only
//!   pb:{domain}:codes              zset    hashes of codes by time of issue; members without a record do not count
//!   pb:{domain}:issued             counter codes issued                           TTL 1 day from the first of them
//!   pb:{domain}:seq:rollout        counter numbers of roll-outs given so far
//!   pb:{domain}:rollouts           zset    roll-outs by end
//!   pb:{domain}:rollout:<id>       hash    name, category, users, created         TTL 30 days
//!   pb:{domain}:rows:<id>          list    rows of a roll-out, JSON, codes°       TTL of the roll-out
//!   pb:{domain}:timeline:<kind>:<> list    "<time> <event>" of a device or code   TTL 30 days from the last step
//!   pb:{domain}:device:<device>    hash    id, category, way, password°, admin°, facts, entered, entry, tentative,
//!                                          entry_code, pending (hashes of codes), sealed (the code of its last
//!                                          entry°), name, named_by (`code`: it came with a code), app_ip,
//!                                          work, port:<name> → code record
//!   pb:{domain}:devices            zset    devices by number
//!   pb:{domain}:misdirected        zset    "<device> <category>" by end              TTL 1 day from the last one
//!   pb:{domain}:pending            zset    devices with a pending notice, by time of entry
//!   pb:{domain}:mail:<hash>        hash    about, device, port, holder, sealed°   TTL 30 days from entry
//!   pb:{domain}:mailbox            zset    hashes of codes in the mailbox by end
//!   pb:{domain}:lease:<hash>       string  the node that delivers it              TTL as asked
//!   pb:{domain}:presence           hash    device → "<conn> <node>", on a second line the one before
//!   pb:{domain}:offer:<device>     string  the domain that offers it              TTL as asked
//!   pb:{domain}:offers             zset    offered devices by end                 TTL of the last one
//!   pb:{domain}:offered            zset    what the domain offers, "<receiver>/<device>", by end  TTL of the last one
//! of the Users role of a domain
//!   pb:{domain}:people:request:<id>  hash  about (code°), progress, entry, phone, made, attempts, why
//!                                                                               TTL validity + 30 days, or none
//!   pb:{domain}:people:code:<hash> string  → id of the request                   TTL validity + 30 days
//!   pb:{domain}:people:phone:<device>/<port> string → id of the request that it belongs to
//!   pb:{domain}:people:of:<person> zset    requests by time                      TTL of the last one
//!   pb:{domain}:people:open        zset    hashes of codes without a phone by end          TTL of the last request
//!   pb:{domain}:people:open:<person> zset  those of a person by end; a counter only  TTL validity of the last one
//!   pb:{domain}:people:orders      zset    requests by the time at which their order is due
//!   pb:{domain}:people:failed      zset    requests whose order has failed, by time
//!   pb:{domain}:people:seq         counter numbers of roll-outs of people given so far
//!   pb:{domain}:people:rollouts    zset    roll-outs by end                      TTL of the last one
//!   pb:{domain}:people:rollout:<id> hash   name, category, app, users, begun, made, registered  TTL 30 days
//!   pb:{domain}:people:rows:<id>   list    rows of a roll-out, JSON               TTL of the roll-out
//!   pb:{domain}:people:turn:<what> string  the node whose turn it is              TTL as asked
//! of the directory
//!   pb:dir:{dir}:code:<hash>       hash    url°, credential, ends                 TTL validity
//!   pb:dir:{dir}:entered:<hash>    set     MAC addresses that entered the code    TTL of the code
//!   pb:dir:{dir}:spent:<hash>      string  the code is not used again             TTL validity + 30 days
//!   pb:dir:{dir}:open              zset    open codes by end; a counter only
//!   pb:dir:{dir}:open:<credential> zset    the same of one credential
//!   pb:dir:{dir}:answer:<hash>     string  remembered answer°                     TTL 10 min
//!   pb:dir:{dir}:phone:<mac>       hash    contact, first                         TTL 30 days from the last contact
//!   pb:dir:{dir}:strangers         zset    phones that have entered no code by end  TTL of the last one
//!   pb:dir:{dir}:by  pb:dir:{dir}:sources  pb:dir:{dir}:of:<source>  pb:dir:{dir}:salt
//!                                          their sources, as those of unassigned devices
//! ```
//!
//! ° sealed, bound to this key or to the hash of the code.
//!
//! <hash> of a code: a keyed hash, other ones for the directory, for Devices, for timelines and for the Users role;
//! never the code itself (`src/store/code_name.rs`). Stores before version 1 have the code in its place.

use crate::core::model::accounts::AccountName;
use crate::core::model::ids::{DeviceKey, DomainName, NodeId, RolloutId};
use crate::core::model::users_role::{PersonId, PhoneFacts, RequestId};
use crate::store::SessionHash;
use crate::store::code_name::CodeName;

/// Prefix of all keys; those of the embedded store are the rest.
pub(super) const PREFIX: &str = "pb:";
pub(super) const KEY_CHECK: &str = "pb:keycheck";
pub(super) const KEYRING: &str = "pb:keyring";
pub(super) const SCHEMA: &str = "pb:schema";
pub(super) const DOMAINS: &str = "pb:domains";
pub(super) const SEQ_DEVICE: &str = "pb:seq:device";
pub(super) const SEQ_CATEGORY: &str = "pb:seq:category";
pub(super) const SEQ_JOB: &str = "pb:seq:job";
pub(super) const SEQ_CONFIG: &str = "pb:seq:config";
pub(super) const PING: &str = "pb:ping";
pub(super) const MEMBERS: &str = "pb:members";
pub(super) const BUS: &str = "pb:bus";
pub(super) const TICKETS: &str = "pb:tickets";
pub(super) const ACCOUNTS: &str = "pb:accounts";
pub(super) const AUDIT: &str = "pb:deeds";
/// Prefix of everything of the directory.
pub(super) const DIRECTORY: &str = "pb:dir:{dir}:";
pub(super) const AUDIT_INSTANCE: &str = "pb:deeds:instance";
/// Prefix of the hash of each session.
pub(super) const SESSION: &str = "pb:web:{web}:session:";
/// Prefix of the name of each account that has sessions.
pub(super) const SESSIONS_OF: &str = "pb:web:{web}:of:";
pub(super) const UNASSIGNED: &str = "pb:unassigned:{unassigned}:devices";
pub(super) const UNASSIGNED_ENDS: &str = "pb:unassigned:{unassigned}:ends";
pub(super) const UNASSIGNED_PRESENCE: &str = "pb:unassigned:{unassigned}:presence";
pub(super) const UNASSIGNED_BY: &str = "pb:unassigned:{unassigned}:by";
pub(super) const UNASSIGNED_SOURCES: &str = "pb:unassigned:{unassigned}:sources";
pub(super) const UNASSIGNED_SALT: &str = "pb:unassigned:{unassigned}:salt";
/// Prefix of each source of unassigned devices.
pub(super) const UNASSIGNED_OF: &str = "pb:unassigned:{unassigned}:of:";
/// Prefix of each unassigned device.
pub(super) const UNASSIGNED_DEVICE: &str = "pb:unassigned:{unassigned}:device:";
pub(super) const STRANGERS: &str = "pb:dir:{dir}:strangers";
pub(super) const STRANGERS_BY: &str = "pb:dir:{dir}:by";
pub(super) const STRANGERS_SOURCES: &str = "pb:dir:{dir}:sources";
pub(super) const STRANGERS_SALT: &str = "pb:dir:{dir}:salt";
/// Prefix of each source of contacts.
pub(super) const STRANGERS_OF: &str = "pb:dir:{dir}:of:";
/// Prefix of each phone.
pub(super) const PHONE: &str = "pb:dir:{dir}:phone:";
pub(super) const DIR_OPEN: &str = "pb:dir:{dir}:open";

/// Reports of wrong attempts at a kind of secret.
pub(super) fn wrong_attempts(kind: &str) -> String {
    format!("pb:attempts:{{attempts}}:wrong:{kind}")
}

/// Decisions of this second about a kind of secret.
pub(super) fn decisions(kind: &str) -> String {
    format!("pb:attempts:{{attempts}}:decisions:{kind}")
}

pub(super) fn lock(name: &str) -> String {
    format!("pb:lock:{name}")
}

/// The kinds of codes that are counted separately.
pub(super) const KINDS: [&str; 2] = ["short", "rollout"];

pub(super) const fn kind(rollout: bool) -> &'static str {
    KINDS[rollout as usize]
}

pub(super) fn pointer(name: &CodeName) -> String {
    format!("pb:code:{}", name.as_str())
}

pub(super) fn owner(device: &DeviceKey) -> String {
    format!("pb:owner:{device}")
}

pub(super) fn node(node: &NodeId) -> String {
    format!("pb:node:{node}")
}

pub(super) fn unassigned_device(device: &DeviceKey) -> String {
    format!("pb:unassigned:{{unassigned}}:device:{device}")
}

pub(super) fn domain(domain: &DomainName) -> String {
    format!("pb:{{{domain}}}:domain")
}

pub(super) fn audit_entries(domain: &DomainName) -> String {
    format!("pb:{{{domain}}}:deeds")
}

pub(super) fn session(hash: &SessionHash) -> String {
    format!("{SESSION}{}", hash.as_str())
}

pub(super) fn sessions_of(account: &AccountName) -> String {
    format!("{SESSIONS_OF}{account}")
}

pub(super) fn jobs(domain: &DomainName) -> String {
    format!("pb:{{{domain}}}:jobs")
}

pub(super) fn builds(domain: &DomainName) -> String {
    format!("pb:{{{domain}}}:builds")
}

pub(super) fn code(domain: &DomainName, name: &CodeName) -> String {
    format!("pb:{{{domain}}}:code:{}", name.as_str())
}

/// Prefix of each code that is issued for a domain.
pub(super) fn code_prefix(domain: &DomainName) -> String {
    format!("pb:{{{domain}}}:code:")
}

/// Prefix of the key of each device of a domain.
pub(super) fn device_records(domain: &DomainName) -> String {
    format!("pb:{{{domain}}}:device:")
}

/// The pattern of all keys of a domain. No character of a domain name is special in a pattern.
pub(super) fn all_of(domain: &DomainName) -> String {
    format!("pb:{{{domain}}}:*")
}

pub(super) fn window(domain: &DomainName, name: &CodeName) -> String {
    format!("pb:{{{domain}}}:window:{}", name.as_str())
}

pub(super) fn open(domain: &DomainName, kind: &str) -> String {
    format!("pb:{{{domain}}}:open:{kind}")
}

pub(super) fn codes(domain: &DomainName) -> String {
    format!("pb:{{{domain}}}:codes")
}

pub(super) fn seq_rollout(domain: &DomainName) -> String {
    format!("pb:{{{domain}}}:seq:rollout")
}

pub(super) fn rollouts(domain: &DomainName) -> String {
    format!("pb:{{{domain}}}:rollouts")
}

pub(super) fn rollout(domain: &DomainName, id: RolloutId) -> String {
    format!("pb:{{{domain}}}:rollout:{}", id.0)
}

pub(super) fn rows(domain: &DomainName, id: RolloutId) -> String {
    format!("pb:{{{domain}}}:rows:{}", id.0)
}

pub(super) fn device_timeline(domain: &DomainName, device: &DeviceKey) -> String {
    format!("pb:{{{domain}}}:timeline:device:{device}")
}

pub(super) fn code_timeline(domain: &DomainName, name: &CodeName) -> String {
    format!("pb:{{{domain}}}:timeline:code:{}", name.as_str())
}

pub(super) fn device(domain: &DomainName, device: &DeviceKey) -> String {
    format!("pb:{{{domain}}}:device:{device}")
}

pub(super) fn devices(domain: &DomainName) -> String {
    format!("pb:{{{domain}}}:devices")
}

pub(super) fn offer(to: &DomainName, device: &DeviceKey) -> String {
    format!("pb:{{{to}}}:offer:{device}")
}

pub(super) fn offers(to: &DomainName) -> String {
    format!("pb:{{{to}}}:offers")
}

/// The member of an offer in the index of its giver.
pub(super) fn offered_to(to: &DomainName, device: &DeviceKey) -> String {
    format!("{to}/{device}")
}

pub(super) fn offered_by(from: &DomainName) -> String {
    format!("pb:{{{from}}}:offered")
}

pub(super) fn issued(domain: &DomainName) -> String {
    format!("pb:{{{domain}}}:issued")
}

/// Prefix of each roll-out.
pub(super) fn rollout_prefix(domain: &DomainName) -> String {
    format!("pb:{{{domain}}}:rollout:")
}

/// Prefix of each roll-out of the Users role.
pub(super) fn users_role_rollout_prefix(domain: &DomainName) -> String {
    format!("pb:{{{domain}}}:people:rollout:")
}

pub(super) fn bundles(domain: &DomainName) -> String {
    format!("pb:{{{domain}}}:bundles")
}

pub(super) fn misdirected(domain: &DomainName) -> String {
    format!("pb:{{{domain}}}:misdirected")
}

pub(super) fn pending(domain: &DomainName) -> String {
    format!("pb:{{{domain}}}:pending")
}

pub(super) fn mail(domain: &DomainName, name: &CodeName) -> String {
    format!("pb:{{{domain}}}:mail:{}", name.as_str())
}

pub(super) fn mailbox(domain: &DomainName) -> String {
    format!("pb:{{{domain}}}:mailbox")
}

pub(super) fn lease(domain: &DomainName, name: &CodeName) -> String {
    format!("pb:{{{domain}}}:lease:{}", name.as_str())
}

pub(super) fn presence(domain: &DomainName) -> String {
    format!("pb:{{{domain}}}:presence")
}

pub(super) fn phone_request(domain: &DomainName, id: &RequestId) -> String {
    format!("pb:{{{domain}}}:people:request:{id}")
}

pub(super) fn people_code(domain: &DomainName, name: &CodeName) -> String {
    format!("pb:{{{domain}}}:people:code:{}", name.as_str())
}

pub(super) fn people_phone(domain: &DomainName, phone: &PhoneFacts) -> String {
    // Neither a device key nor a port name contains a slash.
    format!("pb:{{{domain}}}:people:phone:{}/{}", phone.key, phone.port.as_deref().unwrap_or_default())
}

pub(super) fn people_of(domain: &DomainName, person: &PersonId) -> String {
    format!("pb:{{{domain}}}:people:of:{person}")
}

pub(super) fn people_open(domain: &DomainName) -> String {
    format!("pb:{{{domain}}}:people:open")
}

pub(super) fn people_open_of(domain: &DomainName, person: &PersonId) -> String {
    format!("pb:{{{domain}}}:people:open:{person}")
}

pub(super) fn people_orders(domain: &DomainName) -> String {
    format!("pb:{{{domain}}}:people:orders")
}

pub(super) fn people_failed(domain: &DomainName) -> String {
    format!("pb:{{{domain}}}:people:failed")
}

pub(super) fn people_seq(domain: &DomainName) -> String {
    format!("pb:{{{domain}}}:people:seq")
}

pub(super) fn users_role_rollouts(domain: &DomainName) -> String {
    format!("pb:{{{domain}}}:people:rollouts")
}

pub(super) fn users_role_rollout(domain: &DomainName, id: RolloutId) -> String {
    format!("pb:{{{domain}}}:people:rollout:{}", id.0)
}

pub(super) fn people_rows(domain: &DomainName, id: RolloutId) -> String {
    format!("pb:{{{domain}}}:people:rows:{}", id.0)
}

pub(super) fn people_turn(domain: &DomainName, what: &str) -> String {
    format!("pb:{{{domain}}}:people:turn:{what}")
}

pub(super) fn listing(hash: &str) -> String {
    format!("pb:dir:{{dir}}:code:{hash}")
}

pub(super) fn entered(hash: &str) -> String {
    format!("pb:dir:{{dir}}:entered:{hash}")
}

pub(super) fn spent(hash: &str) -> String {
    format!("pb:dir:{{dir}}:spent:{hash}")
}

pub(super) fn dir_open(credential: &str) -> String {
    format!("pb:dir:{{dir}}:open:{credential}")
}

pub(super) fn answer(hash: &str) -> String {
    format!("pb:dir:{{dir}}:answer:{hash}")
}

pub(super) fn phone(mac: &str) -> String {
    format!("pb:dir:{{dir}}:phone:{mac}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device key may contain braces; the first pair in the key is still the domain's.
    #[test]
    fn the_hash_tag_is_the_domain_whatever_the_device_is_called() {
        let name = DomainName::parse("example.com").unwrap();
        let odd = DeviceKey::parse("}{x}").unwrap();
        assert_eq!(device(&name, &odd), "pb:{example.com}:device:}{x}");
        assert_eq!(kind(true), "rollout");
    }
}
