//! Devices on Redis. Entry is in `entry.rs`, ownership in `owner.rs`, reading a record in `records.rs`.

use std::time::Duration;

use ::redis::cmd;
use async_trait::async_trait;

use super::records::Found;
use super::{LazyScript, Redis, keys, millis, script};
use crate::core::model::device::{CodeState, Device, Facts, KEEP_USED};
use crate::core::model::ids::{Code, DeviceKey, DomainName, Secret};
use crate::store::record::{open, to_json};
use crate::store::{Devices, Entered, Entry, PortClaim, Result};

static CONFIRM: LazyScript = script!("confirm");
static REFRESH: LazyScript = script!("refresh");
static REMOVE: LazyScript = script!("remove");
static CLAIM_PORT: LazyScript = script!("claim_port");

#[async_trait]
impl Devices for Redis {
    async fn find_device(&self, key: &DeviceKey) -> Result<Option<Device>> {
        let found = self.line.timed(self.finding.ask(key.clone())).await?;
        let Some(Found { domain, record }) = found else { return Ok(None) };
        self.device_of(&domain, key, &keys::device(&domain, key), record)
    }

    async fn enter(&self, entry: &Entry) -> Result<Entered> {
        self.line.timed(self.enter_whole(entry)).await
    }

    async fn confirm(&self, domain: &DomainName, key: &DeviceKey, password: &Secret) -> Result<()> {
        self.line
            .timed(async {
                let device = keys::device(domain, key);
                let read = cmd("HMGET").arg(&device).arg(&["password", "tentative"]).take();
                let (sealed, tentative): (Option<Vec<u8>>, Option<String>) = self.line.ask(&read).await?;
                let (Some(sealed), Some(_)) = (sealed, tentative) else { return Ok(()) };
                if open(&self.sealer, &device, "password", &sealed)? != *password {
                    return Ok(());
                }
                // The script compares what was opened here: a newer password is sealed differently.
                self.line.eval(CONFIRM.key(&device).arg(sealed)).await
            })
            .await
    }

    async fn refresh(&self, domain: &DomainName, key: &DeviceKey, facts: &Facts) -> Result<()> {
        let mut script = REFRESH.key(keys::device(domain, key));
        script.arg(to_json(facts));
        self.line.timed(self.line.eval(&script)).await
    }

    async fn remove(&self, domain: &DomainName, key: &DeviceKey) -> Result<bool> {
        self.line
            .timed(async {
                let owner: Option<String> = self.line.ask(cmd("GET").arg(keys::owner(key))).await?;
                let removed = self.drop_record(domain, key, "").await?;
                // The record first: an entry that is under way looks for it before it makes the ownership last.
                self.disown(key, domain).await?;
                Ok(removed && owner.as_deref() == Some(domain.as_str()))
            })
            .await
    }

    async fn claim_port(&self, domain: &DomainName, key: &DeviceKey, port: &str, code: Code) -> Result<PortClaim> {
        self.line.timed(self.claim_port_whole(domain, key, port, code)).await
    }

    async fn record_unassigned(&self, key: &DeviceKey, facts: &Facts, keep: Duration) -> Result<()> {
        self.line.timed(self.record_unassigned_device(key, facts, keep)).await
    }
}

impl Redis {
    async fn claim_port_whole(
        &self,
        domain: &DomainName,
        key: &DeviceKey,
        port: &str,
        code: Code,
    ) -> Result<PortClaim> {
        let Some(of) = self.code_domain(code).await? else { return Ok(PortClaim::CodeNotOpen) };
        if of != *domain {
            let open = self.read_code(&of, code).await?.is_some_and(|code| code.state == CodeState::Open);
            return Ok(if open { PortClaim::WrongDomain } else { PortClaim::CodeNotOpen });
        }
        let mut script = CLAIM_PORT.key(keys::device(domain, key));
        script.key(keys::code(domain, code)).key(keys::window(domain, code));
        for kind in keys::KINDS {
            script.key(keys::open(domain, kind));
        }
        script.key(keys::mail(domain, code)).key(keys::mailbox(domain));
        script.arg(key.as_str()).arg(port).arg(code.expose()).arg(millis(KEEP_USED));
        let recorded: bool = self.line.eval(&script).await?;
        Ok(if recorded { PortClaim::Recorded } else { PortClaim::CodeNotOpen })
    }

    /// Forgets the record of a device, if it is still of this entry (empty: of any).
    pub(super) async fn drop_record(&self, domain: &DomainName, key: &DeviceKey, entry: &str) -> Result<bool> {
        let mut script = REMOVE.key(keys::device(domain, key));
        script.key(keys::pending(domain)).key(keys::devices(domain)).key(keys::presence(domain));
        script.arg(key.as_str()).arg(entry);
        self.line.eval_once(&script).await
    }
}
