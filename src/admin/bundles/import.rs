//! Import of a bundle: checked as a whole, then applied.

use std::fs::File;

use super::file::check;
use crate::admin::{Admin, AdminError, Authority, Result};
use crate::core::model::bundle::Taken;
use crate::core::model::time::UnixMillis;
use crate::core::protocol::bundle::{FileKey, Kind, Manifest};

/// What became of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportOutcome {
    /// It was applied.
    Imported,
    /// It was applied before; nothing has changed.
    Known,
    /// A later one was applied before; nothing has changed.
    Older,
}

/// Report of an import.
#[derive(Debug, Clone)]
pub struct ImportReport {
    /// The manifest.
    pub manifest: Manifest,
    /// What became of it.
    pub outcome: ImportOutcome,
    /// New codes, at a site; codes that are known to be used now, at the centre.
    pub codes: u64,
    /// Devices that were written.
    pub devices: u64,
    /// What was left out, one line each; of many only the first ones.
    pub left_out: Vec<String>,
}

/// Most lines about what was left out.
const LINES: usize = 100;

impl ImportReport {
    pub(super) const fn new(manifest: Manifest, outcome: ImportOutcome) -> Self {
        Self { manifest, outcome, codes: 0, devices: 0, left_out: Vec::new() }
    }

    pub(super) fn leave_out(&mut self, line: String) {
        if self.left_out.len() < LINES {
            self.left_out.push(line);
        }
    }
}

impl Admin {
    /// Imports a bundle. One at a time. Whatever is wrong with it is found before anything has changed.
    pub async fn import_bundle(&self, authority: &Authority, mut file: File, key: FileKey) -> Result<ImportReport> {
        authority.instance_only()?;
        let _turn = self
            .bundle_turn
            .try_acquire()
            .map_err(|_| AdminError::TooMany("another bundle is being imported; try again when that is done"))?;
        let checking = tokio::task::spawn_blocking(move || {
            let checked = check(&mut file, &key)?;
            Ok::<_, AdminError>((checked, file, key))
        });
        let checked = checking.await.map_err(|_| AdminError::Unavailable("the bundle was not checked".into()))?;
        let ((manifest, outline), mut file, key) = checked?;
        if manifest.expires <= self.services.store.now().await? {
            let at = manifest.expires.seconds();
            let why = format!("the bundle has expired (at {at} in Unix seconds); export a new one and carry it here");
            return Err(AdminError::Conflict(why));
        }
        let ours = self.services.store.instance_mark();
        let report = match manifest.kind {
            Kind::Site if manifest.centre == ours => Err(AdminError::Conflict(
                "the bundle was made here, for a site; carry it to that site and import it there".into(),
            )),
            Kind::Site => self.import_at_site(authority, manifest, outline, (&mut file, &key)).await,
            Kind::Results if manifest.centre != ours => Err(AdminError::Conflict(
                "the results are for another centre; carry them to the one that made the bundle of the site".into(),
            )),
            Kind::Results => self.import_results(authority, manifest, outline, (&mut file, &key)).await,
        }?;
        let ImportReport { manifest, outcome, codes, devices, .. } = &report;
        tracing::info!(domain = %manifest.domain, site = %manifest.site, serial = manifest.serial, ?outcome, codes,
            devices, "bundle imported");
        Ok(report)
    }
}

/// Whether a bundle has to be applied, after the one that was taken last.
pub(super) fn outcome(manifest: &Manifest, last: Option<&Taken>) -> Result<ImportOutcome> {
    let Some(last) = last else { return Ok(ImportOutcome::Imported) };
    if manifest.serial < last.serial {
        return Ok(ImportOutcome::Older);
    }
    if manifest.serial > last.serial {
        return Ok(ImportOutcome::Imported);
    }
    if manifest.id != last.id {
        let why = format!(
            "another bundle with number {} was imported before: whoever made it has lost a part of its store; export \
             once more, until the number is greater",
            last.serial
        );
        return Err(AdminError::Conflict(why));
    }
    // One that was interrupted is applied again.
    Ok(if last.whole { ImportOutcome::Known } else { ImportOutcome::Imported })
}

/// The mark of a bundle that is being imported.
pub(super) fn begun(manifest: &Manifest, at: UnixMillis) -> Taken {
    Taken { serial: manifest.serial, id: manifest.id.clone(), whole: false, at }
}
