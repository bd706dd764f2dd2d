//! The step of migration that gives the codes of a file before version 1 their names and seals them.
//!
//! First all rows, then all members of indexes, each in the order of their keys. What has a name already stays as it
//! is.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::keys;
use super::kv::{Fault, Outcome, Row, Tx};
use super::rollouts::rows_place;
use crate::core::model::hex;
use crate::core::model::ids::{Code, DomainName, RolloutId};
use crate::store::code_name::{CodeName, CodePlace, CodeUse, StoredCode, seal_code};
use crate::store::record::to_json;
use crate::store::rollout_row::row_place;
use crate::store::schema::Page;
use crate::store::seal::Sealer;

/// Where a page ended.
#[derive(Serialize, Deserialize)]
enum Cursor {
    /// Behind the row with this key.
    Row(String),
    /// Behind this member of this index.
    Member(String, String),
}

/// A page of about `size` rows or members.
pub(super) fn page(tx: &mut Tx<'_>, sealer: &Sealer, cursor: &str, size: usize) -> Outcome<Page> {
    let size = size.max(1);
    match serde_json::from_str(cursor).unwrap_or_else(|_| Cursor::Row(String::new())) {
        Cursor::Row(after) => {
            let found = tx.keys_after(&after, size)?;
            let mut changed = 0;
            for key in &found {
                changed += u64::from(row(tx, sealer, key)?);
            }
            let next = match found.into_iter().nth(size - 1) {
                Some(last) => Cursor::Row(last),
                None => Cursor::Member(String::new(), String::new()),
            };
            Ok(Page { next: Some(to_json(&next)), changed })
        }
        Cursor::Member(index, member) => {
            let found = tx.ranked_after(&index, &member, size)?;
            let mut changed = 0;
            for (index, member, score) in &found {
                changed += u64::from(self::member(tx, sealer, index, member, *score)?);
            }
            let last = found.into_iter().nth(size - 1);
            let next = last.map(|(index, member, _)| to_json(&Cursor::Member(index, member)));
            Ok(Page { next, changed })
        }
    }
}

/// True if the member was a code.
fn member(tx: &mut Tx<'_>, sealer: &Sealer, index: &str, member: &str, score: u64) -> Outcome<bool> {
    let (Some(CodePlace::Index(_, of)), Ok(code)) = (CodePlace::of(index), Code::parse(member)) else {
        return Ok(false);
    };
    tx.rank(index, score, CodeName::hashed(sealer, of, code).as_str())?;
    tx.unrank(index, member)?;
    Ok(true)
}

/// True if the row was changed.
fn row(tx: &mut Tx<'_>, sealer: &Sealer, key: &str) -> Outcome<bool> {
    let Some(place) = CodePlace::of(key) else { return Ok(false) };
    let row: Option<Row<Value>> = match tx.row(key) {
        Ok(row) => row,
        Err(Fault::Corrupt(_)) => None,
        Err(fault) => return Err(fault),
    };
    let Some(Row { mut value, ends }) = row else {
        // It has expired, or nobody can read it. Under the key of a code it must not stay.
        let named = !matches!(place, CodePlace::Device(..) | CodePlace::Request(..) | CodePlace::Index(..));
        if named {
            tx.remove(key)?;
        }
        return Ok(named);
    };
    let to = match place {
        CodePlace::Pointer(code) => keys::pointer(&CodeName::hashed(sealer, CodeUse::Record, code)),
        CodePlace::Code(domain, code) => {
            let name = CodeName::hashed(sealer, CodeUse::Record, code);
            seal(&mut value, sealer, &domain, &name, code);
            // Only records and notices are kept in the file.
            if key.starts_with(&keys::code_prefix(&domain)) {
                keys::code(&domain, &name)
            } else {
                keys::mail(&domain, &name)
            }
        }
        CodePlace::Timeline(domain, code) => {
            keys::code_timeline(&domain, &CodeName::hashed(sealer, CodeUse::Timeline, code))
        }
        CodePlace::RequestCode(domain, code) => {
            keys::people_code(&domain, &CodeName::hashed(sealer, CodeUse::Request, code))
        }
        CodePlace::Device(domain, _) => {
            if !device(&mut value, sealer, &domain) {
                return Ok(false);
            }
            key.to_owned()
        }
        CodePlace::Request(..) => {
            let asked = value.get_mut("asked").and_then(Value::as_object_mut);
            if !asked.is_some_and(|asked| seal_member(asked, sealer, key)) {
                return Ok(false);
            }
            key.to_owned()
        }
        CodePlace::Rows(domain) => {
            if !rows(&mut value, sealer, &domain, key) {
                return Ok(false);
            }
            key.to_owned()
        }
        CodePlace::Index(..) => return Ok(false),
    };
    tx.put(&to, &value, ends)?;
    if to != key {
        tx.remove(key)?;
    }
    Ok(true)
}

/// Adds the sealed code to a record that has its name.
fn seal(value: &mut Value, sealer: &Sealer, domain: &DomainName, name: &CodeName, code: Code) {
    if let Some(record) = value.as_object_mut() {
        record.insert("sealed".into(), hex::encode(seal_code(sealer, domain, name, code)).into());
    }
}

/// The code in a member of a record.
fn code_in(record: &Map<String, Value>, member: &str) -> Option<Code> {
    record.get(member).and_then(Value::as_str).and_then(|text| Code::parse(text).ok())
}

/// Replaces the code in a record by the sealed one. False if there is none.
fn seal_member(record: &mut Map<String, Value>, sealer: &Sealer, place: &str) -> bool {
    let Some(code) = code_in(record, "code") else { return false };
    let stored = serde_json::to_value(StoredCode::sealed(sealer, place, code)).unwrap_or_default();
    record.remove("code");
    record.extend(stored.as_object().cloned().unwrap_or_default());
    true
}

fn device(value: &mut Value, sealer: &Sealer, domain: &DomainName) -> bool {
    let mut code = None;
    if let Some(record) = value.as_object_mut() {
        // They are the same code, if there are both.
        for field in ["entry_code", "pending"] {
            if let Some(of) = code_in(record, field) {
                record.insert(field.into(), CodeName::hashed(sealer, CodeUse::Record, of).as_str().into());
                code = Some(of);
            }
        }
    }
    if let Some(code) = code {
        seal(value, sealer, domain, &CodeName::hashed(sealer, CodeUse::Record, code), code);
    }
    code.is_some()
}

/// The rows of a roll-out from the one on whose number the key ends with.
fn rows(value: &mut Value, sealer: &Sealer, domain: &DomainName, key: &str) -> bool {
    let mut numbers = key.rsplit(':').map_while(|number| number.parse().ok());
    let (Some(first), Some(id)) = (numbers.next(), numbers.next()) else { return false };
    let place = rows_place(domain, RolloutId(id));
    let mut changed = false;
    for (number, row) in (first..).zip(value.as_array_mut().into_iter().flatten()) {
        if let Some(row) = row.as_object_mut() {
            changed |= seal_member(row, sealer, &row_place(&place, number));
        }
    }
    changed
}
