//! Members that never read: closed in time, with little memory held for them.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::broker::Keep;
use super::wire::frame;
use super::{Wire, dropped, members, memory, run};

const DEAF: usize = 50;
const LIVING: usize = 20;
/// Memory that the broker may hold for each, in KiB, without the socket buffers of the kernel.
const ALLOWED_KIB: u64 = 64;

/// Sends pings and reads none of the answers until the connection ends; returns how long that took.
async fn flood(wire: &mut Wire, pings: &[u8]) -> Duration {
    let begun = Instant::now();
    while wire.write(pings).await.is_ok() {}
    begun.elapsed()
}

#[test]
#[ignore = "measures memory"]
fn a_member_that_never_reads_is_closed_and_takes_little_memory() {
    let keep = Keep::embedded();
    let broker = keep.start(&[]);
    run(async {
        let mut members = members(broker.addr, LIVING + 2 * DEAF).await;
        let pings = frame(9, &[b'p'; 125]).repeat(100);
        let mut figures = Vec::new();
        // The first run allocates memory that the second run reuses.
        for _ in 0..2 {
            let deaf = members.len() - DEAF;
            let mut deaf = members.split_off(deaf);
            std::fs::write(format!("/proc/{}/clear_refs", broker.pid()), "5").unwrap();
            let before = memory(&broker, "VmHWM");
            let mut times = join_all(deaf.iter_mut().map(|(_, wire)| flood(wire, &pings))).await;
            times.sort_unstable();
            let grown = memory(&broker, "VmHWM").saturating_sub(before);
            figures.push((times[0], times[DEAF - 1], grown, grown / DEAF as u64));
        }
        let gone = dropped(&mut members).await;
        for (first, last, grown, each) in &figures {
            println!(
                "{DEAF} peers that never read: cut after {first:?} to {last:?}; {grown} KiB at the highest, {each} KiB each; \
                 others dropped {gone} of {LIVING}"
            );
        }
        let (_, last, _, each) = figures[1];
        assert_eq!(gone, 0);
        assert!(last <= Duration::from_secs(30), "{last:?}");
        assert!(each <= ALLOWED_KIB, "{each} KiB each");
    });
}
