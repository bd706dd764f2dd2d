//! `loadtest storm`, `steady` and `mixed`: known devices connect in different patterns.
//!
//! All three let the devices enter, restart the brokers, warm them up and run the arrivals; they differ in groups and
//! report.

use std::time::Duration;

use anyhow::{bail, ensure};

use crate::arrival::Arrival;
use crate::figures::{self, Check, Figures};
use crate::progress::Progress;
use crate::servers::testbed::{Tenant, Testbed, floors};
use crate::settings::{Against, Arguments, Kind, Settings};
use crate::trial::{self, Measured, Plan, ServerProbe};
use crate::worker_commands::{Group, WorkerCommand};
use crate::worker_pool::{Interrupt, WorkerPool, apart, shared};

/// Most devices per load process, given 20 000 descriptors.
const PER_PROCESS: usize = 15_000;

/// Number of devices that only warm up the brokers.
const WARM_UP: usize = 500;

/// Last octets of the source addresses; one address has only about 28 000 ports.
pub const SOURCES: (u8, u8) = (2, 32);

/// Runs and reports. Fails if a check fails.
pub fn run(kind: Kind, arguments: &Arguments, interrupt: &Interrupt) -> anyhow::Result<()> {
    let settings = arguments.settings(kind)?;
    let mut groups = groups(kind, &settings)?;
    let devices: usize = groups.iter().map(|(group, _)| group.devices + group.warm_up).sum();
    let domains = groups.iter().map(|(_, domains)| domains).sum();
    let run = run_number();
    let mut testbed = Testbed::set_up(&settings, devices, domains, run)?;
    let mut tenants = testbed.tenants.iter().cycle();
    for (group, domains) in &mut groups {
        group.paths = tenants.by_ref().take(*domains).map(|tenant: &Tenant| tenant.path.clone()).collect();
        // Loopback source addresses reach only loopback servers.
        group.sources = group.sources.filter(|_| testbed.addresses().iter().all(|server| server.ip().is_loopback()));
    }
    let groups: Vec<Group> = groups.into_iter().map(|(group, _)| group).collect();
    let arrivals: usize = groups.iter().map(|group| group.arrivals).sum();
    let shares = match (kind, settings.processes) {
        // Each group gets its own processes, so that the load of one does not delay another.
        (Kind::Mixed, None) => {
            apart(&groups.iter().map(|group| processes(&settings, group.devices)).collect::<Vec<_>>())
        }
        _ => shared(processes(&settings, devices), groups.len()),
    };
    let mut pool = WorkerPool::start(&shares, run, &groups, interrupt)?;
    let plan = plan(&settings, kind);

    let progress = Progress::start("entering", arrivals);
    pool.order(&testbed.target(), Duration::from_secs(10))?;
    let patience = Duration::from_secs(60 + devices as u64 / 100);
    // The first pass hands out passwords, the second proves them: then the devices are known.
    for _ in 0..2 {
        pool.order(&WorkerCommand::Enter { window: trial::window(&pool) }, patience)?;
    }
    testbed.restart()?;
    pool.order(&testbed.target(), Duration::from_secs(10))?;
    progress.say("warming up");
    trial::warm_up(&mut pool, &server_probe(&testbed)?)?;
    drop(progress);
    let progress = Progress::start("broker", arrivals);
    let broker = trial::run(&mut pool, plan, server_probe(&testbed)?, &progress)?;
    drop(progress);
    let nodes = testbed.brokers().len();
    testbed.stop_brokers();

    let floor = match settings.against {
        Some(Against::Floor) => {
            let servers = floors(nodes, settings.workers.unwrap_or(1))?;
            let addresses = servers.iter().map(|server| server.address).collect();
            pool.order(
                &WorkerCommand::SetServers { servers: addresses, floor: true, tls: None },
                Duration::from_secs(10),
            )?;
            trial::warm_up(&mut pool, &ServerProbe { servers: &servers, commands: None })?;
            let progress = Progress::start("floor", arrivals);
            Some(trial::run(&mut pool, plan, ServerProbe { servers: &servers, commands: None }, &progress)?)
        }
        None => None,
    };
    drop(pool);
    let scenario = Settings::title(arguments.scenario.as_deref(), name(kind));
    let mut checks = checks(kind, &groups, &broker);
    if settings.tls_resume {
        let (resumed, all) = (broker.total.counts.resumed, broker.total.counts.registered);
        checks.push(Check::new("sessions are resumed", resumed == all, format!("{resumed} of {all}")));
    }
    let (broker, floor, more) = (&broker, floor.as_ref(), serde_json::Value::Null);
    let figures = Figures { scenario, groups: &groups, broker, floor, checks, more };
    figures::report(&figures, &settings)
}

/// The name of the subcommand.
pub const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Storm => "storm",
        Kind::Steady => "steady",
        Kind::Mixed => "mixed",
        Kind::Rollout => "rollout",
    }
}

/// The brokers of a testbed and their Redis.
pub fn server_probe(testbed: &Testbed) -> anyhow::Result<ServerProbe<'_>> {
    Ok(ServerProbe { servers: testbed.brokers(), commands: testbed.commands()? })
}

/// Number of load processes.
pub fn processes(settings: &Settings, devices: usize) -> usize {
    settings.processes.unwrap_or_else(|| devices.div_ceil(PER_PROCESS)).max(1)
}

/// The plan of a run by the settings.
pub fn plan(settings: &Settings, kind: Kind) -> Plan {
    let settle = Settings::time(settings.settle, 15);
    Plan {
        return_after: Settings::time(settings.return_after, 2),
        // If devices come and go, memory per device cannot be measured.
        settle: (kind == Kind::Storm && !settle.is_zero()).then_some(settle),
        limit: Settings::time(settings.limit, 120),
        goal: None,
        seed: settings.seed.unwrap_or(1),
    }
}

/// A unique number of this run, for names in a store that is not emptied: seconds and process.
pub fn run_number() -> u64 {
    // It only has to be unique.
    #[allow(clippy::disallowed_methods)]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    now << 22 | u64::from(std::process::id())
}

/// The groups, without paths yet, and the number of domains of each.
fn groups(kind: Kind, settings: &Settings) -> anyhow::Result<Vec<(Group, usize)>> {
    let devices = settings.devices();
    ensure!(devices > 0, "no devices");
    let own = !settings.domains.is_some_and(|domains| domains > 1 && settings.url.is_some());
    ensure!(own, "--url takes one --domain");
    let domains = settings.domains.unwrap_or(1).max(1);
    let group = Group {
        name: name(kind).to_owned(),
        devices,
        warm_up: WARM_UP.min(devices),
        paths: Vec::new(),
        admin_password: None,
        sources: Some(SOURCES),
        arrival: settings.arrival.unwrap_or(Arrival::AtOnce),
        arrivals: devices,
        after_us: 0,
        stay_us: None,
        codes: Vec::new(),
    };
    Ok(match kind {
        Kind::Storm => vec![(group, domains)],
        Kind::Steady => vec![(steady(group, settings)?, domains)],
        Kind::Mixed => {
            if settings.groups.is_empty() {
                bail!("groups are needed: give a scenario file with --scenario FILE");
            }
            let some = settings.groups.iter().enumerate().map(|(index, its)| {
                let group = Group {
                    name: its.name.clone(),
                    devices: its.devices,
                    warm_up: if index == 0 { WARM_UP.min(its.devices) } else { 0 },
                    sources: Some(its.sources.unwrap_or(SOURCES)),
                    arrival: its.arrival,
                    arrivals: its.arrivals.unwrap_or(its.devices),
                    after_us: its.after.map_or(0, |after| micros(after.0)),
                    stay_us: its.stay.map(|stay| micros(stay.0)),
                    ..group.clone()
                };
                (group, its.domains.max(1))
            });
            some.collect()
        }
        Kind::Rollout => bail!("a roll-out has no known devices"),
    })
}

fn steady(group: Group, settings: &Settings) -> anyhow::Result<Group> {
    let rate = settings.rate.unwrap_or(500.0);
    ensure!(rate.is_finite() && rate > 0.0, "--rate must be above 0");
    let lasting = Settings::time(settings.lasting, 30).as_secs_f64();
    // Small: rate times duration of a run.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let arrivals = (rate * lasting).max(1.0) as usize;
    #[allow(clippy::cast_precision_loss)]
    let turn = Duration::from_secs_f64(group.devices as f64 / rate);
    let stay = settings.stay.map_or(turn / 2, |stay| stay.0);
    let arrival = settings.arrival.unwrap_or(Arrival::Constant(rate));
    Ok(Group { arrival, arrivals, stay_us: Some(micros(stay)), ..group })
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn checks(kind: Kind, groups: &[Group], measured: &Measured) -> Vec<Check> {
    let total = &measured.total;
    let wrong: u64 = total.wrong.values().sum();
    let mut checks = vec![
        Check::new(
            "every device is where it belongs",
            wrong == 0,
            if wrong == 0 {
                "each in its domain, by its own password".to_owned()
            } else {
                format!("{:?}", total.wrong)
            },
        ),
        Check::new("no device is stuck", total.lost == 0, format!("{} neither registered nor gone", total.lost)),
        Check::new("no member is cut", total.counts.dropped == 0, format!("{} cut in the run", total.counts.dropped)),
    ];
    if kind == Kind::Storm {
        let devices: usize = groups.iter().map(|group| group.devices).sum();
        let registered = total.members == devices as u64;
        checks.push(Check::new("all are registered", registered, format!("{} of {devices}", total.members)));
        checks.push(Check::new(
            "idle members stay",
            measured.cut_at_rest == 0,
            format!("{} cut in the settle pause", measured.cut_at_rest),
        ));
    }
    if let Some(counted) = measured.counted_members {
        // Exact: a number of devices.
        #[allow(clippy::cast_precision_loss)]
        let same = (counted - total.members as f64).abs() < 0.5;
        checks.push(Check::new("the brokers count the same members", same, format!("{counted} by /metrics")));
    }
    checks
}
