//! The process runs out of file descriptors: existing connections stay, new ones are refused, and it recovers by
//! itself.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::broker::Keep;
use super::device::Device;
use super::users::{Learned, Users};
use super::wire::Wire;
use super::{LOOK, dropped, members, processor, ready, run};

const LIMIT: usize = 256;
const MEMBERS: usize = 100;
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
        let mut fill = Vec::new();
        let mut refused = None;
        while refused.is_none() {
            // Connections that only connect hold descriptors until the time limit of the first message.
            match timeout(WAITS, Wire::open(broker.addr, "/sysclients", None)).await {
                Ok(Ok(wire)) => fill.push(wire),
                Ok(Err(_)) => refused = Some("is sent away"),
                Err(_) => refused = Some("waits"),
            }
            assert!(fill.len() < LIMIT, "never short");
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
        // The freed descriptors are enough; no restart is needed.
        let (filled, freed) = (fill.len(), Instant::now());
        fill.truncate(filled / 2);
        let mut device = Device::new(7_000, &code);
        let _late = loop {
            if let Ok(Ok(wire)) = timeout(WAITS, device.enter(broker.addr, None)).await {
                break wire;
            }
            assert!(freed.elapsed() < Duration::from_secs(20), "it does not recover");
        };
        let again = freed.elapsed();
        gone = gone.max(dropped(&mut members).await);
        println!(
            "{LIMIT} descriptors: {MEMBERS} members and {filled} others, then a newcomer {}; members dropped {gone}, \
             /readyz answered {answers} of {looks}, processor {busy} % of a core while short (in {SHORT:?}: {busy} ticks), \
             the next one in {again:?} after half of the others had gone",
            refused.unwrap()
        );
        assert_eq!(gone, 0);
        // The reserve is for these connections and for the store.
        assert_eq!(answers, looks, "the operations listener answers all the time");
        assert!(again <= Duration::from_secs(5), "{again:?}");
    });
}
