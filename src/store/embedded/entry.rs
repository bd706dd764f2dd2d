//! Entry of a device into a domain, and transfer to another one, each in one transaction.

use super::kv::{Outcome, Tx};
use super::rows::{CodeRow, DeviceRow, drop_record, next};
use super::{keys, mailbox};
use crate::core::model::device::{Device, KEEP_USED};
use crate::core::model::hex;
use crate::core::model::ids::{DeviceId, DeviceKey, DomainName};
use crate::core::model::quota::{QuotaKind, Quotas};
use crate::core::model::work::Work;
use crate::store::code_name::CodeName;
use crate::store::embedded::unassigned;
use crate::store::record::Sealed;
use crate::store::{Entered, Entry, EntryRight, PortClaim, StoreError};

/// The secrets of an entry as they are kept, and the name of its code.
pub(super) struct SealedEntry {
    pub password: Sealed,
    pub admin: Option<Sealed>,
    pub name: Option<CodeName>,
}

/// The code if it is open, or if this device has used it and may use it again; otherwise `None`.
fn claimable(tx: &Tx<'_>, entry: &Entry, name: &CodeName, known: Option<&DeviceRow>) -> Outcome<Option<CodeRow>> {
    let Some(row) = tx.get::<CodeRow>(&keys::code(&entry.domain, name))? else { return Ok(None) };
    let again = || {
        let this_entry = known.is_some_and(|known| known.tentative && known.entry_code.as_ref() == Some(name));
        this_entry && row.by.as_ref() == Some(&entry.key) && row.port.is_none() && row.about.valid_until > tx.now
    };
    Ok(if row.by.is_none() || again() { Some(row) } else { None })
}

/// Lets a device into a domain.
pub(super) fn enter(tx: &mut Tx<'_>, entry: &Entry, quotas: &Quotas, sealed: SealedEntry) -> Outcome<Entered> {
    enter_as(tx, entry, None, quotas, sealed)
}

/// Moves a device out of `from`. It keeps its number.
pub(super) fn transfer(
    tx: &mut Tx<'_>,
    from: &DomainName,
    entry: &Entry,
    quotas: &Quotas,
    sealed: SealedEntry,
) -> Outcome<Entered> {
    let owner: Option<DomainName> = tx.get(&keys::owner(&entry.key))?;
    if owner.as_ref() != Some(from) {
        return Ok(Entered::OwnedElsewhere);
    }
    let Some(left) = tx.get::<DeviceRow>(&keys::device(from, &entry.key))?.filter(|_| *from != entry.domain) else {
        return enter(tx, entry, quotas, sealed);
    };
    check_room(tx, entry, quotas)?;
    if let Some(owed) = &left.pending {
        mailbox::post(tx, from, owed, &entry.key)?;
    }
    drop_record(tx, from, &entry.key)?;
    tx.remove(&keys::owner(&entry.key))?;
    enter_as(tx, entry, Some(left.id), quotas, sealed)
}

/// Whether the domain has room for the device, if it is not there already.
fn check_room(tx: &Tx<'_>, entry: &Entry, quotas: &Quotas) -> Outcome<()> {
    if !tx.has(&keys::device(&entry.domain, &entry.key))? {
        let have = tx.size(&keys::devices(&entry.domain))?;
        quotas.check(QuotaKind::Devices, have, 1).map_err(StoreError::from)?;
    }
    Ok(())
}

fn enter_as(
    tx: &mut Tx<'_>,
    entry: &Entry,
    id: Option<DeviceId>,
    quotas: &Quotas,
    sealed: SealedEntry,
) -> Outcome<Entered> {
    let owner: Option<DomainName> = tx.get(&keys::owner(&entry.key))?;
    if owner.is_some_and(|owner| owner != entry.domain) {
        return Ok(Entered::OwnedElsewhere);
    }
    let device_key = keys::device(&entry.domain, &entry.key);
    let known: Option<DeviceRow> = tx.get(&device_key)?;
    let SealedEntry { password, admin, name: code_name } = sealed;
    let used = match &code_name {
        Some(name) => match claimable(tx, entry, name, known.as_ref())? {
            Some(row) => Some((name, row)),
            None => return Ok(Entered::CodeNotOpen),
        },
        None => None,
    };
    let code = match entry.right {
        EntryRight::Code(code) => Some(code),
        EntryRight::Auto | EntryRight::Manual | EntryRight::Carried { .. } => None,
    };
    let sealed = used.as_ref().map(|(_, row)| hex::encode(&row.sealed.0).into());

    check_room(tx, entry, quotas)?;
    // The notice of an earlier entry that has not been deposited yet still has to be delivered.
    if let Some(owed) =
        known.as_ref().and_then(|known| known.pending.as_ref()).filter(|owed| Some(*owed) != code_name.as_ref())
    {
        mailbox::post(tx, &entry.domain, owed, &entry.key)?;
    }
    if let Some((name, mut row)) = used {
        row.by = Some(entry.key.clone());
        tx.unrank(&keys::open(&entry.domain, row.about.rollout), name.as_str())?;
        tx.put(&keys::code(&entry.domain, name), &row, Some(tx.now + KEEP_USED))?;
        tx.rank(&keys::pending(&entry.domain), tx.now.0, entry.key.as_str())?;
    } else {
        tx.unrank(&keys::pending(&entry.domain), entry.key.as_str())?;
    }
    let (id, ports, old_name, app_ip, work) = if let Some(known) = known {
        (known.id, known.ports, (known.name, known.named_by_code), known.app_ip, known.work)
    } else {
        let id = id.map_or_else(|| next(tx, keys::SEQ_DEVICE).map(DeviceId), Ok)?;
        (id, Vec::new(), (None, false), None, Work::default())
    };
    let (name, named_by_code) = match (old_name, &entry.name) {
        ((None, _) | (Some(_), true), Some(new)) => (Some(new.clone()), true),
        (old, _) => old,
    };
    let row = DeviceRow {
        id,
        category: entry.category,
        way: entry.right.way(),
        password,
        tentative: true,
        admin,
        entry_code: code_name.clone(),
        pending: code_name,
        sealed,
        entered: entry.right.entered().unwrap_or(tx.now),
        name,
        named_by_code,
        app_ip,
        work,
        facts: entry.facts.clone(),
        ports,
    };
    tx.put(&device_key, &row, None)?;
    tx.put(&keys::owner(&entry.key), &entry.domain, None)?;
    tx.rank(&keys::devices(&entry.domain), row.id.0, entry.key.as_str())?;
    unassigned::forget(tx, &entry.key)?;
    Ok(Entered::In(Box::new(Device {
        id: row.id,
        key: entry.key.clone(),
        domain: entry.domain.clone(),
        category: row.category,
        way: row.way,
        password: entry.password.clone(),
        tentative: true,
        admin_password: entry.admin_password.clone(),
        entry_code: code,
        pending: code,
        entered: row.entered,
        name: row.name,
        app_ip: row.app_ip,
        work: row.work,
        facts: row.facts,
    })))
}

pub(super) fn claim_port(
    tx: &mut Tx<'_>,
    domain: &DomainName,
    key: &DeviceKey,
    port: &str,
    name: &CodeName,
) -> Outcome<PortClaim> {
    let Some(of) = tx.get::<DomainName>(&keys::pointer(name))? else { return Ok(PortClaim::CodeNotOpen) };
    let code_key = keys::code(&of, name);
    let Some(mut row) = tx.get::<CodeRow>(&code_key)? else { return Ok(PortClaim::CodeNotOpen) };
    if of != *domain {
        return Ok(if row.by.is_none() { PortClaim::WrongDomain } else { PortClaim::CodeNotOpen });
    }
    let device_key = keys::device(domain, key);
    let Some(mut device) = tx.get::<DeviceRow>(&device_key)? else { return Ok(PortClaim::CodeNotOpen) };
    if row.by.is_some() {
        // The same values are a repetition.
        let same = row.by.as_ref() == Some(key) && row.port.as_deref() == Some(port);
        return Ok(if same { PortClaim::Recorded } else { PortClaim::CodeNotOpen });
    }
    row.by = Some(key.clone());
    row.port = Some(port.into());
    device.ports.retain(|(other, _)| &**other != port);
    device.ports.push((port.into(), row.about.clone()));
    tx.unrank(&keys::open(domain, row.about.rollout), name.as_str())?;
    tx.put(&code_key, &row, Some(tx.now + KEEP_USED))?;
    tx.put(&device_key, &device, None)?;
    mailbox::post(tx, domain, name, key)?;
    Ok(PortClaim::Recorded)
}
