//! The mailbox on Redis: an entry and a lease per notice, and an index by the end of the entries.

use std::collections::HashSet;
use std::time::Duration;

use ::redis::{cmd, pipe};
use async_trait::async_trait;

use super::codes::node;
use super::{LazyScript, Redis, keys, millis, script};
use crate::core::model::device::Notice;
use crate::core::model::ids::{Code, DeviceKey, DomainName, NodeId};
use crate::store::code_name::{CodeName, open_code};
use crate::store::record::{About, corrupt, from_json};
use crate::store::{Mailbox, Result};

static PENDING: LazyScript = script!("pending_before");
static PAGE: LazyScript = script!("mailbox_page");
static DEPTH: LazyScript = script!("count_open");
static TAKE: LazyScript = script!("take");
static RELEASE: LazyScript = script!("release");
static SETTLE: LazyScript = script!("settle");

/// Entries that are read together.
const PAGE_SIZE: usize = 256;

/// Overdue notices that are deposited at the same time.
const CONCURRENT: usize = 16;

/// An entry of the mailbox as it was read.
struct Seen {
    name: CodeName,
    notice: Notice,
    lessee: Option<NodeId>,
}

#[async_trait]
impl Mailbox for Redis {
    async fn deposit(&self, domain: &DomainName, key: &DeviceKey) -> Result<bool> {
        self.client.timed(self.deposit_pending(domain, key)).await
    }

    async fn deposit_overdue(&self, domain: &DomainName, age: Duration) -> Result<u64> {
        // The deadline is for each step, not for all: after a long outage there may be thousands.
        let mut deposited = 0;
        let mut stay = 0;
        loop {
            let mut script = PENDING.key(keys::pending(domain));
            script.arg(millis(age)).arg(stay).arg(PAGE_SIZE);
            let page: Vec<String> = self.client.timed(self.client.eval(&script)).await?;
            if page.is_empty() {
                return Ok(deposited);
            }
            let devices: Vec<DeviceKey> = page.iter().filter_map(|key| DeviceKey::parse(key).ok()).collect();
            let mut done = 0;
            for some in devices.chunks(CONCURRENT) {
                let deposits = some.iter().map(|key| self.deposit(domain, key));
                let outcomes = futures_util::future::try_join_all(deposits).await?;
                done += outcomes.iter().filter(|done| **done).count();
            }
            deposited += done as u64;
            if done == 0 {
                // Members of the index that cannot be deposited are skipped, or this loop would never end.
                stay += page.len();
            }
        }
    }

    async fn take(
        &self,
        domain: &DomainName,
        node: &NodeId,
        lease: Duration,
        limit: usize,
        skip: &[Code],
    ) -> Result<Vec<Notice>> {
        self.client.timed(self.take_pages(domain, node, lease, limit, skip)).await
    }

    async fn release(&self, domain: &DomainName, node: &NodeId, codes: &[Code]) -> Result<()> {
        if codes.is_empty() {
            return Ok(());
        }
        let release = async {
            let mut script = RELEASE.arg(node.as_str());
            for name in &self.code_names(domain, codes).await? {
                script.key(keys::mail(domain, name)).key(keys::lease(domain, name));
            }
            self.client.eval(&script).await
        };
        self.client.timed(release).await
    }

    async fn settle(&self, domain: &DomainName, codes: &[Code]) -> Result<()> {
        if codes.is_empty() {
            return Ok(());
        }
        let settle = async {
            let mut script = SETTLE.key(keys::mailbox(domain));
            for name in &self.code_names(domain, codes).await? {
                script.key(keys::mail(domain, name)).key(keys::lease(domain, name)).arg(name.as_str());
            }
            self.client.eval(&script).await
        };
        self.client.timed(settle).await
    }

    async fn depth(&self, domain: &DomainName) -> Result<u64> {
        self.client.timed(self.client.eval(&DEPTH.key(keys::mailbox(domain)))).await
    }
}

impl Redis {
    async fn take_pages(
        &self,
        domain: &DomainName,
        node: &NodeId,
        lease: Duration,
        limit: usize,
        skip: &[Code],
    ) -> Result<Vec<Notice>> {
        let skip: HashSet<CodeName> = self.possible_names(skip).into_iter().collect();
        let mut taken = Vec::new();
        let mut first = 0;
        while taken.len() < limit {
            let mut script = PAGE.key(keys::mailbox(domain));
            script.arg(first).arg(first + PAGE_SIZE - 1);
            let page: Vec<String> = self.client.eval(&script).await?;
            let size = page.len();
            let names: Vec<CodeName> =
                page.into_iter().map(CodeName::stored).filter(|name| !skip.contains(name)).collect();
            let names = self.lifted(domain, names).await?;
            let seen = self.look_at(domain, names).await?;
            let alive = self.alive(&seen, node).await?;
            let free = |other: Option<&NodeId>| other.is_none_or(|other| !alive.contains(other));
            let wanted: Vec<Seen> = seen
                .into_iter()
                .filter(|seen| free(seen.notice.holder.as_ref()) && free(seen.lessee.as_ref()))
                .take(limit - taken.len())
                .collect();
            taken.append(&mut self.take_seen(domain, node, lease, wanted).await?);
            if size < PAGE_SIZE {
                break;
            }
            first += PAGE_SIZE;
        }
        Ok(taken)
    }

    async fn look_at(&self, domain: &DomainName, names: Vec<CodeName>) -> Result<Vec<Seen>> {
        type Entry = (Option<Vec<u8>>, Option<String>, Option<String>, Option<String>, Option<Vec<u8>>);
        let place = format!("pb:{{{domain}}}:mail:…");
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let (mut entries, mut leases) = (pipe(), cmd("MGET"));
        for name in &names {
            entries.cmd("HMGET").arg(keys::mail(domain, name)).arg(&["about", "device", "port", "holder", "sealed"]);
            leases.arg(keys::lease(domain, name));
        }
        let (entries, leases): (Vec<Entry>, Vec<Option<String>>) =
            tokio::try_join!(self.client.ask_all(&entries), self.client.ask(&leases))?;
        let mut seen = Vec::new();
        for ((name, (about, device, port, holder, sealed)), lessee) in names.into_iter().zip(entries).zip(leases) {
            // Expired or settled since the page was read.
            let (Some(about), Some(device)) = (about, device) else { continue };
            let about: About = from_json(&place, &about)?;
            let device = DeviceKey::parse(&device).map_err(|e| corrupt(&place, &e))?;
            let port = port.filter(|port| !port.is_empty()).map(Into::into);
            let code = open_code(&self.sealer, &place, domain, &name, sealed.as_deref())?;
            seen.push(Seen {
                name,
                notice: about.notice(code, device, port, self::node(holder)),
                lessee: self::node(lessee),
            });
        }
        Ok(seen)
    }

    /// Which of the other nodes in these entries are alive.
    async fn alive(&self, seen: &[Seen], node: &NodeId) -> Result<HashSet<NodeId>> {
        let nodes = seen.iter().flat_map(|seen| [&seen.notice.holder, &seen.lessee]).flatten();
        self.living(nodes.filter(|other| *other != node).collect()).await
    }

    /// Takes those of the entries that no other node has taken, and whose holder has not changed, since they were read.
    async fn take_seen(
        &self,
        domain: &DomainName,
        node: &NodeId,
        lease: Duration,
        wanted: Vec<Seen>,
    ) -> Result<Vec<Notice>> {
        let text = |node: Option<&NodeId>| node.map_or(String::new(), |node| node.as_str().into());
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let mut script = TAKE.arg(node.as_str());
        script.arg(millis(lease));
        for seen in &wanted {
            script.key(keys::mail(domain, &seen.name)).key(keys::lease(domain, &seen.name));
            script.arg(text(seen.notice.holder.as_ref())).arg(text(seen.lessee.as_ref()));
        }
        let taken: Vec<bool> = self.client.eval(&script).await?;
        Ok(wanted.into_iter().zip(taken).filter_map(|(seen, taken)| taken.then_some(seen.notice)).collect())
    }
}
