//! One round of a roll-out that is cut by a kill of the broker, and what has to hold afterwards.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::time::{Instant, timeout};

use super::broker::{Keep, Process};
use super::device::{Device, stay};
use super::fuse::{Fuse, Rng};
use super::users::{Learned, Users};
use super::wire::{Gone, guarded, metric};

/// Devices in a round.
const DEVICES: usize = 8;

/// The longest that a round goes on by messages: 3 per device and 3 per notice, if each comes alone.
const MESSAGES: u64 = 6 * DEVICES as u64;

/// How long a connection of Users has to stay open after its pong; some notices are settled before the kill, some are not.
const HOLD_MILLIS: u64 = 5;

/// A device that is not in, or a notice that has not come, after this time is counted as stuck or lost. Nothing waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// What happened over many rounds.
#[derive(Debug, Default)]
pub struct Totals {
    pub kills: u64,
    /// Kills that took the store along.
    pub store_kills: u64,
    pub codes: u64,
    /// Codes that a device had claimed before the kill.
    pub claimed: u64,
    /// Devices that had been told their password before the kill; the rest of the claimed ones had not heard of it.
    pub told: u64,
    /// Notices that may have been settled before the kill.
    pub settled: u64,
    /// Devices that showed their code (once more) after it.
    pub by_code: u64,
    /// So often a device was asked for a password that it had never got.
    pub in_vain: u64,
    /// Notices beyond the first of a code.
    pub duplicates: u64,
    /// Notices owed that did not come.
    pub lost: u64,
    /// Devices that did not get in any more.
    pub stuck: u64,
}

/// Rounds on one store, one after the other. Each broker serves the second half of a round and the first of the next.
pub struct Lane {
    keep: Keep,
    rng: Rng,
    broker: Process,
    devices: u64,
    /// Codes whose notice this broker has delivered.
    delivered: BTreeSet<String>,
    tally: Totals,
}

impl Lane {
    pub fn new(keep: Keep, number: u64) -> Self {
        let broker = start(&keep);
        Self {
            keep,
            rng: Rng::seeded(number),
            broker,
            devices: number << 24,
            delivered: BTreeSet::new(),
            tally: Totals::default(),
        }
    }

    /// One round. `wait_for_leases`: the node that was killed counts as alive until its time is over.
    pub async fn round(mut self, kill_store: bool, wait_for_leases: bool) -> Self {
        let mut before = Learned::default();
        let mut users = Users::login(self.broker.addr).await.unwrap();
        let codes = users.codes(DEVICES, &mut before).await.unwrap();
        let mut devices: Vec<Device> =
            codes.iter().zip(self.devices..).map(|(code, number)| Device::new(number, code)).collect();
        self.devices += DEVICES as u64;

        // Users is there in half of the rounds.
        let users = (self.rng.below(2) == 0).then_some(users);
        let (after, delay) = (1 + self.rng.below(MESSAGES), self.rng.moment());
        let addr = self.broker.addr;
        let fuse = Fuse::lit(self.broker, after, DEVICES + 1, delay);
        let enter = devices.iter_mut().map(|device| enter_and_stay(device, addr, &fuse));
        join(take_and_stay(users, &codes, &mut before, &fuse), join_all(enter)).await;
        let dead = fuse.blown();

        if kill_store {
            self.tally.store_kills += u64::from(self.keep.kill_store());
        }
        if !wait_for_leases {
            self.keep.end_leases().await;
        }
        self.broker = start(&self.keep);
        self.tally.kills += 1;
        self.tally.codes += DEVICES as u64;
        self.come_back(&codes, &mut devices, &before, dead).await;
        self
    }

    /// The second half: everybody comes back to the new broker.
    async fn come_back(&mut self, codes: &[String], devices: &mut [Device], before: &Learned, dead: Instant) {
        let addr = self.broker.addr;
        let mut after = Learned::default();
        let mut users = Users::login(addr).await.unwrap();
        for device in devices.iter() {
            let claimed = users.device(&device.code, &mut after).await.unwrap();
            assert!(claimed.as_ref().is_none_or(|id| *id == device.id), "the code was used by somebody else");
            assert!(claimed.is_some() || device.password.is_none(), "a password was told, but the claim is not kept");
            self.tally.claimed += u64::from(claimed.is_some());
            self.tally.told += u64::from(device.password.is_some());
        }
        // Only a pong that is old enough may have settled a notice. Everything else has to come again.
        let settled = |sent: &Instant| *sent + Duration::from_millis(HOLD_MILLIS) <= dead;
        let owed: Vec<_> = codes.iter().filter(|code| !before.acknowledged.get(*code).is_some_and(settled)).collect();
        self.tally.settled += (codes.len() - owed.len()) as u64;

        let come_in = join_all(devices.iter_mut().map(|device| timeout(PATIENCE, device.come_in(addr))));
        let all_owed = |after: &Learned| owed.iter().all(|code| after.devices.contains_key(*code));
        let (taken, ways) = join(timeout(PATIENCE, users.take_until(&mut after, all_owed)), come_in).await;
        assert!(taken.is_err() || taken == Ok(Ok(())), "Users has lost its connection: {taken:?}");
        self.tally.lost += owed.iter().filter(|code| !after.devices.contains_key(**code)).count() as u64;
        for way in &ways {
            match way {
                Ok((_, way)) => {
                    self.tally.by_code += u64::from(way.by_code);
                    self.tally.in_vain += way.in_vain;
                }
                Err(_) => self.tally.stuck += 1,
            }
        }
        // Still on their connections: exactly this device has the code, by all that Users hears of it.
        for device in devices.iter() {
            for id in [before, &after].iter().filter_map(|learned| learned.devices.get(&device.code)) {
                assert_eq!(*id, device.id, "the notice names somebody else");
            }
            let by = users.device(&device.code, &mut after).await.unwrap();
            assert_eq!(by.as_ref(), Some(&device.id));
        }
        drop(ways);
        for device in devices.iter_mut().filter(|device| device.password.is_some()) {
            let (_, way) = device.come_in(addr).await;
            assert!(!way.by_code, "its password is good for the next time too");
        }
        let heard = codes.iter().filter(|code| [before, &after].iter().any(|l| l.devices.contains_key(*code))).count();
        self.tally.duplicates += before.notices + after.notices - heard as u64;
        self.delivered = after.devices.into_keys().collect();
    }

    /// In the end every notice is settled: Users takes and acknowledges all that still comes.
    pub async fn finish(self) -> Totals {
        let mut users = Users::login(self.broker.addr).await.unwrap();
        let mut rest = Learned::default();
        let all_settled = async { while settled(&self.broker).await < self.delivered.len() as u64 {} };
        tokio::select! {
            ended = users.take_until(&mut rest, |_| false) => panic!("{ended:?}"),
            () = guarded("the last notice settled", all_settled) => {}
        }
        self.keep.no_mail().await;
        self.tally
    }
}

async fn settled(broker: &Process) -> u64 {
    metric(broker.ops, "provbroker_notices_total{event=\"settled\"}").await
}

fn start(keep: &Keep) -> Process {
    keep.start(&[("apps.notice_hold", &format!("{HOLD_MILLIS}ms"))])
}

/// A device of a round, until the kill.
async fn enter_and_stay(device: &mut Device, addr: SocketAddr, fuse: &Rc<Fuse>) {
    let entered = device.enter(addr, Some(fuse)).await;
    fuse.done();
    if let Ok(mut wire) = entered {
        assert_eq!(stay(&mut wire).await, Gone(None), "the broker did not close, it died");
    }
}

/// Users of a round, until the kill.
async fn take_and_stay(users: Option<Users>, codes: &[String], learned: &mut Learned, fuse: &Rc<Fuse>) {
    let Some(mut users) = users else { return fuse.done() };
    users.light(fuse);
    let all = |learned: &Learned| codes.iter().all(|code| learned.acknowledged.contains_key(code));
    let taken = users.take_until(learned, all).await;
    fuse.done();
    if taken.is_ok() {
        let ended = users.take_until(learned, |_| false).await;
        assert_eq!(ended, Err(Gone(None)), "the broker did not close, it died");
    }
}
