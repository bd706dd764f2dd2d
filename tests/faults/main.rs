//! Faults around the broker, measured: duration, memory, dropped connections. The broker is a separate process, the
//! sockets are real.
//!
//! Ignored by default, because they take seconds and need the machine for themselves: `cargo test --test faults --
//! --ignored --nocapture --test-threads 1`. They only wait for the duration of the fault itself, and poll for what is
//! measured.

// Helper functions may fail like tests; clippy only excuses functions marked as tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

// Shared with the tests of kills, which use the remaining functions.
#[allow(dead_code)]
#[path = "../kills/broker.rs"]
mod broker;
#[allow(dead_code)]
#[path = "../kills/device.rs"]
mod device;
#[allow(dead_code)]
#[path = "../kills/fuse.rs"]
mod fuse;
#[path = "../support/redis_server.rs"]
mod redis_server;
#[allow(dead_code)]
#[path = "../kills/users.rs"]
mod users;
#[allow(dead_code)]
#[path = "../kills/wire.rs"]
mod wire;

mod descriptors;
mod half_open;
mod log_lines;
mod never_reads;
mod stop;
mod store_stopped;

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use futures_util::future::join_all;

use broker::Process;
use device::{Device, quiet};
use users::{Learned, Users};
use wire::{Frame, Gone, Wire, metric};

/// Devices that enter at the same time.
const AT_ONCE: usize = 50;

/// Lines of the clean-up after an entry (`docs/protocol/sysclient.md` 5.2).
const CLEAN_UP: usize = 5;

/// Interval of polling.
const LOOK: Duration = Duration::from_millis(50);

/// Runs an asynchronous test on this thread.
fn run<T>(test: impl Future<Output = T>) -> T {
    // The default limit of open files is too low for a few thousand sockets.
    let own = std::process::id().to_string();
    let _ = Command::new("prlimit").args(["--pid", &own, "--nofile=8192:"]).status();
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

/// Devices that have entered by codes and whose work is done.
async fn members(to: SocketAddr, many: usize) -> Vec<(Device, Wire)> {
    let mut users = Users::login(to).await.unwrap();
    let codes = users.codes(many, &mut Learned::default()).await.unwrap();
    let mut devices: Vec<_> = codes.iter().zip(1..).map(|(code, number)| Device::new(number, code)).collect();
    let mut members = Vec::new();
    for some in devices.chunks_mut(AT_ONCE) {
        members.extend(
            join_all(some.iter_mut().map(|device| async {
                let mut wire = device.enter(to, None).await.unwrap();
                let mut over = 0;
                while over < CLEAN_UP {
                    over += usize::from(serve(&mut wire).await.unwrap());
                }
                (device.clone(), wire)
            }))
            .await,
        );
    }
    members
}

/// Handles the next frame like a phone with a web server. Returns whether it was the end of a request.
async fn serve(wire: &mut Wire) -> wire::Result<bool> {
    match wire.next().await? {
        Frame::Ping(payload) => wire.send(10, &payload).await?,
        Frame::Binary(message) if message[0] == 2 => {
            let (event, data): (u8, &[u8]) = match message[8] {
                0 => (3, b""),
                1 => (2, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
                _ => (4, b""),
            };
            wire.send(2, &[&message[..5], &[0, 0, 0, event], data].concat()).await?;
            return Ok(event == 4);
        }
        other => panic!("a request or a ping, not {other:?}"),
    }
    Ok(false)
}

/// How many members were dropped.
async fn dropped(members: &mut [(Device, Wire)]) -> usize {
    join_all(members.iter_mut().map(|(_, wire)| quiet(wire))).await.iter().filter(|there| there.is_err()).count()
}

/// The status of `/readyz`; `None` without an answer within a second.
async fn ready(broker: &Process) -> Option<u16> {
    let ask = async {
        let mut wire = Wire::connect(broker.ops).await?;
        wire.write(b"GET /readyz HTTP/1.1\r\nHost: broker.example\r\nConnection: close\r\n\r\n").await?;
        wire.head().await
    };
    let head = tokio::time::timeout(Duration::from_secs(1), ask).await.ok()?.ok()?;
    head[9..12].parse().ok()
}

/// Number of connected devices.
async fn connected(broker: &Process) -> u64 {
    metric(broker.ops, "provbroker_connections{peer=\"device\"}").await
}

/// A line of `/proc/PID/status`, in KiB.
fn memory(broker: &Process, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", broker.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

/// Processor time used, in hundredths of a second.
fn processor(broker: &Process) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", broker.pid())).unwrap();
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
