//! Peers that are not there any more although their connections are: nobody answers the pings. The kernel of a frozen process
//! still acknowledges every byte, so only the missing pongs tell.

use std::time::Duration;

use futures_util::future::join_all;
use provbroker::config::Config;
use tokio::time::{Instant, sleep};

use super::broker::Keep;
use super::device::Device;
use super::wire::{Wire, metric};
use super::{LOOK, connected, dropped, members, run, serve};

const FROZEN: usize = 20;
const LIVING: usize = 20;
const DEAD_AFTER: Duration = Duration::from_secs(6);

#[test]
#[ignore = "takes seconds, and all cores"]
fn who_answers_no_ping_is_cut_in_time() {
    assert!(Config::default().devices.dead_after <= Duration::from_secs(90), "what holds by default");
    let keep = Keep::embedded();
    let broker = keep.start(&[("devices.ping_every", "2s"), ("devices.dead_after", "6s")]);
    run(async {
        let mut members = members(broker.addr, FROZEN + LIVING).await;
        // Everybody is heard of once more, so that the time begins here.
        assert_eq!(dropped(&mut members).await, 0);
        let begun = Instant::now();
        let frozen: Vec<(Device, Wire)> = members.split_off(LIVING);
        let first_and_last = async {
            let (mut first, mut left) = (None, FROZEN + LIVING);
            while left > LIVING {
                sleep(LOOK).await;
                left = usize::try_from(connected(&broker).await).unwrap();
                if left < FROZEN + LIVING {
                    first.get_or_insert_with(|| begun.elapsed());
                }
                assert!(begun.elapsed() < 3 * DEAD_AFTER, "{left} are still there");
            }
            (first.unwrap(), begun.elapsed())
        };
        let living = join_all(members.iter_mut().map(|(_, wire)| async { while serve(wire).await.is_ok() {} }));
        let (first, last) = tokio::select! {
            times = first_and_last => times,
            _ = living => panic!("who answers is not cut"),
        };
        let silent = metric(broker.ops, "provbroker_device_closes_total{reason=\"silent\"}").await;
        let gone = dropped(&mut members).await;
        println!(
            "half-open, dead_after {DEAD_AFTER:?}: {silent} of {FROZEN} cut after {first:?} to {last:?}, others dropped {gone}"
        );
        drop(frozen);
        assert_eq!((silent, gone), (FROZEN as u64, 0));
        assert!(
            first + Duration::from_secs(1) >= DEAD_AFTER && last <= DEAD_AFTER + Duration::from_secs(3),
            "{last:?}"
        );
    });
}
