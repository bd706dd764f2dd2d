//! The process runs out of file descriptors: members stay, connections that say nothing give way to new ones, and the
//! operations listener answers.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::broker::Keep;
use super::device::Device;
use super::users::{Learned, Users};
use super::wire::Wire;
use super::{LOOK, dropped, members, processor, ready, run};

const LIMIT: usize = 256;
const MEMBERS: usize = 100;
/// Connections that fit beside the members and the reserve.
const ROOM: usize = LIMIT - MEMBERS - 64;
/// A connection without an answer for this long is waiting.
const WAITS: Duration = Duration::from_secs(1);
/// How long descriptors are exhausted.
const SHORT: Duration = Duration::from_secs(3);

#[test]
#[ignore = "takes seconds, and all cores"]
fn running_out_of_descriptors() {
    let keep = Keep::redis();
    let broker = keep.start_under(&["prlimit", &format!("--nofile={LIMIT}")], &[]);
    run(async {
        let mut members = members(broker.addr, MEMBERS).await;
        let code = {
            let mut users = Users::login(broker.addr).await.unwrap();
            users.code(&mut Learned::default()).await.unwrap()
        };
        // Connections that only connect, more than there is room for. One that is sent away comes again.
        let mut fill = Vec::new();
        let filling = Instant::now();
        while fill.len() <= ROOM + 10 && filling.elapsed() < Duration::from_secs(20) {
            if let Ok(Ok(wire)) = timeout(WAITS, Wire::open(broker.addr, "/sysclients", None)).await {
                fill.push(wire);
            }
        }
        let (begun, before) = (Instant::now(), processor(&broker));
        let (mut gone, mut answers, mut looks) = (0, 0, 0);
        while begun.elapsed() < SHORT {
            gone = gone.max(dropped(&mut members).await);
            looks += 1;
            answers += u32::from(ready(&broker).await.is_some());
            sleep(LOOK).await;
        }
        let busy = processor(&broker) - before;
        // A device with a code gets in although nobody has gone.
        let (mut device, asked) = (Device::new(7_000, &code), Instant::now());
        let _late = loop {
            if let Ok(Ok(wire)) = timeout(WAITS, device.enter(broker.addr, None)).await {
                break wire;
            }
            assert!(asked.elapsed() < Duration::from_secs(20), "it is kept out");
        };
        let again = asked.elapsed();
        gone = gone.max(dropped(&mut members).await);
        println!(
            "{LIMIT} descriptors: {MEMBERS} members and {} others that were served; members dropped {gone}, \
             /readyz answered {answers} of {looks}, processor {busy} % of a core while short (in {SHORT:?}: {busy} ticks), \
             a device in after {again:?}",
            fill.len()
        );
        assert!(fill.len() > ROOM, "{} were served", fill.len());
        assert_eq!(gone, 0);
        // The reserve is for these connections and for the store.
        assert_eq!(answers, looks, "the operations listener answers all the time");
        assert!(again <= Duration::from_secs(5), "{again:?}");
    });
}
