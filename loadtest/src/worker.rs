//! A load process: simulates its share of the devices on one thread, by commands from standard input.
//!
//! One poll waits for sockets, commands and timers, so a device costs only its traffic. The device protocol is in
//! [`device`](crate::device), the life of devices in [`fleet`].

mod device_socket;
mod fleet;
mod tls;

use std::io::{BufRead as _, Write as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use anyhow::Context as _;
use mio::{Events, Poll, Token, Waker};
use tokio::time::Instant;

use crate::worker_commands::{Report, WorkerCommand};
use fleet::Fleet;

/// Poll token of commands; devices use tokens from 0.
const ORDERS: Token = Token(usize::MAX);

/// Most connections started between two polls.
const BEGIN_AT_ONCE: usize = 32;

/// Events per poll.
const EVENTS: usize = 1024;

/// Runs until standard input ends, as it does when the coordinator is gone.
pub fn run() -> anyhow::Result<()> {
    let mut poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), ORDERS)?);
    let (sender, orders) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(serde_json::from_str::<WorkerCommand>(&line)).is_err() || waker.wake().is_err() {
                return;
            }
        }
        drop(sender);
        let _ = waker.wake();
    });
    let played = play(&mut poll, &orders);
    if let Err(error) = &played {
        write_report(&Report::Failed(format!("{error:#}")))?;
    }
    played
}

fn play(poll: &mut Poll, orders: &Receiver<serde_json::Result<WorkerCommand>>) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut events = Events::with_capacity(EVENTS);
    let mut fleet = Fleet::new(poll.registry().try_clone()?);
    loop {
        loop {
            match orders.try_recv() {
                Ok(order) => {
                    let order = order.context("an unreadable command")?;
                    if let Some(report) = fleet.execute(order, micros(start))? {
                        write_report(&report)?;
                    }
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
        let next = fleet.advance(micros(start), BEGIN_AT_ONCE);
        for report in fleet.reports() {
            write_report(&report)?;
        }
        let wait = next.map(|at| Duration::from_micros(at.saturating_sub(micros(start))));
        match poll.poll(&mut events, wait) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            result => result.context("waiting for events")?,
        }
        let now = micros(start);
        for event in &events {
            if event.token() != ORDERS {
                let over = event.is_read_closed() || event.is_error();
                fleet.ready(event.token().0, event.is_readable() || over, event.is_writable(), over, now);
            }
        }
    }
}

fn micros(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn write_report(report: &Report) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, report)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}
