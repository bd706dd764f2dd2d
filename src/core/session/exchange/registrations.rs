//! Polls whether entered devices have registered at the exchange (`docs/protocol/pbx.md` 2.6): after 5, 10, 20, 40,
//! 60 s, then every 2 min, for half an hour.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use super::entry::{hardware_key, same_hardware};
use super::guid::Guid;
use crate::core::model::time::Tick;
use crate::core::protocol::json::{Object, Value};
use crate::core::session::exchange::rate::RateWindow;

const PAUSES: [Duration; 6] = [
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(20),
    Duration::from_secs(40),
    Duration::from_secs(60),
    Duration::from_secs(120),
];
const GIVEN_UP: Duration = Duration::from_secs(1_800);

/// Bound of polled devices; further ones are not polled.
const MAX_WATCHES: usize = 20_000;

#[derive(Debug)]
struct Watch {
    user: Guid,
    hw: Box<str>,
    since: Tick,
    asked: usize,
}

/// The entered devices whose registration is polled.
#[derive(Debug, Default)]
pub struct Registrations {
    watches: BTreeMap<u64, Watch>,
    known: HashSet<(Guid, Box<str>)>,
    /// Ordered by due time.
    due: BTreeSet<(Tick, u64)>,
    last: u64,
    rate: RateWindow,
}

impl Registrations {
    /// Starts polling a device.
    pub(super) fn watch(&mut self, user: &Guid, hw: &str, now: Tick) {
        if self.watches.len() >= MAX_WATCHES || !self.known.insert((user.clone(), hardware_key(hw))) {
            return;
        }
        self.last += 1;
        self.watches.insert(self.last, Watch { user: user.clone(), hw: hw.into(), since: now, asked: 0 });
        self.due.insert((now + PAUSES[0], self.last));
    }

    /// Time of the next poll.
    pub(super) fn wake(&self, per_second: usize) -> Option<Tick> {
        self.due.first().map(|(due, _)| (*due).max(self.rate.free_at(per_second)))
    }

    /// The next device to poll.
    pub(super) fn next(&mut self, now: Tick, per_second: usize) -> Option<(u64, Guid)> {
        if self.wake(per_second)? > now {
            return None;
        }
        let (_, number) = self.due.pop_first()?;
        self.rate.note(now);
        let watch = self.watches.get_mut(&number)?;
        watch.asked += 1;
        Some((number, watch.user.clone()))
    }

    /// Handles an answer, or its absence. Returns the device if it has registered.
    pub(super) fn answered(&mut self, number: u64, answer: Option<&Object<'_>>, now: Tick) -> Option<(Guid, Box<str>)> {
        let watch = self.watches.get(&number)?;
        let is_there = |reg: &Value<'_>| match reg {
            Value::Object(reg) => reg.str("hw").is_some_and(|hw| same_hardware(hw, &watch.hw)),
            _ => false,
        };
        let found = answer.and_then(|answer| answer.array("regs")).unwrap_or_default().iter().any(is_there);
        if found {
            return self.drop(number).map(|watch| (watch.user, watch.hw));
        }
        let next = now + PAUSES[watch.asked.min(PAUSES.len() - 1)];
        if next.since(watch.since) > GIVEN_UP {
            self.drop(number);
        } else {
            self.due.insert((next, number));
        }
        None
    }

    fn drop(&mut self, number: u64) -> Option<Watch> {
        let watch = self.watches.remove(&number)?;
        self.known.remove(&(watch.user.clone(), hardware_key(&watch.hw)));
        Some(watch)
    }

    /// The connection has ended: pending polls are repeated.
    pub(super) fn interrupted(&mut self, now: Tick) {
        let due: BTreeSet<u64> = self.due.iter().map(|(_, number)| *number).collect();
        self.due.extend(self.watches.keys().filter(|number| !due.contains(number)).map(|number| (now, *number)));
    }

    /// Stops polling the devices of a deleted user.
    pub(super) fn forget(&mut self, user: &Guid) {
        self.watches.retain(|_, watch| watch.user != *user);
        self.known.retain(|(known, _)| known != user);
        self.due.retain(|(_, number)| self.watches.contains_key(number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guid() -> Guid {
        Guid::parse(&"a".repeat(32)).unwrap()
    }

    #[test]
    fn asked_less_and_less_often_until_it_is_there() {
        let mut regs = Registrations::default();
        regs.watch(&guid(), "00903341a0b1", Tick(0));
        regs.watch(&guid(), "00-90-33-41-A0-B1", Tick(0));
        let mut asked = Vec::new();
        while let Some(wake) = regs.wake(10) {
            let (number, user) = regs.next(wake, 10).unwrap();
            assert_eq!(user, guid());
            asked.push(wake.0 / 1_000);
            assert_eq!(regs.answered(number, None, wake), None);
        }
        assert_eq!(asked[..8], [5, 15, 35, 75, 135, 255, 375, 495]);
        assert!(*asked.last().unwrap() <= 1_800 && regs.watches.is_empty(), "{asked:?}");

        regs.watch(&guid(), "00903341a0b1", Tick(0));
        let (number, _) = regs.next(Tick(5_000), 10).unwrap();
        let answer = br#"{"regs":[{"hw":"foreign"},{"hw":"00-90-33-41-A0-B1","addr":"192.0.2.17"}]}"#;
        let answer = Object::parse(answer).unwrap();
        assert_eq!(regs.answered(number, Some(&answer), Tick(5_000)), Some((guid(), "00903341a0b1".into())));
    }

    #[test]
    fn ten_a_second_and_none_is_lost_with_the_connection() {
        let mut regs = Registrations::default();
        for n in 0..25_u64 {
            regs.watch(&guid(), &n.to_string(), Tick(n));
        }
        let first = |regs: &mut Registrations, now| std::iter::from_fn(|| regs.next(Tick(now), 10)).count();
        assert_eq!((first(&mut regs, 6_000), first(&mut regs, 6_999), first(&mut regs, 7_000)), (10, 0, 10));
        regs.interrupted(Tick(7_500));
        assert_eq!((first(&mut regs, 8_000), first(&mut regs, 9_000), first(&mut regs, 10_000)), (10, 10, 5));
    }
}
