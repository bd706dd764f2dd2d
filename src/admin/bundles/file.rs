//! Reads the records of a bundle from its file.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use crate::admin::{AdminError, Result};
use crate::core::policy::bundle::{Check, Outline, Record};
use crate::core::protocol::bundle::{FileKey, Manifest, Opener};

/// Bytes that are read at a time.
const PORTION: usize = 64 * 1024;

/// The records of a bundle, in order.
pub(super) struct Records<'a> {
    file: &'a mut File,
    opener: Option<Opener>,
    ready: VecDeque<Vec<u8>>,
    manifest: Option<Manifest>,
}

fn lost(error: &std::io::Error) -> AdminError {
    tracing::warn!(%error, "bundle not read");
    AdminError::Unavailable("the bundle could not be read back; try again later".into())
}

impl<'a> Records<'a> {
    /// From the beginning of the file.
    pub fn new(file: &'a mut File, key: &FileKey) -> Result<Self> {
        file.seek(SeekFrom::Start(0)).map_err(|error| lost(&error))?;
        Ok(Self { file, opener: Some(Opener::new(key.clone())), ready: VecDeque::new(), manifest: None })
    }

    /// The manifest, as soon as a record was read.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref().or_else(|| self.opener.as_ref()?.manifest())
    }

    /// The bytes of the next record. A blocking read, but of few kilobytes out of the page cache.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                return Ok(Some(record));
            }
            let Some(mut opener) = self.opener.take() else { return Ok(None) };
            let mut portion = vec![0; PORTION];
            let length = self.file.read(&mut portion).map_err(|error| lost(&error))?;
            if length == 0 {
                self.manifest = Some(opener.end()?);
                continue;
            }
            let mut records = Vec::new();
            opener.take(&portion[..length], &mut records)?;
            self.ready.extend(records);
            self.opener = Some(opener);
        }
    }

    /// Up to `limit` records of which `pick` wants something.
    pub fn page<T>(&mut self, limit: usize, pick: impl Fn(Record) -> Option<T>) -> Result<Vec<T>> {
        let mut page = Vec::new();
        while page.len() < limit {
            let Some(bytes) = self.next()? else { break };
            page.extend(pick(Record::read(&bytes)?));
        }
        Ok(page)
    }
}

/// Reads and checks the whole file.
pub(super) fn check(file: &mut File, key: &FileKey) -> Result<(Manifest, Outline)> {
    let mut records = Records::new(file, key)?;
    let mut check = None;
    while let Some(bytes) = records.next()? {
        if check.is_none() {
            check = records.manifest().map(|manifest| Check::new(manifest.kind));
        }
        if let Some(check) = &mut check {
            check.see(&bytes)?;
        }
    }
    let manifest = records.manifest().cloned();
    match (manifest, check) {
        (Some(manifest), Some(check)) => Ok((manifest, check.end()?)),
        _ => Err(AdminError::invalid("bundle", "the bundle is empty; make it again")),
    }
}
