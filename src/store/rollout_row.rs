//! The row of a roll-out as both backends keep it: its code is sealed.

use serde::{Deserialize, Serialize};

use super::code_name::StoredCode;
use super::seal::Sealer;
use super::{Result, RolloutRow};
use crate::core::model::time::UnixMillis;

/// A row of a roll-out as it is kept.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct StoredRow {
    pub sip: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    #[serde(flatten)]
    pub code: StoredCode,
    pub valid_until: UnixMillis,
}

impl StoredRow {
    pub fn of(row: &RolloutRow, code: StoredCode) -> Self {
        Self { sip: row.sip.clone(), name: row.name.clone(), code, valid_until: row.valid_until }
    }

    pub fn opened(self, sealer: &Sealer, place: &str) -> Result<RolloutRow> {
        let code = self.code.open(sealer, place)?;
        Ok(RolloutRow { sip: self.sip, name: self.name, code, valid_until: self.valid_until })
    }
}

/// The place of a row among the rows of a roll-out, which are at `rows`.
pub(super) fn row_place(rows: &str, number: u64) -> String {
    format!("{rows}#{number}")
}
