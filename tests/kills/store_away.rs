//! Redis stops answering, or accepts no more writes, in the middle of entries over real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::{join, join_all};
use redis::aio::MultiplexedConnection;

use super::broker::{DOMAIN, Keep};
use super::device::{Answer, Device, LATER, admin_password, quiet};
use super::run;
use super::users::{Learned, Users};
use super::wire::{Gone, Wire, guarded};

/// How long Redis hangs.
const AWAY: Duration = Duration::from_secs(3);

const DEVICES: usize = 20;

async fn ask<T: redis::FromRedisValue>(redis: &mut MultiplexedConnection, command: &[&str]) -> T {
    redis::cmd(command[0]).arg(&command[1..]).query_async(redis).await.unwrap()
}

/// The records of a device and of codes in Redis: whether the device exists, and itself if it has used a code.
async fn traces(redis: &mut MultiplexedConnection, device: &Device) -> (bool, Option<String>) {
    let record = ask(redis, &["EXISTS", &format!("pb:{{{DOMAIN}}}:device:{}", device.id)]).await;
    // Their names do not tell the codes.
    let records: Vec<String> = ask(redis, &["KEYS", &format!("pb:{{{DOMAIN}}}:code:*")]).await;
    for record_of_code in records {
        let by: Option<String> = ask(redis, &["HGET", &record_of_code, "by"]).await;
        if by.as_deref() == Some(&*device.id) {
            return (record, by);
        }
    }
    (record, None)
}

/// A device with a wrong code retries until it gets a final answer: it must never be let in.
async fn guess(to: SocketAddr, mut device: Device) {
    loop {
        let Ok(mut wire) = device.come(to, None).await else { continue };
        match quiet(&mut wire).await {
            Ok(()) => return,
            Err(gone) => assert_eq!(gone, Gone(Some(LATER)), "{}", device.id),
        }
        device.password = None;
    }
}

/// A device with a wrong password, until it is refused.
async fn pretend(to: SocketAddr, mut device: Device) {
    device.password = Some("x".repeat(32));
    loop {
        let Ok(mut wire) = device.come(to, None).await else { continue };
        match device.answer(&mut wire).await {
            Ok(Answer::Challenge(challenge)) => {
                wire.send(2, &device.identify(false, Some(&challenge))).await.unwrap();
                assert_eq!(admin_password(&mut wire).await, Err(Gone(Some(super::device::REFUSED))));
                return;
            }
            Ok(Answer::Password(_)) => panic!("given a password for nothing"),
            Err(gone) => assert_eq!(gone, Gone(Some(LATER))),
        }
    }
}

/// All members are connected, and nothing is under way for them.
async fn all_there(members: &mut [Wire]) {
    for member in members {
        quiet(member).await.expect("a member is not dropped");
    }
}

#[test]
fn redis_hangs_during_entries() {
    let keep = Keep::redis();
    let broker = keep.start(&[("store.deadline", "1s")]);
    run(async {
        let mut learned = Learned::default();
        let mut users = Users::login(broker.addr).await.unwrap();
        let codes = users.codes(2 * DEVICES, &mut learned).await.unwrap();
        let mut devices: Vec<_> = codes.iter().zip(1..).map(|(code, number)| Device::new(number, code)).collect();
        let (early, late) = devices.split_at_mut(DEVICES);
        let mut members: Vec<_> = join_all(early.iter_mut().map(|d| d.enter(broker.addr, None)))
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();

        all_there(&mut members).await;
        // It stops during their entries; their requests are answered late or not at all.
        let stop = async {
            keep.server().pause();
            // The duration of the fault itself, not a wait for something.
            tokio::time::sleep(AWAY).await;
            keep.server().resume();
        };
        let enter = join_all(late.iter_mut().map(|device| device.come_in(broker.addr)));
        let wrong_codes = (0..5).map(|n| guess(broker.addr, Device::new(1000 + n, &format!("{n:012}"))));
        let wrong_passwords = early.iter().take(5).map(|device| pretend(broker.addr, device.clone()));
        let wrong = join(join_all(wrong_codes), join_all(wrong_passwords));
        let (((), entered), _) = guarded("everybody", join(join(stop, enter), wrong)).await;
        all_there(&mut members).await;
        drop(entered);

        let mut redis = keep.server().connection().await;
        for device in &mut devices {
            let whole = (true, Some(device.id.clone()));
            assert_eq!(traces(&mut redis, device).await, whole, "half a claim");
            let (_, way) = device.come_in(broker.addr).await;
            assert!(!way.by_code, "the password it was told is the one that is kept");
            let by = users.device(&device.code, &mut learned).await.unwrap();
            assert_eq!(by.as_ref(), Some(&device.id));
        }
        let all = |learned: &Learned| codes.iter().all(|code| learned.devices.contains_key(code));
        guarded("all notices", users.take_until(&mut learned, all)).await.unwrap();
    });
}

#[test]
fn redis_is_full() {
    let keep = Keep::redis();
    let broker = keep.start(&[]);
    run(async {
        let mut learned = Learned::default();
        let mut users = Users::login(broker.addr).await.unwrap();
        let codes = users.codes(2 * DEVICES, &mut learned).await.unwrap();
        let mut devices: Vec<_> = codes.iter().zip(1..).map(|(code, number)| Device::new(number, code)).collect();
        let (early, late) = devices.split_at_mut(DEVICES);
        let mut members: Vec<_> = join_all(early.iter_mut().map(|d| d.enter(broker.addr, None)))
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();

        all_there(&mut members).await;
        let mut redis = keep.server().connection().await;
        let _: () = ask(&mut redis, &["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
        let _: () = ask(&mut redis, &["CONFIG", "SET", "maxmemory", "1"]).await;
        for device in late.iter_mut() {
            let refused = device.enter(broker.addr, None).await.map(|_| ());
            assert_eq!(refused, Err(Gone(Some(LATER))), "a claim that cannot be kept");
            assert_eq!(traces(&mut redis, device).await, (false, None), "half a claim");
        }
        all_there(&mut members).await;

        let _: () = ask(&mut redis, &["CONFIG", "SET", "maxmemory", "0"]).await;
        for device in late.iter_mut() {
            device.enter(broker.addr, None).await.expect("the same code, once there is room");
            assert_eq!(traces(&mut redis, device).await, (true, Some(device.id.clone())));
        }
        let all = |learned: &Learned| codes.iter().all(|code| learned.devices.contains_key(code));
        guarded("all notices", users.take_until(&mut learned, all)).await.unwrap();
    });
}
