//! The load processes as the coordinator sees them: started, told, listened to, ended on every path.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::Instant;

use crate::orders::{Group, Order, Outcome, Report};
use crate::servers::{LOOK, cpu};

/// Somebody wants the program to end.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// It is to end.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// An error if it is to end.
    pub fn check(&self) -> anyhow::Result<()> {
        if self.0.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        Ok(())
    }
}

struct Hand {
    child: Child,
    orders: Option<ChildStdin>,
}

impl Drop for Hand {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The load processes.
pub struct Crew {
    hands: Vec<Hand>,
    reports: Receiver<(usize, Report)>,
    interrupt: Interrupt,
}

impl Crew {
    /// Starts them and gives each its share of the groups.
    pub fn start(processes: usize, run: u64, groups: &[Group], interrupt: &Interrupt) -> anyhow::Result<Self> {
        let (tell, reports) = channel();
        let mut crew = Self { hands: Vec::new(), reports, interrupt: interrupt.clone() };
        for share in 0..processes {
            let mut child = Command::new(std::env::current_exe()?)
                .arg("worker")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .context("cannot start a load process")?;
            let (orders, output) = (child.stdin.take(), child.stdout.take());
            crew.hands.push(Hand { child, orders });
            let output = BufReader::new(output.context("no standard output")?);
            let tell = tell.clone();
            std::thread::spawn(move || {
                for line in output.lines().map_while(Result::ok) {
                    let report = serde_json::from_str(&line).unwrap_or_else(|error| Report::Failed(error.to_string()));
                    if tell.send((share, report)).is_err() {
                        return;
                    }
                }
                let _ = tell.send((share, Report::Failed("a load process has ended".into())));
            });
            crew.tell(share, &Order::Play { run, share, shares: processes, groups: groups.to_vec() })?;
        }
        crew.done(Duration::from_secs(60))?;
        Ok(crew)
    }

    /// A pause; what the processes say in the meantime is dropped.
    pub fn pause(&mut self, time: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.next(LOOK)?;
        }
        Ok(())
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.hands.len()
    }

    /// Tells one.
    fn tell(&mut self, hand: usize, order: &Order) -> anyhow::Result<()> {
        let orders = self.hands[hand].orders.as_mut().context("no standard input")?;
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        orders.write_all(&line).context("a load process has ended")
    }

    /// Tells all.
    pub fn tell_all(&mut self, order: &Order) -> anyhow::Result<()> {
        (0..self.hands.len()).try_for_each(|hand| self.tell(hand, order))
    }

    /// Tells all and waits until all have done it.
    pub fn order(&mut self, order: &Order, limit: Duration) -> anyhow::Result<()> {
        self.tell_all(order)?;
        self.done(limit)
    }

    fn done(&mut self, limit: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + limit;
        let mut open = self.hands.len();
        while open > 0 {
            if Instant::now() > end {
                bail!("devices did not come in within {} s", limit.as_secs());
            }
            if let Some((_, Report::Done)) = self.next(LOOK)? {
                open -= 1;
            }
        }
        Ok(())
    }

    /// The next report, or `None` if there is none for so long.
    pub fn next(&mut self, wait: Duration) -> anyhow::Result<Option<(usize, Report)>> {
        self.interrupt.check()?;
        match self.reports.recv_timeout(wait) {
            Ok((hand, Report::Failed(why))) => bail!("load process {hand}: {why}"),
            Ok(report) => Ok(Some(report)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("the load processes have ended"),
        }
    }

    /// How things stand: for each process its groups. Ticks that come in the meantime are lost.
    pub fn outcomes(&mut self) -> anyhow::Result<Vec<Vec<Outcome>>> {
        self.tell_all(&Order::Tell)?;
        let mut outcomes = Vec::new();
        while outcomes.len() < self.hands.len() {
            if let Some((_, Report::Outcome(outcome))) = self.next(LOOK)? {
                outcomes.push(outcome);
            }
        }
        Ok(outcomes)
    }

    /// Processor time of all so far in seconds.
    pub fn cpu(&self) -> anyhow::Result<f64> {
        self.hands.iter().map(|hand| cpu(hand.child.id())).sum()
    }
}
