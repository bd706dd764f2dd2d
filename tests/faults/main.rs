//! Faults of what is around the broker, with figures: how long it takes, how much it holds, how many are dropped. The broker is
//! a process of its own, the sockets are real.
//!
//! Ignored by default, because they take seconds and want the machine for themselves:
//! `cargo test --test faults -- --ignored --nocapture --test-threads 1`. They wait as long as the fault itself lasts, and ask
//! again and again for what is measured.

// The helpers of a test are tests: clippy excuses only the functions that are marked.
#![allow(clippy::unwrap_used, clippy::expect_used)]

// These belong to the tests of kills, which use the rest of them.
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

/// Between two looks at something that is measured.
const LOOK: Duration = Duration::from_millis(50);

/// Runs an asynchronous test on this thread.
fn run<T>(test: impl Future<Output = T>) -> T {
    // A few thousand sockets are more than a process may have by default.
    let own = std::process::id().to_string();
    let _ = Command::new("prlimit").args(["--pid", &own, "--nofile=8192:"]).status();
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

/// Devices that have entered by codes and for which nothing is left to do.
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

/// Takes the next frame as a phone with a web server does. Whether it was the end of a request.
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

/// How many of the members are not there any more.
async fn dropped(members: &mut [(Device, Wire)]) -> usize {
    join_all(members.iter_mut().map(|(_, wire)| quiet(wire))).await.iter().filter(|there| there.is_err()).count()
}

/// The status that `/readyz` answers; `None` if it does not within a second.
async fn ready(broker: &Process) -> Option<u16> {
    let ask = async {
        let mut wire = Wire::connect(broker.ops).await?;
        wire.write(b"GET /readyz HTTP/1.1\r\nHost: broker.example\r\nConnection: close\r\n\r\n").await?;
        wire.head().await
    };
    let head = tokio::time::timeout(Duration::from_secs(1), ask).await.ok()?.ok()?;
    head[9..12].parse().ok()
}

/// Devices that are connected now.
async fn connected(broker: &Process) -> u64 {
    metric(broker.ops, "provbroker_connections{peer=\"device\"}").await
}

/// A line of `/proc/PID/status`, in KiB.
fn memory(broker: &Process, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", broker.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

/// Processor time that it has used, in hundredths of a second.
fn processor(broker: &Process) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", broker.pid())).unwrap();
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
