//! `provbroker bundle …`: files between a centre and sites without a connection (`docs/offline.md`).
//!
//! Passphrase and key file stay on this machine: the broker gets the key that is made from them for one bundle.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Value, json};

use super::call::{Body, secret};
use super::client::Client;
use super::table::thing;
use super::{Connection, CtlError, Disk};
use crate::core::model::ids::Secret;
use crate::core::protocol::bundle::{Begun, FileKey, Lock, MANIFEST_MAX, begin};

/// Environment variable with the passphrase.
const PASSPHRASE: &str = "PROVBROKER_BUNDLE_PASSPHRASE";

/// More than the manifest with what is around it.
const BEGINNING: u64 = MANIFEST_MAX as u64 + 1024;

/// Longest key file, in bytes.
const KEY_FILE_MAX: u64 = 64 * 1024;

/// Bytes of a salt.
const SALT_BYTES: usize = 16;

/// Arguments of `provbroker bundle`.
#[derive(Debug, Args)]
pub struct Bundle {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a bundle for a site, or the results of this site, into a file; only with the instance password
    ///
    /// The codes in a bundle for a site are lent to it: no device enters with them here any more.
    Export(Export),
    /// Import a bundle of a centre at a site, or the results of a site at its centre; only with the instance password
    Import(Import),
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["site", "results"]))]
struct Export {
    /// File to write; it must not exist
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Name of the site: small letters, digits, dots, dashes, underscores
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// Export the results of this site for its centre
    #[arg(long, conflicts_with_all = ["rollout", "category", "new_codes", "builds_url"])]
    results: bool,
    /// Lend the open codes of this roll-out
    #[arg(long, value_name = "ID", conflicts_with_all = ["category", "new_codes"])]
    rollout: Option<u64>,
    /// Lend the open codes of this category; with --new-codes the category of the new ones
    #[arg(long, value_name = "CATEGORY")]
    category: Option<String>,
    /// Issue and lend so many new codes of long validity
    #[arg(long, value_name = "N", requires = "category")]
    new_codes: Option<u64>,
    /// Where the devices of the site find the files of updates, with / at its end
    #[arg(long, value_name = "URL")]
    builds_url: Option<String>,
    #[command(flatten)]
    unlock: Unlock,
}

#[derive(Debug, Args)]
struct Import {
    /// File to import
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    unlock: Unlock,
}

/// Where the key comes from.
#[derive(Debug, Args)]
struct Unlock {
    /// File with the passphrase of the bundle [default: the value of `PROVBROKER_BUNDLE_PASSPHRASE`]
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    passphrase_file: Option<PathBuf>,
    /// File with random bytes that is used instead of a passphrase
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

fn at(file: &Path, error: &impl ToString) -> CtlError {
    CtlError::Arguments(format!("{}: {}", file.display(), error.to_string()))
}

impl Unlock {
    fn passphrase(&self) -> Result<Secret, CtlError> {
        match &self.passphrase_file {
            Some(file) => secret(&Disk, file),
            None => match std::env::var(PASSPHRASE) {
                Ok(passphrase) if !passphrase.is_empty() => Ok(Secret::new(passphrase)),
                _ => Err(CtlError::Arguments(format!(
                    "the passphrase of the bundle is missing: set {PASSPHRASE}, or name a file with --passphrase-file or \
                     --key-file"
                ))),
            },
        }
    }

    /// How the key of a new bundle is made.
    fn lock(&self) -> Result<Lock, CtlError> {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).map_err(|error| CtlError::Arguments(format!("no random bytes: {error}")))?;
        Ok(if self.key_file.is_some() { Lock::by_key_file(salt) } else { Lock::by_passphrase(salt) })
    }

    fn key(&self, lock: &Lock) -> Result<FileKey, CtlError> {
        let key = match &self.key_file {
            Some(file) => {
                let mut content = Vec::new();
                let read = File::open(file).and_then(|file| file.take(KEY_FILE_MAX).read_to_end(&mut content));
                read.map_err(|error| at(file, &error))?;
                lock.open_by_key_file(&content)
            }
            None => lock.open_by_passphrase(&self.passphrase()?),
        };
        key.map_err(|error| CtlError::Arguments(error.to_string()))
    }
}

impl Bundle {
    /// Runs the command.
    pub fn run(&self) -> Result<(), CtlError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| CtlError::Arguments(format!("no runtime: {error}")))?;
        runtime.block_on(async {
            match &self.command {
                Command::Export(export) => self.export(export).await,
                Command::Import(import) => self.import(import).await,
            }
        })
    }

    async fn client(&self) -> Result<Client, CtlError> {
        Client::log_in(&self.connection.url, self.connection.log_in_domain(), &self.connection.password()?).await
    }

    async fn export(&self, export: &Export) -> Result<(), CtlError> {
        let Some(domain) = self.connection.within.as_deref() else {
            return Err(CtlError::Arguments("which domain? set it with --in DOMAIN".into()));
        };
        let lock = export.unlock.lock()?;
        let key = export.unlock.key(&lock)?;
        let mut part = export.file.clone().into_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        if export.file.exists() {
            return Err(at(&export.file, &"there is such a file already; name another one"));
        }
        let client = self.client().await?;
        let body = json!({
            "results": export.results, "site": export.site, "rollout": export.rollout, "category": export.category,
            "newCodes": export.new_codes, "buildsUrl": export.builds_url, "key": key.expose(), "lock": lock,
        });
        let given = |value: Value| match value {
            Value::Object(members) => members.into_iter().filter(|(_, value)| !value.is_null()).collect(),
            other => other,
        };
        let path = format!("/api/v1/domains/{}/bundles", crate::core::protocol::percent::encode(domain));
        let mut answer = client.call("POST", &path, &[], Body::Json(given(body))).await?;
        let write = async {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part);
            let file = file.as_mut().map_err(|error| at(&part, error))?;
            while let Some(piece) = answer.chunk().await.map_err(|error| client.lost(&error))? {
                file.write_all(&piece).map_err(|error| at(&part, &error))?;
            }
            file.sync_all().map_err(|error| at(&part, &error))?;
            // A hard link does not replace a file that was made meanwhile.
            std::fs::hard_link(&part, &export.file).map_err(|error| at(&export.file, &error))
        };
        let written = write.await;
        let _ = std::fs::remove_file(&part);
        written?;
        let Begun { manifest, .. } = beginning(&export.file)?;
        println!(
            "bundle {} of {} for {}: {}, valid until {} (Unix seconds)",
            manifest.serial,
            manifest.domain,
            manifest.site,
            export.file.display(),
            manifest.expires.seconds()
        );
        Ok(())
    }

    async fn import(&self, import: &Import) -> Result<(), CtlError> {
        // The salt is in the file. What is wrong with the rest, the broker finds.
        let begun = beginning(&import.file)?;
        let key = import.unlock.key(&begun.manifest.lock)?;
        let client = self.client().await?;
        let body = Body::Bundle(import.file.clone(), key.expose());
        let answer = client.call("POST", "/api/v1/bundles", &[], body).await?;
        let (text, value) = client.json(answer).await?;
        if self.connection.json {
            println!("{}", String::from_utf8_lossy(&text));
            return Ok(());
        }
        match value.get("outcome").and_then(Value::as_str) {
            Some("known") => println!("this bundle was imported before; nothing has changed"),
            Some("older") => println!("a later bundle was imported before; nothing has changed"),
            _ => print!("{}", thing(&value)),
        }
        Ok(())
    }
}

/// The manifest at the beginning of a file.
fn beginning(file: &Path) -> Result<Begun, CtlError> {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|file| file.take(BEGINNING).read_to_end(&mut bytes));
    read.map_err(|error| at(file, &error))?;
    let begun = begin(&bytes).map_err(|error| at(file, &error))?;
    begun.ok_or_else(|| at(file, &crate::core::protocol::bundle::Fault::CutOff))
}
