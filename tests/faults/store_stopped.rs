//! The store hangs for ten seconds: no device can enter, none is dropped, and work resumes as soon as the store is
//! back.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, sleep_until};

use super::broker::Keep;
use super::device::Device;
use super::users::{Learned, Users};
use super::{LOOK, Process, dropped, members, ready, run};

const MEMBERS: usize = 200;
const NEWCOMERS: usize = 10;
const AWAY: Duration = Duration::from_secs(10);
/// Wait before a refused device tries again.
const AGAIN: Duration = Duration::from_millis(100);
/// A try is given up after this time.
const MAX_WAIT: Duration = Duration::from_secs(3);

/// Tries until the device is admitted, or until `end`; returns when that was, and the number of tries.
async fn try_until(broker: &Process, mut device: Device, end: Instant) -> (Option<Instant>, u32) {
    let mut tries = 0;
    while Instant::now() < end {
        tries += 1;
        let attempt = async {
            let mut wire = device.come(broker.addr, None).await?;
            if let super::device::Answer::Challenge(challenge) = device.answer(&mut wire).await? {
                if device.password.is_none() {
                    return Err(super::Gone(None));
                }
                wire.send(2, &device.identify(false, Some(&challenge))).await?;
            }
            super::device::admin_password(&mut wire).await
        };
        if let Ok(Ok(())) = tokio::time::timeout(MAX_WAIT, attempt).await {
            return (Some(Instant::now()), tries);
        }
        sleep(AGAIN).await;
    }
    (None, tries)
}

#[test]
#[ignore = "takes seconds, and all cores"]
fn redis_hangs_for_ten_seconds() {
    let keep = Keep::redis();
    let broker = keep.start(&[("store.deadline", "250ms")]);
    run(async {
        let mut members = members(broker.addr, MEMBERS).await;
        let mut users = Users::login(broker.addr).await.unwrap();
        let codes = users.codes(NEWCOMERS, &mut Learned::default()).await.unwrap();
        drop(users);
        let newcomers: Vec<_> = codes.iter().zip(5_000..).map(|(code, number)| Device::new(number, code)).collect();
        let mut wrong_password = members[0].0.clone();
        wrong_password.password = Some("x".repeat(32));
        let wrong_code = Device::new(6_000, "000000000000");

        keep.server().pause();
        let paused = Instant::now();
        let back = paused + AWAY;
        let watch = async {
            let mut not_ready = None;
            let mut gone = 0;
            while Instant::now() < back {
                if not_ready.is_none() && ready(&broker).await == Some(503) {
                    not_ready = Some(paused.elapsed());
                }
                gone = gone.max(dropped(&mut members).await);
                sleep(LOOK).await;
            }
            (not_ready, gone)
        };
        let resume = async {
            sleep_until(back).await;
            keep.server().resume();
        };
        let end = back + Duration::from_secs(5);
        let (watched, (), entered, lied, guessed) = tokio::join!(
            watch,
            resume,
            join_all(newcomers.into_iter().map(|device| try_until(&broker, device, end))),
            try_until(&broker, wrong_password, end),
            try_until(&broker, wrong_code, end),
        );
        let (not_ready, gone_meanwhile) = watched;
        let (times, tries): (Vec<_>, Vec<_>) = entered.into_iter().unzip();
        let mut times: Vec<_> = times.into_iter().map(|at| at.expect("it is let in again")).collect();
        times.sort_unstable();
        let early = times.iter().filter(|at| **at < back).count();
        let wrong = early + usize::from(lied.0.is_some()) + usize::from(guessed.0.is_some());
        let gone = gone_meanwhile + dropped(&mut members).await;
        let (first, last) = (times[0] - back, times[NEWCOMERS - 1] - back);
        println!(
            "store stopped {AWAY:?}: wrong accepts {wrong} in {} tries, members dropped {gone} of {MEMBERS}, not ready after \
             {not_ready:?}, registering again {first:?} after it is back, all {NEWCOMERS} after {last:?}",
            tries.iter().sum::<u32>() + lied.1 + guessed.1
        );
        assert_eq!((wrong, gone), (0, 0));
        assert!(not_ready.is_some_and(|after| after < Duration::from_secs(5)), "{not_ready:?}");
        assert!(first <= Duration::from_secs(2), "{first:?}");
    });
}
