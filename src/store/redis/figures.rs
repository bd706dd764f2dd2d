//! Totals on Redis: one script per domain, one field per node.

use std::collections::HashMap;
use std::time::Duration;

use ::redis::{cmd, pipe};
use async_trait::async_trait;
use futures_util::future::try_join_all;

use super::{LazyScript, Redis, keys, millis, script};
use crate::core::model::device::KEEP_USED;
use crate::core::model::ids::{DomainName, NodeId};
use crate::store::{Figures, Result, Totals};

static FIGURES: LazyScript = script!("figures");

/// Domains that are asked at the same time.
const CONCURRENT: usize = 16;

/// The reports of all nodes end when none has reported for this long.
const REPORTS_KEPT: Duration = Duration::from_secs(3600);

#[async_trait]
impl Figures for Redis {
    async fn publish_member_count(&self, node: &NodeId, members: u64) -> Result<()> {
        let mut tell = pipe();
        tell.cmd("HSET").arg(keys::MEMBERS).arg(node.as_str()).arg(members);
        tell.cmd("PEXPIRE").arg(keys::MEMBERS).arg(millis(REPORTS_KEPT));
        let _: (u64, bool) = self.client.timed(self.client.ask_all(&tell)).await?;
        Ok(())
    }

    async fn figures(&self) -> Result<Totals> {
        let numbers: HashMap<String, u64> =
            self.client.timed(self.client.ask(cmd("HGETALL").arg(keys::DOMAINS))).await?;
        // The field with the last number is not a domain name.
        let domains: Vec<_> = numbers.into_keys().filter_map(|name| DomainName::parse(&name).ok()).collect();
        let mut totals = Totals { online: self.client.timed(self.online_members()).await?, ..Totals::default() };
        for some in domains.chunks(CONCURRENT) {
            // The deadline is for each step, not for all: there may be thousands of domains.
            let asks = some.iter().map(|domain| async move {
                let mut script = FIGURES.key(keys::devices(domain));
                script.key(keys::open(domain, keys::kind(false))).key(keys::open(domain, keys::kind(true)));
                script.key(keys::mailbox(domain)).arg(millis(KEEP_USED));
                self.client.timed(self.client.eval::<(u64, u64, u64, u64, u64)>(&script)).await
            });
            for (devices, short_codes, rollout_codes, notices, age) in try_join_all(asks).await? {
                totals.devices += devices;
                totals.most_devices = totals.most_devices.max(devices);
                totals.short_codes += short_codes;
                totals.rollout_codes += rollout_codes;
                totals.notices += notices;
                if notices > 0 {
                    totals.oldest = totals.oldest.max(Some(Duration::from_millis(age)));
                }
            }
        }
        Ok(totals)
    }
}

impl Redis {
    /// The members of all nodes that are alive. The reports of the others are removed.
    async fn online_members(&self) -> Result<u64> {
        let told: HashMap<String, u64> = self.client.ask(cmd("HGETALL").arg(keys::MEMBERS)).await?;
        let told: HashMap<NodeId, u64> =
            told.into_iter().map(|(node, members)| (NodeId::new(&node), members)).collect();
        let living = self.living(told.keys().collect()).await?;
        let (alive, dead): (Vec<_>, Vec<_>) = told.into_iter().partition(|(node, _)| living.contains(node));
        if !dead.is_empty() {
            let mut forget = cmd("HDEL");
            forget.arg(keys::MEMBERS);
            for (node, _) in &dead {
                forget.arg(node.as_str());
            }
            // A node that is alive after all reports again.
            let _: u64 = self.client.ask(&forget).await?;
        }
        Ok(alive.into_iter().map(|(_, members)| members).sum())
    }
}
