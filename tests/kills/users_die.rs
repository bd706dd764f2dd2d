//! Users disconnects around a notice: the next one gets it again.

use futures_util::future::join_all;

use super::broker::Keep;
use super::device::Device;
use super::fuse::Rng;
use super::run;
use super::users::{Learned, Users};
use super::wire::{guarded, metric};

/// Disconnections per store.
const DEATHS: u64 = 500;

/// Notices in the mailbox.
const NOTICES: usize = 8;

fn users_die(keep: &Keep, number: u64) {
    // A pong alone settles nothing: the connection has to stay open, longer than any of these does.
    let broker = keep.start(&[("apps.notice_hold", "30s")]);
    let mut rng = Rng::seeded(number);
    run(async {
        let mut learned = Learned::default();
        let mut users = Users::login(broker.addr).await.unwrap();
        let codes = users.codes(NOTICES, &mut learned).await.unwrap();
        drop(users);
        let mut devices: Vec<_> = codes.iter().zip(1..).map(|(code, n)| Device::new(n, code)).collect();
        let members = join_all(devices.iter_mut().map(|device| device.enter(broker.addr, None))).await;
        for _ in 0..DEATHS {
            let users = Users::login(broker.addr).await.unwrap();
            // From the log-in to the last ping, if each notice is followed by its own ping.
            let frames = rng.below(NOTICES as u64 + 1);
            if rng.below(2) == 0 {
                users.read_and_die(frames, &mut learned).await.unwrap();
            } else {
                users.acknowledge_and_die(frames, &mut learned).await.unwrap();
            }
        }
        assert_eq!(members.iter().filter(|member| member.is_err()).count(), 0);
        let again = learned.notices;
        let mut last = Learned::default();
        let mut users = Users::login(broker.addr).await.unwrap();
        let all = |last: &Learned| codes.iter().all(|code| last.acknowledged.contains_key(code));
        guarded("all notices", users.take_until(&mut last, all)).await.unwrap();
        for device in &devices {
            assert_eq!(last.devices.get(&device.code), Some(&device.id));
        }
        assert_eq!(metric(broker.ops, "provbroker_notices_total{event=\"settled\"}").await, 0, "settled too early");
        println!("{DEATHS} deaths of Users, lost 0, {again} duplicates");
    });
}

#[test]
fn a_notice_outlives_users_on_the_embedded_store() {
    users_die(&Keep::embedded(), 3);
}

#[test]
fn a_notice_outlives_users_on_redis() {
    users_die(&Keep::redis(), 4);
}
