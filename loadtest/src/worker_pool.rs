//! The load processes as seen by the coordinator: started, commanded, read, ended on every path.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::Instant;

use crate::servers::{POLL_EVERY, cpu};
use crate::worker_commands::{Group, Outcome, Report, Share, WorkerCommand};

/// A flag that asks the program to stop.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Sets the flag.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Fails if the flag is set.
    pub fn check(&self) -> anyhow::Result<()> {
        if self.0.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        Ok(())
    }
}

struct WorkerHandle {
    child: Child,
    orders: Option<ChildStdin>,
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Shares if every process takes part in every group.
pub fn shared(processes: usize, groups: usize) -> Vec<Vec<Option<Share>>> {
    (0..processes).map(|first| vec![Some(Share { first, step: processes }); groups]).collect()
}

/// Shares if each group has its own number of processes, so that the load of one group does not delay another.
pub fn apart(processes: &[usize]) -> Vec<Vec<Option<Share>>> {
    let groups = processes.len();
    let of_group = |(group, step): (usize, &usize)| {
        let step = *step;
        (0..step).map(move |first| (0..groups).map(|index| (index == group).then_some(Share { first, step })).collect())
    };
    processes.iter().enumerate().flat_map(of_group).collect()
}

/// The load processes.
pub struct WorkerPool {
    workers: Vec<WorkerHandle>,
    reports: Receiver<(usize, Report)>,
    interrupt: Interrupt,
}

impl WorkerPool {
    /// Starts the processes and sends each its shares: per process, one per group.
    pub fn start(
        shares: &[Vec<Option<Share>>],
        run: u64,
        groups: &[Group],
        interrupt: &Interrupt,
    ) -> anyhow::Result<Self> {
        let (send, reports) = channel();
        let mut pool = Self { workers: Vec::new(), reports, interrupt: interrupt.clone() };
        for (worker, shares) in shares.iter().enumerate() {
            let mut child = Command::new(std::env::current_exe()?)
                .arg("worker")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .context("cannot start a load process")?;
            let (orders, output) = (child.stdin.take(), child.stdout.take());
            pool.workers.push(WorkerHandle { child, orders });
            let output = BufReader::new(output.context("no standard output")?);
            let send = send.clone();
            std::thread::spawn(move || {
                for line in output.lines().map_while(Result::ok) {
                    let report = serde_json::from_str(&line).unwrap_or_else(|error| Report::Failed(error.to_string()));
                    if send.send((worker, report)).is_err() {
                        return;
                    }
                }
                let _ = send.send((worker, Report::Failed("a load process has ended".into())));
            });
            let groups = groups.iter().cloned().zip(shares.iter().copied()).collect();
            pool.send(worker, &WorkerCommand::Play { run, groups })?;
        }
        pool.done(Duration::from_secs(60))?;
        Ok(pool)
    }

    /// Waits; reports received meanwhile are dropped.
    pub fn pause(&mut self, time: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.next(POLL_EVERY)?;
        }
        Ok(())
    }

    /// Number of processes.
    pub fn len(&self) -> usize {
        self.workers.len()
    }

    /// Sends a command to one process.
    fn send(&mut self, worker: usize, order: &WorkerCommand) -> anyhow::Result<()> {
        let orders = self.workers[worker].orders.as_mut().context("no standard input")?;
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        orders.write_all(&line).context("a load process has ended")
    }

    /// Sends a command to all processes.
    pub fn send_to_all(&mut self, order: &WorkerCommand) -> anyhow::Result<()> {
        (0..self.workers.len()).try_for_each(|worker| self.send(worker, order))
    }

    /// Sends a command to all processes and waits until all have done it.
    pub fn order(&mut self, order: &WorkerCommand, limit: Duration) -> anyhow::Result<()> {
        self.send_to_all(order)?;
        self.done(limit)
    }

    fn done(&mut self, limit: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + limit;
        let mut open = self.workers.len();
        while open > 0 {
            if Instant::now() > end {
                bail!("devices were not done within {} s", limit.as_secs());
            }
            if let Some((_, Report::Done)) = self.next(POLL_EVERY)? {
                open -= 1;
            }
        }
        Ok(())
    }

    /// The next report, or `None` if there is none within this time.
    pub fn next(&mut self, wait: Duration) -> anyhow::Result<Option<(usize, Report)>> {
        self.interrupt.check()?;
        match self.reports.recv_timeout(wait) {
            Ok((worker, Report::Failed(why))) => bail!("load process {worker}: {why}"),
            Ok(report) => Ok(Some(report)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("the load processes have ended"),
        }
    }

    /// The results of all groups, by process. Ticks received meanwhile are dropped.
    pub fn outcomes(&mut self) -> anyhow::Result<Vec<Vec<Outcome>>> {
        self.send_to_all(&WorkerCommand::ReportOutcome)?;
        let mut outcomes = Vec::new();
        while outcomes.len() < self.workers.len() {
            if let Some((_, Report::Outcome(outcome))) = self.next(POLL_EVERY)? {
                outcomes.push(outcome);
            }
        }
        Ok(outcomes)
    }

    /// Processor time of all processes so far, in seconds.
    pub fn cpu(&self) -> anyhow::Result<f64> {
        self.workers.iter().map(|worker| cpu(worker.child.id())).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_is_played_once() {
        for (shares, groups) in [(shared(3, 2), 2), (apart(&[2, 1]), 2), (shared(1, 1), 1)] {
            for group in 0..groups {
                let mut played: Vec<usize> = shares
                    .iter()
                    .filter_map(|worker| worker[group])
                    .flat_map(|share| (share.first..10).step_by(share.step))
                    .collect();
                played.sort_unstable();
                assert_eq!(played, (0..10).collect::<Vec<_>>());
            }
        }
        assert!(apart(&[2, 1]).iter().all(|worker| worker.iter().flatten().count() == 1), "nobody plays in two groups");
    }
}
