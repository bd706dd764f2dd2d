//! Wrong attempts in the file, so that a restart does not forget them; decisions in memory, because they matter for a
//! second only.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::{Embedded, keys};
use crate::core::model::time::UnixMillis;
use crate::store::{Attempts, COUNTED_OVER, Result};

/// Over which decisions are limited.
const SECOND: Duration = Duration::from_secs(1);

/// Reports of wrong attempts: when, id, how many.
type Reports = Vec<(UnixMillis, String, u32)>;

/// When the second began, and the decisions taken since, by kind of secret.
#[derive(Default)]
pub(super) struct Taken(Mutex<HashMap<Box<str>, (UnixMillis, u32)>>);

#[async_trait]
impl Attempts for Embedded {
    async fn report_wrong(&self, kind: &str, id: &str, wrong: u32) -> Result<u64> {
        let key = keys::wrong_attempts(kind);
        let reports: Reports = if wrong == 0 {
            self.kv.read(|snapshot| snapshot.get(&key))?.unwrap_or_default()
        } else {
            let id = id.to_owned();
            self.kv
                .write(move |tx| {
                    let mut reports: Reports = tx.get(&key)?.unwrap_or_default();
                    reports.retain(|(at, known, _)| tx.now < *at + COUNTED_OVER && *known != id);
                    reports.push((tx.now, id.clone(), wrong));
                    tx.put(&key, &reports, Some(tx.now + COUNTED_OVER))?;
                    Ok(reports)
                })
                .await?
        };
        let now = self.kv.now();
        let counted = reports.iter().filter(|(at, _, _)| now < *at + COUNTED_OVER);
        Ok(counted.map(|(_, _, wrong)| u64::from(*wrong)).sum())
    }

    async fn take_decisions(&self, kind: &str, want: u32, per_second: u32) -> Result<u32> {
        let now = self.kv.now();
        // Each change below is of plain numbers.
        let mut taken = self.taken.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, taken) = taken.entry(kind.into()).or_default();
        if now >= *began + SECOND || now < *began {
            (*began, *taken) = (now, 0);
        }
        let got = want.min(per_second.saturating_sub(*taken));
        *taken += got;
        Ok(got)
    }
}
