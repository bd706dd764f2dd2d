//! Who is decided now, who waits, and who is refused.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

const CODES: Rules = Rules {
    window: Duration::from_secs(600),
    pair_free: 10,
    pair_longest: Duration::from_secs(600),
    source_free: 60,
    pace: Duration::from_secs(5),
    waiting: 32,
    queue: QueueRule::DropOldest,
    longest_wait: None,
    per_minute: 600,
    per_second: 10,
    proved: None,
    once: Once::PerPair,
    max_keys: 1000,
};

const LOG_INS: Rules = Rules {
    pair_longest: Duration::from_secs(30),
    queue: QueueRule::ByName(8),
    longest_wait: Some(Duration::from_secs(30)),
    proved: Some(Duration::from_secs(3600)),
    ..CODES
};

fn source(last: u8) -> SourceKey {
    SourceKey::from(IpAddr::from([192, 0, 2, last]))
}

fn by(name: u64, last: u8) -> Claimant {
    Claimant { name: Some(Name(name)), source: source(last) }
}

fn at(seconds: u64) -> Tick {
    Tick(seconds * 1000)
}

/// Decisions with a clock, and what has become of those that waited.
struct World {
    decisions: Decisions,
    now: Tick,
    granted: Vec<(WaitId, Ticket)>,
    dropped: Vec<WaitId>,
    secrets: u64,
}

impl World {
    fn new(rules: Rules) -> Self {
        Self { decisions: Decisions::new(rules), now: at(0), granted: Vec::new(), dropped: Vec::new(), secrets: 0 }
    }

    fn act<R>(&mut self, act: impl FnOnce(&mut Decisions, Tick, &mut Vec<Turn>) -> R) -> R {
        let mut turns = Vec::new();
        let result = act(&mut self.decisions, self.now, &mut turns);
        for turn in turns {
            match turn {
                Turn::Granted(id, ticket) => self.granted.push((id, ticket)),
                Turn::Dropped(id, _) => self.dropped.push(id),
            }
        }
        result
    }

    fn ask(&mut self, who: Claimant) -> Asked {
        self.act(|decisions, now, turns| decisions.ask(who, now, turns))
    }

    fn now(&mut self, who: Claimant) -> Ticket {
        match self.ask(who) {
            Asked::Now(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    fn waits(&mut self, who: Claimant) -> WaitId {
        match self.ask(who) {
            Asked::Waits(id) => id,
            other => panic!("{other:?}"),
        }
    }

    fn settle(&mut self, ticket: Ticket, verdict: Verdict) {
        self.act(|decisions, now, turns| decisions.settle(ticket, verdict, now, turns));
    }

    /// A wrong secret that was not tried before.
    fn wrong(&mut self, ticket: Ticket) {
        self.secrets += 1;
        let secret = Fingerprint(self.secrets);
        self.settle(ticket, Verdict::Wrong(Some(secret)));
    }

    fn fail(&mut self, who: Claimant, times: u32) {
        for _ in 0..times {
            let ticket = self.now(who);
            self.wrong(ticket);
        }
    }

    /// Uses up the free attempts of a source, by names that nobody else has.
    fn exhaust(&mut self, last: u8) {
        for name in 0..12 {
            self.fail(by(1_000_000 + name, last), 5);
        }
    }

    fn pass(&mut self, millis: u64) {
        self.now.0 += millis;
        self.act(Decisions::advance_all);
    }

    /// The attempts that have got their turn since the last call, all of them wrong.
    fn decided(&mut self) -> Vec<WaitId> {
        let granted = std::mem::take(&mut self.granted);
        granted.into_iter().map(|(id, ticket)| (id, self.wrong(ticket)).0).collect()
    }
}

/// Who waited for the checks under way waits for time once they have failed, and of a name only so many do that.
#[test]
fn a_burst_at_one_name_keeps_few_that_wait() {
    let mut world = World::new(LOG_INS);
    let free: Vec<_> = (0..10).map(|_| world.now(by(1, 1))).collect();
    let waiting: Vec<_> = (0..30).map(|_| world.waits(by(1, 1))).collect();
    // Another name is not concerned.
    let other = world.now(by(2, 1));
    world.settle(other, Verdict::Right);
    for ticket in free {
        assert!(world.dropped.is_empty());
        world.wrong(ticket);
    }
    assert_eq!(world.dropped, waiting[..22], "the oldest go first");
    assert_eq!(world.decisions.waiting(), 8);
    // Somebody who comes now takes the place of the oldest, and is the next one of this name.
    let last = world.waits(by(1, 1));
    assert_eq!((world.dropped.last(), world.decisions.waiting()), (Some(&waiting[22]), 8));
    world.pass(1000);
    assert_eq!(world.decided(), [last]);
}

#[test]
fn a_burst_reaches_as_many_checks_as_there_are_free_attempts() {
    let mut world = World::new(CODES);
    let mut at_once = Vec::new();
    for name in 0..1000 {
        if let Asked::Now(ticket) = world.ask(by(name, 1)) {
            at_once.push(ticket);
        }
    }
    assert_eq!(at_once.len(), 60, "whatever they name, and over however many connections");
    for ticket in at_once {
        world.wrong(ticket);
    }
    assert!(world.granted.is_empty());
    assert_eq!(world.decisions.waiting(), 32, "the oldest were dropped");
    assert_eq!(world.dropped.len(), 1000 - 60 - 32);
    let mut checks = 0;
    for _ in 0..100 {
        world.pass(1000);
        checks += world.decided().len();
    }
    assert_eq!(checks, 20, "one every five seconds");
}

#[test]
fn a_burst_of_right_ones_is_not_slowed_and_loses_nobody() {
    let mut world = World::new(CODES);
    let mut under_way: VecDeque<Ticket> = VecDeque::new();
    for name in 0..5000 {
        if let Asked::Now(ticket) = world.ask(by(name, 1)) {
            under_way.push_back(ticket);
        }
    }
    let mut right = 0;
    while let Some(ticket) = under_way.pop_front() {
        world.settle(ticket, Verdict::Right);
        under_way.extend(world.granted.drain(..).map(|(_, ticket)| ticket));
        right += 1;
    }
    assert_eq!((right, world.dropped.len()), (5000, 0));
}

#[test]
fn a_pair_waits_for_itself_only() {
    let mut world = World::new(CODES);
    world.fail(by(1, 1), 10);
    let id = world.waits(by(1, 1));
    let _ = world.now(by(1, 2));
    let other = world.now(by(2, 1));
    world.settle(other, Verdict::Right);
    world.pass(999);
    assert!(world.decided().is_empty());
    world.pass(1);
    assert_eq!(world.decided(), [id]);
    let id = world.waits(by(1, 1));
    assert_eq!(world.decisions.due(id, world.now), Some(world.now + Duration::from_secs(2)));
    world.pass(600_000);
    assert_eq!(world.decided(), [id], "at the latest when nothing counts any more");
}

#[test]
fn attempts_of_a_pair_that_come_together_are_made_one_after_the_other() {
    let mut world = World::new(CODES);
    world.fail(by(1, 1), 10);
    for _ in 0..32 {
        world.waits(by(1, 1));
    }
    let mut times = Vec::new();
    for second in 1..600 {
        world.pass(1000);
        times.extend(world.decided().iter().map(|_| second));
    }
    assert_eq!(times, [1, 3, 7, 15, 31, 63, 127, 255, 511]);
}

#[test]
fn the_same_secret_counts_once() {
    let mut world = World::new(CODES);
    for _ in 0..100 {
        let ticket = world.now(by(1, 1));
        world.settle(ticket, Verdict::Wrong(Some(Fingerprint(u64::MAX))));
    }
    world.fail(by(1, 1), 9);
    world.waits(by(1, 1));
    assert_eq!(world.decisions.sources.wrong(&source(1), world.now), 10);
}

#[test]
fn distinct_secrets_of_a_source_count_whoever_is_named() {
    let mut world = World::new(Rules { pair_free: u32::MAX, once: Once::PerSource, ..CODES });
    for name in 0..200 {
        let ticket = world.now(by(name, 1));
        world.settle(ticket, Verdict::Wrong(Some(Fingerprint(name % 59))));
    }
    let ticket = world.now(by(1, 1));
    world.settle(ticket, Verdict::Wrong(Some(Fingerprint(59))));
    world.waits(by(1, 1));
}

#[test]
fn what_nobody_checked_does_not_count() {
    let mut world = World::new(CODES);
    for _ in 0..1000 {
        let ticket = world.now(by(1, 1));
        world.settle(ticket, Verdict::Unchecked);
    }
    let _ = world.now(by(1, 1));
}

#[test]
fn whoever_goes_away_leaves_the_queue() {
    let mut world = World::new(CODES);
    world.exhaust(1);
    let [first, second] = [world.waits(by(1, 1)), world.waits(by(2, 1))];
    world.act(|decisions, now, turns| decisions.leave(first, now, turns));
    world.pass(5000);
    assert_eq!(world.decided(), [second]);
    assert_eq!(world.decisions.waiting(), 0);
}

#[test]
fn too_long_a_wait_is_refused() {
    let mut world =
        World::new(Rules { queue: QueueRule::InOrder, longest_wait: Some(Duration::from_secs(30)), ..CODES });
    world.exhaust(1);
    for name in 0..6 {
        world.waits(by(name, 1));
    }
    let Asked::Refused(wait) = world.ask(by(9, 1)) else { panic!("it would wait 35 s") };
    assert_eq!(wait, Duration::from_secs(35));
    let _ = world.now(by(9, 2));
}

#[test]
fn names_take_turns() {
    let mut world = World::new(LOG_INS);
    world.exhaust(1);
    let loud: Vec<_> = (0..5).map(|_| world.waits(by(1, 1))).collect();
    let quiet = world.waits(by(2, 1));
    world.pass(5000);
    assert_eq!(world.decided(), [loud[4]], "the newest");
    world.pass(5000);
    assert_eq!(world.decided(), [quiet], "before the second one of the other name");
    world.pass(5000);
    assert_eq!(world.decided(), [loud[3]]);
}

#[test]
fn a_proved_pair_does_not_wait_for_its_source() {
    let mut world = World::new(LOG_INS);
    let ticket = world.now(by(7, 1));
    world.settle(ticket, Verdict::Right);
    world.exhaust(1);
    world.waits(by(8, 1));
    let ticket = world.now(by(7, 1));
    world.settle(ticket, Verdict::Right);
    world.fail(by(7, 1), 10);
    world.waits(by(7, 1));
    let elsewhere = world.now(by(7, 2));
    world.settle(elsewhere, Verdict::Unchecked);
    world.pass(1000);
    assert_eq!(world.granted.len(), 1, "only for itself");
}

#[test]
fn mistakes_of_a_proved_pair_delay_nobody_else() {
    let mut world = World::new(Rules { pair_free: u32::MAX, ..LOG_INS });
    let ticket = world.now(by(7, 1));
    world.settle(ticket, Verdict::Right);
    world.fail(by(7, 1), 200);
    let _ = world.now(by(8, 1));
}

#[test]
fn over_all_one_source_goes_after_the_other() {
    let mut world = World::new(CODES);
    world.act(|decisions, now, turns| decisions.limit_over_all(true, now, turns));
    let many: Vec<_> = (0..3).map(|name| world.waits(by(name, 1))).collect();
    let one = world.waits(by(9, 2));
    let left = world.act(|decisions, now, turns| decisions.release(2, now, turns));
    assert_eq!(left, 0);
    assert_eq!(world.decided(), [many[0], one]);
    let left = world.act(|decisions, now, turns| decisions.release(9, now, turns));
    assert_eq!(world.decided(), many[1..]);
    assert_eq!(left, 7);
    let id = world.waits(by(1, 3));
    world.act(|decisions, now, turns| decisions.limit_over_all(false, now, turns));
    assert_eq!(world.decided(), [id]);
}

#[test]
fn many_networks_of_one_site_are_one_source() {
    let mut world = World::new(CODES);
    let net = |net: u16| {
        let address: IpAddr = format!("2001:db8:1:{net:x}::1").parse().unwrap();
        Claimant { name: Some(Name(u64::from(net))), source: SourceKey::from(address) }
    };
    let mut checks = 0;
    for number in 0..10_000 {
        if let Asked::Now(ticket) = world.ask(net(number)) {
            world.wrong(ticket);
            checks += 1;
        }
    }
    assert_eq!(checks, 60);
    let elsewhere: IpAddr = "2001:db8:2::1".parse().unwrap();
    let _ = world.now(Claimant { name: None, source: SourceKey::from(elsewhere) });
}

proptest! {
    /// Whatever comes, in whatever order: the wrong checks of a source are at most its free ones and the pace, nothing is
    /// lost, and nobody waits with nothing to wait for.
    #[test]
    fn checks_are_bounded_and_nobody_is_forgotten(
        steps in proptest::collection::vec((0..4_u8, 0..5_u64, 0..2_u8, 0..3000_u64), 1..200),
    ) {
        let rules = Rules { pair_free: 3, source_free: 6, waiting: 4, ..CODES };
        let mut world = World::new(rules);
        let (mut waiting, mut checks, mut under_way) = (0_usize, [0_u64; 2], Vec::new());
        for (what, name, last, pause) in steps {
            world.pass(pause);
            match what {
                0 | 1 => match world.ask(by(name, last)) {
                    Asked::Now(ticket) => under_way.push(ticket),
                    Asked::Waits(_) => waiting += 1,
                    Asked::Refused(_) => prop_assert!(false, "nobody is refused"),
                },
                2 => if let Some(ticket) = under_way.pop() {
                    checks[usize::from(ticket.claimant.source == source(1))] += 1;
                    world.wrong(ticket);
                },
                _ => if let Some(ticket) = under_way.pop() {
                    world.settle(ticket, Verdict::Unchecked);
                },
            }
            waiting -= world.dropped.drain(..).count();
            let granted: Vec<_> = world.granted.drain(..).collect();
            waiting -= granted.len();
            under_way.extend(granted.into_iter().map(|(_, ticket)| ticket));
            prop_assert_eq!(world.decisions.waiting(), waiting);
            for checks in checks {
                prop_assert!(checks <= 12 + world.now.0 / 5000 + 1, "{} at {}", checks, world.now.0);
            }
        }
        for ticket in under_way {
            world.settle(ticket, Verdict::Unchecked);
        }
        for _ in 0..200 {
            world.pass(60_000);
            world.decided();
        }
        prop_assert_eq!(world.decisions.waiting(), 0);
        prop_assert!(world.decisions.pairs_in_flight.is_empty());
    }
}
