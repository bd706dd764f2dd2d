//! One measured run against one set of servers: warm up, let the devices arrive, wait, count.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::progress::Progress;
use crate::record::{Counts, Latencies};
use crate::servers::Server;
use crate::servers::redis::Commands;
use crate::worker_commands::{Outcome, Report, Tick, WorkerCommand};
use crate::worker_pool::WorkerPool;

/// Interval of ticks.
const TICK: Duration = Duration::from_millis(250);

/// Concurrent connects outside of a run, over all processes.
const WINDOW: usize = 64;

/// Pause until closed connections have gone.
const LINGER_AFTER_CLOSE: Duration = Duration::from_secs(3);

const MEMBERS: &str = "provbroker_members";

/// Plan of a run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Delay before a refused or closed device comes back.
    pub return_after: Duration,
    /// Pause before memory is measured; `None`: not measured.
    pub settle: Option<Duration>,
    /// Longest time of the run after the last arrival.
    pub limit: Duration,
    /// Ends shortly after this many registrations; `None`: when no device is connecting any more.
    pub goal: Option<u64>,
    /// Seed of the arrivals.
    pub seed: u64,
}

/// Measures the servers.
pub struct ServerProbe<'a> {
    /// Their processes; empty if not started by us.
    pub servers: &'a [Server],
    /// Command counter of their Redis.
    pub commands: Option<Commands>,
}

/// One interval.
#[derive(Debug, Clone)]
struct Sample {
    at: f64,
    tick: MergedTick,
    cpu_percent: Option<f64>,
    rss: Option<u64>,
    commands: Option<u64>,
}

/// The merged ticks of all processes with the same number.
#[derive(Debug, Clone, Default)]
struct MergedTick {
    parts: usize,
    registered: u64,
    failed: u64,
    open: u64,
    members: u64,
    waiting: u64,
    to_come: u64,
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
    longest: Option<f64>,
}

/// Results of a group, over all processes.
pub struct GroupTotals {
    /// Counted.
    pub counts: Counts,
    /// Devices registered at the end of the run.
    pub members: u64,
    /// Devices that arrived and are neither registered nor gone.
    pub lost: u64,
    /// Failed attempts by kind.
    pub failures: BTreeMap<String, u64>,
    /// Protocol violations by kind.
    pub wrong: BTreeMap<String, u64>,
    /// Latencies from the intended arrival.
    pub latencies: Latencies,
    /// Latencies from the connect that succeeded.
    pub admitted: Latencies,
    /// Codes and the devices that entered with them.
    pub entered: Vec<(provbroker::core::model::ids::Code, String)>,
}

/// Results of a run.
pub struct Measured {
    /// By group.
    pub groups: Vec<GroupTotals>,
    /// Sum of all groups.
    pub total: GroupTotals,
    /// Seconds from start to last registration.
    pub seconds: f64,
    /// Seconds from start to end of the run.
    pub lasted: f64,
    /// Processor time of the servers, in seconds.
    pub cpu: Option<f64>,
    /// Processor time of the load processes, in seconds.
    pub load_cpu: f64,
    /// Resident memory of the servers before and after, in bytes.
    pub rss: Option<(u64, u64)>,
    /// Commands of the Redis.
    pub commands: Option<u64>,
    /// Members cut in the settle pause.
    pub cut_at_rest: u64,
    /// Members as the brokers count them after the settle pause.
    pub counted_members: Option<f64>,
    samples: Vec<Sample>,
}

impl ServerProbe<'_> {
    fn cpu(&self) -> anyhow::Result<Option<f64>> {
        let sum = self.servers.iter().map(Server::cpu).sum::<anyhow::Result<f64>>()?;
        Ok((!self.servers.is_empty()).then_some(sum))
    }

    fn rss(&self, of: fn(&Server) -> anyhow::Result<u64>) -> anyhow::Result<Option<u64>> {
        let sum = self.servers.iter().map(of).sum::<anyhow::Result<u64>>()?;
        Ok((!self.servers.is_empty()).then_some(sum))
    }

    fn count(&mut self) -> anyhow::Result<Option<u64>> {
        self.commands.as_mut().map(Commands::count).transpose()
    }

    fn members(&self) -> anyhow::Result<Option<f64>> {
        let each = self.servers.iter().map(|server| server.metric(MEMBERS)).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(if each.is_empty() { None } else { each.into_iter().sum() })
    }
}

/// Concurrent connects per process.
pub fn window(pool: &WorkerPool) -> usize {
    (WINDOW / pool.len().max(1)).max(1)
}

/// Lets the additional devices come and go, so that allocators have grown and store connections are open.
pub fn warm_up(pool: &mut WorkerPool, server_probe: &ServerProbe<'_>) -> anyhow::Result<()> {
    let window = window(pool);
    pool.order(&WorkerCommand::WarmUp { window }, Duration::from_secs(120))?;
    server_probe.servers.iter().try_for_each(|server| server.wait_for(MEMBERS, 0.0, 600))?;
    pool.pause(LINGER_AFTER_CLOSE)
}

/// Performs the run. All devices have left when it returns.
pub fn run(
    pool: &mut WorkerPool,
    plan: Plan,
    mut server_probe: ServerProbe<'_>,
    progress: &Progress,
) -> anyhow::Result<Measured> {
    let rss_before = server_probe.rss(Server::rss)?;
    let commands_before = server_probe.count()?;
    let (cpu_before, load_before) = (server_probe.cpu()?, pool.cpu()?);
    let (return_us, tick_us) = (micros(plan.return_after), micros(TICK));
    pool.send_to_all(&WorkerCommand::Go { return_us, tick_us, seed: plan.seed })?;
    let samples = follow(pool, plan, &mut server_probe, progress, (cpu_before, commands_before))?;
    let (cpu_after, load_after) = (server_probe.cpu()?, pool.cpu()?);
    let commands_after = server_probe.count()?;
    let (groups, total) = totals(pool)?;
    let (mut rss, mut cut_at_rest, mut counted_members) = (None, 0, None);
    if let Some(settle) = plan.settle {
        progress.say("devices are idle");
        pool.pause(settle)?;
        rss = rss_before.zip(server_probe.rss(Server::rss)?);
        counted_members = server_probe.members()?;
        let (_, rested) = totals(pool)?;
        cut_at_rest = rested.counts.dropped - total.counts.dropped;
    }
    pool.order(&WorkerCommand::Leave, Duration::from_secs(60))?;
    // Exact below 285 years.
    #[allow(clippy::cast_precision_loss)]
    let seconds = total.counts.last_us as f64 / 1e6;
    Ok(Measured {
        groups,
        total,
        seconds,
        lasted: samples.last().map_or(0.0, |sample| sample.at),
        cpu: cpu_before.zip(cpu_after).map(|(before, after)| after - before),
        load_cpu: load_after - load_before,
        rss,
        commands: commands_before.zip(commands_after).map(|(before, after)| after - before),
        cut_at_rest,
        counted_members,
        samples,
    })
}

/// Waits for the end of the run and samples the servers at each tick.
fn follow(
    pool: &mut WorkerPool,
    plan: Plan,
    server_probe: &mut ServerProbe<'_>,
    progress: &Progress,
    (mut cpu, commands_before): (Option<f64>, Option<u64>),
) -> anyhow::Result<Vec<Sample>> {
    let mut begun: BTreeMap<u64, (MergedTick, Latencies)> = BTreeMap::new();
    let mut samples: Vec<Sample> = Vec::new();
    let (mut all_came, mut reached) = (None, None);
    loop {
        let Some((_, Report::Tick(tick))) = pool.next(TICK)? else { continue };
        let number = tick.number;
        let (merged, latencies) = begun.entry(number).or_insert_with(|| (MergedTick::default(), Latencies::new()));
        merged.add(&tick);
        latencies.add(&tick.latencies);
        if merged.parts < pool.len() {
            continue;
        }
        merged.close(latencies);
        let merged = merged.clone();
        begun.remove(&number);
        // Ticks count quarters of a second.
        #[allow(clippy::cast_precision_loss)]
        let at = (number + 1) as f64 * TICK.as_secs_f64();
        let now = server_probe.cpu()?;
        let cpu_percent = now.zip(cpu).map(|(now, before)| (now - before) / TICK.as_secs_f64() * 100.0);
        cpu = now;
        let commands = server_probe.count()?.zip(commands_before).map(|(now, before)| now - before);
        let rss = server_probe.rss(Server::rss_now)?;
        progress.show(merged.registered, merged.failed, merged.open, merged.p99);
        let over = match plan.goal {
            Some(goal) => merged.registered >= goal,
            None => merged.to_come == 0 && merged.open == merged.members && merged.waiting == 0,
        };
        if merged.to_come == 0 && all_came.is_none() {
            all_came = Some(at);
        }
        samples.push(Sample { at, tick: merged, cpu_percent, rss, commands });
        if over && reached.is_none() {
            reached = Some(at);
        }
        // Leaves time for a second device to enter with the same code, which must not happen.
        let grace = plan.goal.map_or(0.0, |_| 2.0 * plan.return_after.as_secs_f64());
        let late = all_came.is_some_and(|came| at > came + plan.limit.as_secs_f64());
        if reached.is_some_and(|reached| at >= reached + grace) || late {
            return Ok(samples);
        }
    }
}

impl MergedTick {
    fn add(&mut self, tick: &Tick) {
        self.parts += 1;
        self.registered += tick.registered;
        self.failed += tick.failed;
        self.open += tick.open;
        self.members += tick.members;
        self.waiting += tick.waiting;
        self.to_come += tick.to_come;
    }

    fn close(&mut self, latencies: &Latencies) {
        let [p50, p90, p99] = [50.0, 90.0, 99.0].map(|percent| latencies.percentile(percent));
        (self.p50, self.p90, self.p99, self.longest) = (p50, p90, p99, latencies.longest());
    }
}

impl GroupTotals {
    fn new() -> Self {
        Self {
            counts: Counts::default(),
            members: 0,
            lost: 0,
            failures: BTreeMap::new(),
            wrong: BTreeMap::new(),
            latencies: Latencies::new(),
            admitted: Latencies::new(),
            entered: Vec::new(),
        }
    }

    fn add(&mut self, outcome: &Outcome) {
        self.counts.add(&outcome.counts);
        self.members += outcome.members;
        self.lost += outcome.lost;
        for (into, from) in [(&mut self.failures, &outcome.failures), (&mut self.wrong, &outcome.wrong)] {
            for (what, count) in from {
                *into.entry(what.clone()).or_default() += count;
            }
        }
        self.latencies.add(&outcome.latencies);
        self.admitted.add(&outcome.admitted);
        self.entered.extend(outcome.entered.iter().cloned());
    }
}

fn totals(pool: &mut WorkerPool) -> anyhow::Result<(Vec<GroupTotals>, GroupTotals)> {
    let (mut groups, mut total) = (Vec::new(), GroupTotals::new());
    for outcomes in pool.outcomes()? {
        groups.resize_with(outcomes.len().max(groups.len()), GroupTotals::new);
        for (group, outcome) in groups.iter_mut().zip(&outcomes) {
            group.add(outcome);
            total.add(outcome);
        }
    }
    Ok((groups, total))
}

impl Measured {
    /// The samples for the report.
    pub fn samples(&self) -> Value {
        let each = self.samples.iter().map(|sample| {
            let tick = &sample.tick;
            json!({
                "at_s": sample.at,
                "registered": tick.registered,
                "failed": tick.failed,
                "open": tick.open,
                "p50_ms": tick.p50,
                "p90_ms": tick.p90,
                "p99_ms": tick.p99,
                "max_ms": tick.longest,
                "server_cpu_percent": sample.cpu_percent,
                "server_rss_kib": sample.rss.map(|bytes| bytes / 1024),
                "redis_commands": sample.commands,
            })
        });
        each.collect()
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
