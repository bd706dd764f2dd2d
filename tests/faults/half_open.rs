//! Half-open connections: the peer is gone and answers no pings. The kernel of a frozen process still acknowledges
//! every byte, so only the missing pongs reveal it.

use std::time::Duration;

use futures_util::future::join_all;
use provbroker::config::Config;
use tokio::time::{Instant, sleep};

use super::broker::{Keep, Process};
use super::device::Device;
use super::wire::{Wire, metric};
use super::{LOOK, connected, dropped, members, run, serve};

const FROZEN: usize = 20;
const LIVING: usize = 20;
const DEAD_AFTER: Duration = Duration::from_secs(6);

#[test]
#[ignore = "takes seconds, and all cores"]
fn half_open_connections_are_closed_in_time() {
    assert!(Config::default().devices.dead_after <= Duration::from_secs(90), "what holds by default");
    let keep = Keep::embedded();
    let broker = keep.start(&[("devices.ping_every", "2s"), ("devices.dead_after", "6s")]);
    run(async {
        let mut members = members(broker.addr, FROZEN + LIVING).await;
        // Every member sends once more, so that the time starts here.
        assert_eq!(dropped(&mut members).await, 0);
        let begun = Instant::now();
        let frozen: Vec<(Device, Wire)> = members.split_off(LIVING);
        let watch = async {
            let mut noticed = None;
            loop {
                sleep(LOOK).await;
                assert!(begun.elapsed() < 3 * DEAD_AFTER, "not all are cut");
                if noticed.is_none() && silent(&broker).await == FROZEN as u64 {
                    noticed = Some(begun.elapsed());
                }
                if connected(&broker).await == LIVING as u64 {
                    return (noticed.unwrap(), begun.elapsed());
                }
            }
        };
        let living = join_all(members.iter_mut().map(|(_, wire)| async { while serve(wire).await.is_ok() {} }));
        let (noticed, closed) = tokio::select! {
            times = watch => times,
            _ = living => panic!("who answers is not cut"),
        };
        let gone = dropped(&mut members).await;
        println!(
            "half-open, dead_after {DEAD_AFTER:?}: {FROZEN} of {FROZEN} members noticed after {noticed:?}, their sockets closed \
             after {closed:?}, others dropped {gone}"
        );
        drop(frozen);
        assert_eq!((silent(&broker).await, gone), (FROZEN as u64, 0));
        assert!(noticed + Duration::from_secs(1) >= DEAD_AFTER, "{noticed:?}");
        assert!(noticed <= DEAD_AFTER + Duration::from_secs(1), "{noticed:?}");
        // The sockets linger for `devices.close_wait`, so that a slow peer can read the reason.
        assert!(closed <= DEAD_AFTER + Duration::from_secs(4), "{closed:?}");
    });
}

/// How many connections were closed for silence.
async fn silent(broker: &Process) -> u64 {
    metric(broker.ops, "provbroker_device_closes_total{reason=\"silent\"}").await
}
