//! Periodic tasks of a node, and the forwarding of signals from other nodes to the tenant registry.

use std::cell::Cell;
use std::future::ready;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::admission::controller;
use crate::attempts;
use crate::connection::places::HttpPlaces;
use crate::lifecycle::Shutdown;
use crate::metrics::{self, CodeKind, Gauge, Strangers};
use crate::node::Node;
use crate::store::{self, MigrationState, Pace};
use crate::tenant_cache;

/// How often each node reads the figures of the store.
const FIGURES: Duration = Duration::from_secs(5);

/// How often the migration of the store goes on, and how many pages it performs then.
const MIGRATION: (Duration, u32) = (Duration::from_secs(1), 100);

/// Starts all periodic tasks except the renewal of the lease, which ends before the node does.
/// `quota` is how many devices a domain may have; 0: any number.
pub(super) fn spawn(node: &Arc<Node>, quota: u64, shutdown: &Shutdown, recorder: &PrometheusHandle) {
    every("figures of the store", FIGURES, node, move |node| async move { show_figures(&node, quota).await });
    every("refresh of the domains", tenant_cache::REFRESH, node, |node| async move {
        let read = node.tenants().refresh().await;
        node.directory().announce_changes();
        read
    });
    every("maintenance of admission", controller::MAINTENANCE, node, |node| {
        node.admission().maintain();
        ready(Ok(()))
    });
    every("maintenance of attempts", attempts::TICK, node, |node| async move {
        node.attempts().maintain().await;
        Ok(())
    });
    let newest = Rc::new(Cell::new(false));
    every("migration of the store", MIGRATION.0, node, move |node| {
        let newest = Rc::clone(&newest);
        async move {
            if !newest.get() {
                newest.set(migrate(&node).await?);
            } else if node.store().migrate().await? != Pace::Done {
                newest.set(false);
            }
            Ok(())
        }
    });
    let (watched, recorder) = (shutdown.clone(), recorder.clone());
    every("readiness", Duration::from_secs(1), node, move |node| {
        let (shutdown, recorder) = (watched.clone(), recorder.clone());
        async move {
            let answer = node.store().ping().await;
            shutdown.store_is(answer.is_ok());
            metrics::set(Gauge::StoreUp, u64::from(answer.is_ok()));
            metrics::set(Gauge::Ready, u64::from(shutdown.readiness().status() == 200));
            recorder.run_upkeep();
            answer
        }
    });
    let (mut signals, directory) = (node.store().subscribe(), Arc::clone(node.directory()));
    actix_rt::spawn(async move {
        while let Some(signal) = signals.recv().await {
            directory.signal(signal);
        }
    });
}

/// Reports how many connections have not proved who they are, and what they hold.
pub(super) fn report_places(node: &Arc<Node>, http: [&Arc<HttpPlaces>; 2]) {
    let http = http.map(Arc::clone);
    every("report of the places", Duration::from_secs(1), node, move |node| {
        node.connections().report();
        for places in &http {
            places.report();
        }
        ready(Ok(()))
    });
}

/// Writes how many members this node has, and sets the gauges of the whole store.
async fn show_figures(node: &Node, quota: u64) -> store::Result<()> {
    // A full store refuses the write but can still be read.
    let written =
        node.store().publish_member_count(node.id(), node.connections().members().load(Ordering::Relaxed)).await;
    let totals = node.store().figures().await?;
    node.admission().record_totals(totals.devices, totals.missing());
    metrics::set(Gauge::DevicesKnown, totals.devices);
    metrics::set_part(Gauge::QuotaDevices, if quota == 0 { 0 } else { totals.most_devices }, quota);
    metrics::set(Gauge::StrangerRecords(Strangers::Unassigned), node.store().unassigned_count().await?);
    metrics::set(Gauge::StrangerRecords(Strangers::Contacts), node.store().stranger_contacts().await?);
    metrics::set(Gauge::DevicesOnline, totals.online);
    metrics::set(Gauge::DevicesMissing, totals.missing());
    metrics::set(Gauge::CodesOpen(CodeKind::Short), totals.short_codes);
    metrics::set(Gauge::CodesOpen(CodeKind::Rollout), totals.rollout_codes);
    metrics::set(Gauge::MailboxDepth, totals.notices);
    metrics::set(Gauge::MailboxAge, totals.oldest.unwrap_or_default().as_secs());
    written
}

/// Performs some pages of a migration of the store or of a rotation of its key, and sets the gauges. True if nothing is
/// left to be done.
async fn migrate(node: &Node) -> store::Result<bool> {
    for _ in 0..MIGRATION.1 {
        if node.store().migrate().await? != Pace::Again {
            break;
        }
    }
    let status = node.store().schema().await?;
    metrics::set(Gauge::StoreVersion, status.version.into());
    metrics::set(Gauge::StoreMigrating, u64::from(status.state != MigrationState::Done));
    metrics::set(Gauge::StoreMigrated, status.changed);
    let behind = if let MigrationState::WaitingForNodes(nodes) = &status.state { nodes.len() } else { 0 };
    let keys = node.store().instance_keys().await?;
    metrics::set(Gauge::StoreNodesBehind, behind.max(keys.waiting.len()) as u64);
    metrics::set(Gauge::StoreResealed, keys.resealed);
    metrics::set(Gauge::KeyGenerations, 1 + keys.earlier.len() as u64 + u64::from(keys.next.is_some()));
    let at_rest = status.state == MigrationState::Done && keys.done && keys.earlier.is_empty();
    Ok(at_rest)
}

/// Runs a task again and again, as long as the node lives. The log names it when it fails.
pub(super) fn every<F>(
    task: &'static str,
    period: Duration,
    node: &Arc<Node>,
    mut act: impl FnMut(Arc<Node>) -> F + 'static,
) -> actix_rt::task::JoinHandle<()>
where
    F: Future<Output = store::Result<()>> + 'static,
{
    let node = Arc::downgrade(node);
    actix_rt::spawn(async move {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(node) = node.upgrade() else { return };
            if let Err(error) = act(node).await {
                tracing::warn!(%error, task, "periodic task failed; it runs again");
            }
        }
    })
}
