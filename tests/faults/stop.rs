//! SIGTERM: readiness ends at once, members are closed at a pace with 1001, and the process ends by itself; a second
//! SIGTERM ends it at once.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use super::broker::{Keep, Process};
use super::wire::{Gone, Wire};
use super::{LOOK, members, ready, run, serve};

const MEMBERS: usize = 2_000;
const WAIT: Duration = Duration::from_secs(1);
const SETTINGS: [(&str, &str); 2] = [("lifecycle.drain_wait", "1s"), ("lifecycle.drain_per_second", "500")];

/// Stays until the connection ends; returns how and when.
async fn stay(wire: &mut Wire) -> (Gone, Instant) {
    loop {
        if let Err(gone) = serve(wire).await {
            return (gone, Instant::now());
        }
    }
}

async fn exit(broker: &mut Process) -> i32 {
    loop {
        match broker.ended() {
            Some(code) => return code,
            None => sleep(LOOK).await,
        }
    }
}

#[test]
#[ignore = "takes seconds, and all cores"]
fn members_are_closed_at_a_pace() {
    let keep = Keep::redis();
    let mut broker = keep.start_under(&["prlimit", "--nofile=8192:"], &SETTINGS);
    run(async {
        let mut members = members(broker.addr, MEMBERS).await;
        assert_eq!(ready(&broker).await, Some(200));
        let begun = Instant::now();
        broker.terminate();
        let not_ready = async {
            while ready(&broker).await == Some(200) {}
            begun.elapsed()
        };
        let stays = join_all(members.iter_mut().map(|(_, wire)| stay(wire)));
        let (not_ready, ends) = tokio::join!(not_ready, stays);
        drop(members);
        let code = exit(&mut broker).await;
        let ended = begun.elapsed();
        let going_away = ends.iter().filter(|(gone, _)| *gone == Gone(Some(1001))).count();
        let mut times: Vec<_> = ends.iter().map(|(_, at)| at.duration_since(begun)).collect();
        times.sort_unstable();
        let (first, last) = (times[0], times[MEMBERS - 1]);
        let most = (0..MEMBERS).map(|n| times[n..].iter().take_while(|t| **t < times[n] + WAIT).count()).max();
        println!(
            "stop of {MEMBERS} members at 500/s after {WAIT:?}: not ready after {not_ready:?}, closed with 1001: \
             {going_away}, first close {first:?}, last {last:?}, most in one second {most:?}, process gone {ended:?}"
        );
        assert_eq!((going_away, code), (MEMBERS, 0));
        assert!(not_ready < WAIT && first >= WAIT, "not ready long before the first close");
        let pace = Duration::from_secs(4);
        assert!(last >= WAIT + pace.mul_f32(0.9) && last < WAIT + pace.mul_f32(1.5), "{last:?}");
        assert!(ended < Duration::from_secs(30), "{ended:?}");
    });
}

#[test]
#[ignore = "takes seconds, and all cores"]
fn a_second_signal_ends_it_at_once() {
    let keep = Keep::redis();
    let mut broker = keep.start(&[("lifecycle.drain_wait", "60s")]);
    run(async {
        let _members = members(broker.addr, 10).await;
        broker.terminate();
        while ready(&broker).await == Some(200) {}
        let begun = Instant::now();
        broker.terminate();
        let code = exit(&mut broker).await;
        println!("second signal: exit code {code} after {:?}", begun.elapsed());
        assert_eq!(code, 1);
        assert!(begun.elapsed() < Duration::from_secs(5));
    });
}
