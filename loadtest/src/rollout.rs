//! `loadtest rollout`: Users asks for codes, and several new devices type each of them. One enters, and Users
//! receives the notice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use provbroker::core::model::ids::Code;
use provbroker::core::session::app::client::Login;
use provbroker::sim::users::{Users, UsersEvent, UsersOptions};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::arrival::Arrival;
use crate::figures::{self, Check, Figures};
use crate::progress::Progress;
use crate::servers::POLL_EVERY;
use crate::servers::testbed::{Tenant, Testbed};
use crate::settings::{Arguments, Kind, Settings};
use crate::storm::{SOURCES, plan, processes, run_number, server_probe};
use crate::trial::{self, Measured};
use crate::worker_commands::Group;
use crate::worker_pool::{Interrupt, WorkerPool, shared};

/// Longest wait for codes, and for notices after the last entry.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Devices by code, as reported by notices.
type Notices = Arc<Mutex<BTreeMap<Code, BTreeSet<String>>>>;

/// Runs and reports. Fails if a check fails.
pub fn run(arguments: &Arguments, interrupt: &Interrupt) -> anyhow::Result<()> {
    let settings = arguments.settings(Kind::Rollout)?;
    let (codes, race) = (settings.codes.unwrap_or(100), settings.race.unwrap_or(1).max(1));
    ensure!(codes > 0, "no codes");
    ensure!(!settings.tls && !settings.tls_resume, "roll-outs are simulated without TLS");
    let devices = codes * race;
    let run = run_number();
    let testbed = Testbed::set_up(&settings, devices, settings.domains.unwrap_or(1), run)?;
    let server = testbed.addresses().first().copied().context("no broker")?;
    let notices = Notices::default();
    let (mut askers, mut groups) = (Vec::new(), Vec::new());
    let domains = testbed.tenants.len();
    for (index, tenant) in testbed.tenants.iter().enumerate() {
        let share = (codes + domains - 1 - index) / domains;
        let asker = CodeRequester::start(format!("ws://{server}{}", tenant.apps_path()), tenant, share, &notices)?;
        groups.push(group(tenant, asker.codes(interrupt)?, race, &settings));
        askers.push(asker);
    }
    let mut pool = WorkerPool::start(&shared(processes(&settings, devices), groups.len()), run, &groups, interrupt)?;
    pool.order(&testbed.target(), Duration::from_secs(10))?;
    let progress = Progress::start("entering", codes);
    let mut plan = plan(&settings, Kind::Rollout);
    plan.goal = Some(codes as u64);
    let measured = trial::run(&mut pool, plan, server_probe(&testbed)?, &progress)?;
    wait_for_notices(&notices, codes, interrupt)?;
    drop((progress, pool, askers));

    let delivered = notices.lock().unwrap_or_else(PoisonError::into_inner);
    let all: BTreeSet<Code> = groups.iter().flat_map(|group| group.codes.iter().copied()).collect();
    let checks = checks(&all, &measured, &delivered);
    let without = all.len() - measured.total.entered.iter().map(|(code, _)| code).collect::<BTreeSet<_>>().len();
    let more = json!({"codes": codes, "race": race, "lost": without, "notices": delivered.len()});
    let scenario = Settings::title(arguments.scenario.as_deref(), "rollout");
    let figures = Figures { scenario, groups: &groups, broker: &measured, floor: None, checks, more };
    figures::report(&figures, &settings)
}

fn group(tenant: &Tenant, codes: Vec<Code>, race: usize, settings: &Settings) -> Group {
    let devices = codes.len() * race;
    Group {
        name: tenant.name.clone(),
        devices,
        warm_up: 0,
        paths: vec![tenant.path_without_token.clone()],
        admin_password: tenant.admin_password.clone(),
        sources: settings.url.is_none().then_some(SOURCES),
        arrival: settings.arrival.unwrap_or(Arrival::AtOnce),
        arrivals: devices,
        after_us: 0,
        stay_us: None,
        codes,
    }
}

fn wait_for_notices(notices: &Notices, codes: usize, interrupt: &Interrupt) -> anyhow::Result<()> {
    let end = Instant::now() + TIMEOUT;
    // Missing ones are reported by the check.
    while notices.lock().unwrap_or_else(PoisonError::into_inner).len() < codes && Instant::now() < end {
        interrupt.check()?;
        std::thread::sleep(POLL_EVERY);
    }
    Ok(())
}

fn checks(all: &BTreeSet<Code>, measured: &Measured, delivered: &BTreeMap<Code, BTreeSet<String>>) -> Vec<Check> {
    let mut winners: BTreeMap<Code, BTreeSet<String>> = BTreeMap::new();
    for (code, device) in &measured.total.entered {
        winners.entry(*code).or_default().insert(device.to_ascii_lowercase());
    }
    let one = winners.values().filter(|devices| devices.len() == 1).count();
    let right = all
        .iter()
        .filter(|code| delivered.get(code).is_some_and(|delivered| Some(delivered) == winners.get(code)))
        .count();
    let wrong: u64 = measured.total.wrong.values().sum();
    vec![
        Check::new(
            "exactly one winner per code",
            one == all.len() && winners.len() == all.len(),
            format!("{one} of {} codes, {} with several", all.len(), winners.len() - one),
        ),
        Check::new(
            "every notice is seen and names the winner",
            right == all.len() && delivered.len() == all.len(),
            format!("{right} of {}, notices for {} codes", all.len(), delivered.len()),
        ),
        Check::new("every device is where it belongs", wrong == 0, format!("{:?}", measured.total.wrong)),
        Check::new(
            "no winner is stuck",
            measured.total.members == all.len() as u64,
            format!("{} registered at the end", measured.total.members),
        ),
    ]
}

/// A Users service on a thread of its own: asks for codes and records notices until dropped.
struct CodeRequester {
    codes: mpsc::Receiver<anyhow::Result<Vec<Code>>>,
    thread: Option<std::thread::JoinHandle<()>>,
    stop: Option<oneshot::Sender<()>>,
}

impl CodeRequester {
    fn start(url: String, tenant: &Tenant, codes: usize, notices: &Notices) -> anyhow::Result<Self> {
        let login = Login {
            app: "innovaphone-devices-api".into(),
            domain: tenant.name.as_str().into(),
            sip: "".into(),
            guid: "".into(),
            dn: "".into(),
            password: tenant.password.clone().unwrap_or_default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (sender, receiver) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let (category, notices) = (tenant.category.clone(), Arc::clone(notices));
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let (mut users, events) = Users::start(UsersOptions::new(url, login));
                let noting = tokio::spawn(record_notices(events, notices));
                let _ = sender.send(ask(&mut users, &category, codes).await);
                // An error means that the sender is gone, which means stop too.
                let _ = stopped.await;
                users.stop().await;
                noting.abort();
            });
        });
        Ok(Self { codes: receiver, thread: Some(thread), stop: Some(stop) })
    }

    /// Waits for the codes.
    fn codes(&self, interrupt: &Interrupt) -> anyhow::Result<Vec<Code>> {
        let end = Instant::now() + TIMEOUT;
        while Instant::now() < end {
            interrupt.check()?;
            match self.codes.recv_timeout(POLL_EVERY) {
                Ok(codes) => return codes,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err(anyhow!("the Users service has ended")),
            }
        }
        bail!("no codes in time")
    }
}

impl Drop for CodeRequester {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn ask(users: &mut Users, category: &str, codes: usize) -> anyhow::Result<Vec<Code>> {
    users.ready().await.context("Users")?;
    let mut all = Vec::with_capacity(codes);
    for _ in 0..codes {
        all.push(users.code(category, None, true).await.context("no code")?.0);
    }
    Ok(all)
}

async fn record_notices(mut events: tokio::sync::mpsc::Receiver<UsersEvent>, notices: Notices) {
    while let Some(event) = events.recv().await {
        if let UsersEvent::Notice(notice) = event {
            let device = notice.device.hw_id.to_ascii_lowercase();
            notices.lock().unwrap_or_else(PoisonError::into_inner).entry(notice.code).or_default().insert(device);
        }
    }
}
