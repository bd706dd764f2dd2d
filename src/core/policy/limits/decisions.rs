//! Which attempt at a secret is decided now, which waits, and which is refused (`docs/protocol/sysclient.md` 9.1,
//! `docs/protocol/directory.md` 4.4).
//!
//! An attempt is reserved before the check and settled after it. What was reserved and is not settled yet counts as
//! wrong for whoever comes next, so a burst of attempts reaches no more checks than the free ones, over however many
//! connections; a burst of right ones is only as slow as its checks, because each settlement lets the next one pass.
//!
//! Three limits apply at the same time, and the longest counts: of a pair of name and source (growing delays), of a
//! source (one decision each few seconds), and over all (so many decisions per second, one source after the other). A
//! pair that was right before waits for itself only.
//!
//! Nothing here reads a clock, or knows the number of wrong attempts on other nodes: [`Decisions::limit_over_all`] and
//! [`Decisions::release`] are called by whoever does.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use super::SourceKey;
use super::rules::{Once, QueueRule, Rules};
use super::wrong_counts::{Fingerprint, WrongCounts};
use crate::core::model::time::Tick;

/// What an attempt names (a device, a domain, an account), as a keyed hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(pub u64);

/// Wrong attempts from this many /64 networks of one /48 make the /48 the source.
const NETS_OF_SITE: u32 = 16;

/// Wrong attempts of a pair beyond the free ones that make a difference: the delay has its longest value by then.
const PAIR_KEPT: u32 = 12;

/// Pairs that were right and are remembered.
const MAX_PROVED: usize = 10_000;

/// Who makes an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claimant {
    /// What it names, if anything.
    pub name: Option<Name>,
    /// Where it comes from.
    pub source: SourceKey,
}

impl Claimant {
    fn pair(&self) -> Option<(Name, SourceKey)> {
        self.name.map(|name| (name, self.source))
    }
}

/// Number of an attempt that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WaitId(u64);

/// An attempt that may be checked now; to be settled by [`Decisions::settle`].
#[derive(Debug)]
#[must_use = "an attempt that is not settled delays those that come after it"]
pub struct Ticket {
    claimant: Claimant,
    /// The source that is limited.
    lane: SourceKey,
    /// The pair was right before.
    proved: bool,
    granted: Tick,
}

/// Outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The secret was right.
    Right,
    /// It was wrong. Attempts with the same fingerprint count once.
    Wrong(Option<Fingerprint>),
    /// There was no check.
    Unchecked,
}

/// Answer to an attempt.
#[derive(Debug)]
pub enum Asked {
    /// It may be checked now.
    Now(Ticket),
    /// It waits.
    Waits(WaitId),
    /// It would have to wait this long, which is too long, or it is one too many.
    Refused(Duration),
}

/// What has become of an attempt that waited.
#[derive(Debug)]
pub enum Turn {
    /// It may be checked now.
    Granted(WaitId, Ticket),
    /// It was one too many.
    Dropped(WaitId, Duration),
}

#[derive(Debug, Clone, Copy)]
struct Waiter {
    id: WaitId,
    claimant: Claimant,
    arrived: Tick,
    /// The lowest rank goes first. Of a name, the newest attempt has the lowest: whoever comes after a burst of somebody
    /// else at the same name does not wait for all of it.
    rank: u64,
    proved: bool,
}

/// The attempts of a source.
#[derive(Debug, Default)]
struct Lane {
    /// Reserved and not settled; without those of proved pairs.
    in_flight: u32,
    /// The next decision, once the source has used up its free attempts.
    next: Tick,
    waiting: VecDeque<Waiter>,
    /// The rank of the last attempt that went on.
    rank: u64,
    /// It is in the ring of those that wait for a decision over all.
    in_ring: bool,
}

/// The attempts at one kind of secret on this node.
#[derive(Debug)]
pub struct Decisions {
    rules: Rules,
    pairs: WrongCounts<(Name, SourceKey)>,
    sources: WrongCounts<SourceKey>,
    /// The /64 networks with wrong attempts of each /48.
    sites: WrongCounts<SourceKey>,
    proved: HashMap<(Name, SourceKey), Tick>,
    proved_until: BTreeSet<(Tick, (Name, SourceKey))>,
    pairs_in_flight: HashMap<(Name, SourceKey), u32>,
    lanes: HashMap<SourceKey, Lane>,
    /// Where each attempt waits.
    waits: HashMap<WaitId, SourceKey>,
    ids: u64,
    /// There were too many wrong attempts over all.
    braked: bool,
    /// Sources with an attempt that waits for nothing but a decision over all.
    ring: VecDeque<SourceKey>,
    /// At this number of lanes the idle ones are removed.
    sweep_at: usize,
}

impl Decisions {
    /// No attempt yet.
    pub fn new(rules: Rules) -> Self {
        let kept = |number: u32| usize::try_from(number).unwrap_or(usize::MAX).min(1 << 10);
        let pair_kept = if rules.pair_free == u32::MAX { 1 } else { kept(rules.pair_free.saturating_add(PAIR_KEPT)) };
        Self {
            pairs: WrongCounts::new(rules.window, pair_kept, rules.max_keys),
            sources: WrongCounts::new(rules.window, kept(rules.source_free), rules.max_keys),
            sites: WrongCounts::new(rules.window, kept(NETS_OF_SITE), rules.max_keys),
            proved: HashMap::new(),
            proved_until: BTreeSet::new(),
            pairs_in_flight: HashMap::new(),
            lanes: HashMap::new(),
            waits: HashMap::new(),
            ids: 0,
            braked: false,
            ring: VecDeque::new(),
            sweep_at: 64,
            rules,
        }
    }

    /// An attempt arrives. It may drop others: those are in `turns`.
    pub fn ask(&mut self, claimant: Claimant, now: Tick, turns: &mut Vec<Turn>) -> Asked {
        let lane = self.lane_of(claimant.source, now);
        let proved = self.is_proved(&claimant, now);
        self.sweep(now);
        self.ids += 1;
        let mut waiter = Waiter { id: WaitId(self.ids), claimant, arrived: now, rank: 0, proved };
        let others_wait = self.lanes.get(&lane).is_some_and(|lane| !lane.waiting.is_empty());
        if (proved || !others_wait && !self.braked && self.source_is_ready(lane, now))
            && self.pair_is_ready(&waiter, now)
        {
            return Asked::Now(self.grant(&waiter, lane, now));
        }
        waiter.rank = self.rank_of(&waiter, lane);
        let wait = self.expected_wait(&waiter, lane, now);
        if self.rules.longest_wait.is_some_and(|longest| wait > longest) {
            return Asked::Refused(wait);
        }
        if !self.make_room(&waiter, lane, now, turns) {
            return Asked::Refused(wait);
        }
        self.waits.insert(waiter.id, lane);
        let waiting = &mut self.lanes.entry(lane).or_default().waiting;
        if matches!(self.rules.queue, QueueRule::ByName(_)) {
            waiting.iter_mut().filter(|other| other.claimant.name == claimant.name).for_each(|other| other.rank += 1);
        }
        waiting.push_back(waiter);
        let before = turns.len();
        self.advance(lane, now, turns);
        let mine = |turn: &Turn| matches!(turn, Turn::Granted(id, _) if *id == waiter.id);
        if let Some(at) = turns.iter().skip(before).position(mine)
            && let Turn::Granted(_, ticket) = turns.remove(before + at)
        {
            return Asked::Now(ticket);
        }
        Asked::Waits(waiter.id)
    }

    /// Whoever waits has gone away.
    pub fn leave(&mut self, id: WaitId, now: Tick, turns: &mut Vec<Turn>) {
        if let Some(key) = self.waits.remove(&id)
            && let Some(lane) = self.lanes.get_mut(&key)
        {
            lane.waiting.retain(|waiter| waiter.id != id);
            self.advance(key, now, turns);
        }
    }

    /// The outcome of a check. True: it counts as a wrong attempt.
    #[expect(clippy::needless_pass_by_value, reason = "a ticket is used once")]
    pub fn settle(&mut self, ticket: Ticket, verdict: Verdict, now: Tick, turns: &mut Vec<Turn>) -> bool {
        let Ticket { claimant, lane, proved, granted } = ticket;
        if let Some(pair) = claimant.pair()
            && let Some(in_flight) = self.pairs_in_flight.get_mut(&pair)
        {
            *in_flight = in_flight.saturating_sub(1);
            if *in_flight == 0 {
                self.pairs_in_flight.remove(&pair);
            }
        }
        if !proved && let Some(lane) = self.lanes.get_mut(&lane) {
            lane.in_flight = lane.in_flight.saturating_sub(1);
        }
        let counted = match verdict {
            Verdict::Right => {
                self.prove(&claimant, now);
                false
            }
            Verdict::Wrong(secret) => self.count(&claimant, proved, secret, now),
            Verdict::Unchecked => false,
        };
        if counted && self.is_paced(lane, now) {
            let next = granted + self.rules.pace;
            let lane = self.lanes.entry(lane).or_default();
            lane.next = lane.next.max(next);
        }
        if counted {
            self.trim_pair(&claimant, lane, now, turns);
            self.trim(lane, now, turns);
        }
        self.advance(lane, now, turns);
        let present = self.lane_of(claimant.source, now);
        if present != lane {
            self.advance(present, now, turns);
        }
        counted
    }

    /// Counts an attempt that was given up without a check. True: it counts.
    pub fn count_unchecked(&mut self, claimant: Claimant, secret: Option<Fingerprint>, now: Tick) -> bool {
        let proved = self.is_proved(&claimant, now);
        self.count(&claimant, proved, secret, now)
    }

    /// Lets pass whoever's time has come where this attempt waits.
    pub fn advance_for(&mut self, id: WaitId, now: Tick, turns: &mut Vec<Turn>) {
        if let Some(lane) = self.waits.get(&id).copied() {
            self.advance(lane, now, turns);
        }
    }

    /// When [`Decisions::advance_for`] may let this attempt pass; `None`: it waits for a settlement or for a decision
    /// over all.
    pub fn due(&self, id: WaitId, now: Tick) -> Option<Tick> {
        let key = self.waits.get(&id)?;
        let lane = self.lanes.get(key)?;
        let waiter = lane.waiting.iter().find(|waiter| waiter.id == id)?;
        let pair = self.pair_due(waiter, now)?;
        if waiter.proved {
            return Some(pair);
        }
        if lane.in_ring && pair <= now {
            return None;
        }
        match self.is_paced(*key, now) {
            true => Some(pair.max(lane.next)),
            false if self.source_is_ready(*key, now) => Some(pair),
            false => (pair > now).then_some(pair),
        }
    }

    /// Whether decisions are limited over all; see [`Decisions::release`].
    pub fn limit_over_all(&mut self, on: bool, now: Tick, turns: &mut Vec<Turn>) {
        let ended = self.braked && !on;
        self.braked = on;
        if ended {
            for lane in std::mem::take(&mut self.ring) {
                if let Some(lane) = self.lanes.get_mut(&lane) {
                    lane.in_ring = false;
                }
                self.advance(lane, now, turns);
            }
        }
    }

    /// Whether decisions are limited over all.
    pub const fn is_braked(&self) -> bool {
        self.braked
    }

    /// How many attempts wait for nothing but a decision over all, counted once for each source.
    pub fn ready(&self) -> usize {
        self.ring.len()
    }

    /// Makes up to `many` decisions over all, one source after the other. Returns how many were left.
    pub fn release(&mut self, many: u32, now: Tick, turns: &mut Vec<Turn>) -> u32 {
        let mut left = many;
        while left > 0
            && let Some(key) = self.ring.pop_front()
        {
            if let Some(lane) = self.lanes.get_mut(&key) {
                lane.in_ring = false;
            }
            if let Some(at) = self.next_waiter(key, now, false) {
                self.grant_waiter(key, at, now, turns);
                left -= 1;
            }
            self.advance(key, now, turns);
        }
        left
    }

    /// Lets pass everybody whose time has come.
    pub fn advance_all(&mut self, now: Tick, turns: &mut Vec<Turn>) {
        let waited_for: Vec<SourceKey> =
            self.lanes.iter().filter(|(_, l)| !l.waiting.is_empty()).map(|(k, _)| *k).collect();
        for lane in waited_for {
            self.advance(lane, now, turns);
        }
    }

    /// How many attempts wait.
    pub fn waiting(&self) -> usize {
        self.waits.len()
    }

    /// The sources that have used up their free attempts, with the number of their wrong ones (at most those that make
    /// a difference), the highest number first.
    pub fn guessing(&self, now: Tick) -> impl Iterator<Item = (SourceKey, u32)> {
        self.sources.at_least(self.rules.source_free, now)
    }

    /// Forgets what no longer makes a difference.
    pub fn forget_old(&mut self, now: Tick) {
        self.pairs.forget_old(now);
        self.sources.forget_old(now);
        self.sites.forget_old(now);
        while let Some((until, pair)) = self.proved_until.first().copied().filter(|(until, _)| *until <= now) {
            self.proved_until.remove(&(until, pair));
            self.proved.remove(&pair);
        }
    }

    /// The source that is limited: the /64 of an IPv6 address, or its /48 if many of its networks are used.
    fn lane_of(&self, source: SourceKey, now: Tick) -> SourceKey {
        match source.site() {
            Some((site, _)) if self.sites.wrong(&site, now) >= NETS_OF_SITE => site,
            _ => source,
        }
    }

    fn is_proved(&self, claimant: &Claimant, now: Tick) -> bool {
        let until = claimant.pair().filter(|_| !self.proved.is_empty()).and_then(|pair| self.proved.get(&pair));
        until.is_some_and(|until| *until > now)
    }

    fn prove(&mut self, claimant: &Claimant, now: Tick) {
        let (Some(keep), Some(pair)) = (self.rules.proved, claimant.pair()) else { return };
        self.pairs.forget(&pair);
        if let Some(before) = self.proved.insert(pair, now + keep) {
            self.proved_until.remove(&(before, pair));
        }
        self.proved_until.insert((now + keep, pair));
        if self.proved.len() > MAX_PROVED
            && let Some((_, oldest)) = self.proved_until.pop_first()
        {
            self.proved.remove(&oldest);
        }
    }

    fn count(&mut self, claimant: &Claimant, proved: bool, secret: Option<Fingerprint>, now: Tick) -> bool {
        let (of_pair, of_source) = match self.rules.once {
            Once::PerPair => (secret, None),
            Once::PerSource => (None, secret),
        };
        if let Some(pair) = claimant.pair()
            && !self.pairs.count(pair, of_pair, now)
        {
            return false;
        }
        if proved {
            // It waits for itself only, and so its mistakes delay nobody else.
            return true;
        }
        let counted = self.sources.count(claimant.source, of_source, now);
        if counted && let Some((site, net)) = claimant.source.site() {
            self.sources.count(site, of_source, now);
            self.sites.count(site, Some(Fingerprint(net)), now);
        }
        counted
    }

    fn is_paced(&self, lane: SourceKey, now: Tick) -> bool {
        self.sources.wrong(&lane, now) >= self.rules.source_free
    }

    /// Whether the source has a free attempt left, or its next decision is due.
    fn source_is_ready(&self, key: SourceKey, now: Tick) -> bool {
        let wrong = self.sources.wrong(&key, now);
        let lane = self.lanes.get(&key);
        match self.rules.source_free.checked_sub(wrong) {
            None | Some(0) => lane.is_none_or(|lane| lane.next <= now),
            Some(left) => lane.is_none_or(|lane| lane.in_flight < left),
        }
    }

    fn pair_is_ready(&self, waiter: &Waiter, now: Tick) -> bool {
        self.pair_due(waiter, now).is_some_and(|due| due <= now)
    }

    /// When the pair may be decided; `None`: after the attempts that are under way.
    fn pair_due(&self, waiter: &Waiter, now: Tick) -> Option<Tick> {
        let Some(pair) = waiter.claimant.pair() else { return Some(now) };
        let wrong = self.pairs.wrong(&pair, now);
        let in_flight = self.pairs_in_flight.get(&pair).copied().unwrap_or(0);
        if wrong.saturating_add(in_flight) < self.rules.pair_free {
            return Some(now);
        }
        if in_flight > 0 {
            return None;
        }
        let from = self.pairs.newest(&pair).map_or(waiter.arrived, |newest| newest.max(waiter.arrived));
        Some(from + self.rules.pair_delay(wrong))
    }

    fn rank_of(&self, waiter: &Waiter, lane: SourceKey) -> u64 {
        let (QueueRule::ByName(_), Some(lane)) = (self.rules.queue, self.lanes.get(&lane)) else { return 0 };
        let own = lane.waiting.iter().filter(|other| other.claimant.name == waiter.claimant.name);
        own.map(|other| other.rank).min().unwrap_or(lane.rank)
    }

    /// How long an attempt waits if all before it are wrong.
    fn expected_wait(&self, waiter: &Waiter, key: SourceKey, now: Tick) -> Duration {
        let pair = self.pair_due(waiter, now).map_or(Duration::ZERO, |due| due.since(now));
        if waiter.proved {
            return pair;
        }
        let lane = self.lanes.get(&key);
        let newest_first = matches!(self.rules.queue, QueueRule::ByName(_));
        let is_ahead = |other: &&Waiter| {
            other.rank < waiter.rank
                || other.rank == waiter.rank && !(newest_first && other.claimant.name == waiter.claimant.name)
        };
        let ahead = lane.map_or(0, |lane| lane.waiting.iter().filter(is_ahead).count());
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        let mut wait = pair;
        if self.is_paced(key, now) {
            let next = lane.map_or(Duration::ZERO, |lane| lane.next.since(now));
            wait = wait.max(next.saturating_add(self.rules.pace.saturating_mul(ahead)));
        }
        if self.braked {
            let turns = u32::try_from(self.ring.len()).unwrap_or(u32::MAX).saturating_mul(ahead.saturating_add(1));
            wait = wait.max(Duration::from_secs((turns / self.rules.per_second.max(1)).into()));
        }
        wait
    }

    /// Whether it waits for more than the checks under way.
    fn is_limited(&self, waiter: &Waiter, paced: bool, now: Tick) -> bool {
        let delayed =
            || waiter.claimant.pair().is_some_and(|pair| self.pairs.wrong(&pair, now) >= self.rules.pair_free);
        !waiter.proved && (paced || self.braked || delayed())
    }

    /// Whether there is room for one more; may drop another one.
    fn make_room(&mut self, waiter: &Waiter, key: SourceKey, now: Tick, turns: &mut Vec<Turn>) -> bool {
        let paced = self.is_paced(key, now);
        let Some(lane) = self.lanes.get(&key) else { return true };
        let name = waiter.claimant.name;
        let limited = self.is_limited(&Waiter { proved: false, ..*waiter }, paced, now);
        if !limited {
            return true;
        }
        let own = lane.waiting.iter().filter(|other| other.claimant.name == name).count();
        if matches!(self.rules.queue, QueueRule::ByName(most) if own >= most) {
            if let Some(oldest) = lane.waiting.iter().position(|other| other.claimant.name == name) {
                self.drop_waiter(key, oldest, now, turns);
            }
            return true;
        }
        let is_limited = |other: &&Waiter| self.is_limited(other, paced, now);
        if waiter.proved || lane.waiting.iter().filter(is_limited).count() < self.rules.waiting {
            return true;
        }
        let victim = match self.rules.queue {
            QueueRule::DropOldest => lane.waiting.iter().position(|other| is_limited(&other)),
            QueueRule::InOrder => None,
            QueueRule::ByName(_) => {
                let mut names: HashMap<Option<Name>, (usize, usize)> = HashMap::new();
                for (at, other) in lane.waiting.iter().enumerate().filter(|(_, other)| is_limited(other)) {
                    let (many, _) = names.entry(other.claimant.name).or_insert((0, at));
                    *many += 1;
                }
                names.into_values().max().filter(|(many, _)| *many > own + 1).map(|(_, oldest)| oldest)
            }
        };
        match victim {
            Some(at) => {
                self.drop_waiter(key, at, now, turns);
                true
            }
            None => false,
        }
    }

    /// A pair that has just used up its free attempts keeps only so many that wait.
    fn trim_pair(&mut self, claimant: &Claimant, key: SourceKey, now: Tick, turns: &mut Vec<Turn>) {
        let (QueueRule::ByName(most), Some(pair)) = (self.rules.queue, claimant.pair()) else { return };
        if self.pairs.wrong(&pair, now) < self.rules.pair_free {
            return;
        }
        while let Some(lane) = self.lanes.get(&key) {
            let own = |waiter: &Waiter| waiter.claimant.pair() == Some(pair);
            let Some(oldest) = lane.waiting.iter().position(own) else { return };
            if lane.waiting.iter().filter(|waiter| own(waiter)).count() <= most {
                return;
            }
            self.drop_waiter(key, oldest, now, turns);
        }
    }

    /// A source that has just used up its free attempts keeps only so many that wait.
    fn trim(&mut self, key: SourceKey, now: Tick, turns: &mut Vec<Turn>) {
        if !self.is_paced(key, now) {
            return;
        }
        loop {
            let Some(lane) = self.lanes.get(&key) else { return };
            if lane.waiting.iter().filter(|waiter| !waiter.proved).count() <= self.rules.waiting {
                return;
            }
            let victim = match self.rules.queue {
                QueueRule::DropOldest => lane.waiting.iter().position(|waiter| !waiter.proved),
                QueueRule::InOrder | QueueRule::ByName(_) => lane.waiting.iter().rposition(|waiter| !waiter.proved),
            };
            let Some(at) = victim else { return };
            self.drop_waiter(key, at, now, turns);
        }
    }

    fn drop_waiter(&mut self, key: SourceKey, at: usize, now: Tick, turns: &mut Vec<Turn>) {
        let waiter = self.lanes.get_mut(&key).and_then(|lane| lane.waiting.remove(at));
        if let Some(waiter) = waiter {
            self.waits.remove(&waiter.id);
            let after = self.expected_wait(&waiter, key, now);
            turns.push(Turn::Dropped(waiter.id, after));
        }
    }

    /// Which attempt goes on next: of proved pairs only, or of any.
    fn next_waiter(&self, key: SourceKey, now: Tick, proved_only: bool) -> Option<usize> {
        let lane = self.lanes.get(&key)?;
        let any = !proved_only && self.source_is_ready(key, now);
        let may = |waiter: &Waiter| (waiter.proved || any) && self.pair_is_ready(waiter, now);
        let mut ready = lane.waiting.iter().enumerate().filter(|(_, waiter)| may(waiter));
        match self.rules.queue {
            QueueRule::DropOldest | QueueRule::InOrder => ready.next().map(|(at, _)| at),
            // Of equal ranks, the first.
            QueueRule::ByName(_) => ready.min_by_key(|(_, waiter)| waiter.rank).map(|(at, _)| at),
        }
    }

    fn advance(&mut self, key: SourceKey, now: Tick, turns: &mut Vec<Turn>) {
        while let Some(at) = self.next_waiter(key, now, self.braked) {
            self.grant_waiter(key, at, now, turns);
        }
        if self.braked && self.next_waiter(key, now, false).is_some() {
            let lane = self.lanes.entry(key).or_default();
            if !std::mem::replace(&mut lane.in_ring, true) {
                self.ring.push_back(key);
            }
        }
    }

    fn grant_waiter(&mut self, key: SourceKey, at: usize, now: Tick, turns: &mut Vec<Turn>) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let Some(waiter) = lane.waiting.remove(at) else { return };
        lane.rank = lane.rank.max(waiter.rank);
        self.waits.remove(&waiter.id);
        let ticket = self.grant(&waiter, key, now);
        turns.push(Turn::Granted(waiter.id, ticket));
    }

    fn grant(&mut self, waiter: &Waiter, key: SourceKey, now: Tick) -> Ticket {
        if let Some(pair) = waiter.claimant.pair() {
            *self.pairs_in_flight.entry(pair).or_default() += 1;
        }
        if !waiter.proved {
            let paced = self.is_paced(key, now);
            let lane = self.lanes.entry(key).or_default();
            lane.in_flight += 1;
            if paced {
                lane.next = now + self.rules.pace;
            }
        }
        Ticket { claimant: waiter.claimant, lane: key, proved: waiter.proved, granted: now }
    }

    fn sweep(&mut self, now: Tick) {
        if self.lanes.len() >= self.sweep_at {
            self.lanes.retain(|_, lane| lane.in_flight > 0 || !lane.waiting.is_empty() || lane.next > now);
            self.sweep_at = (self.lanes.len() * 2).max(64);
        }
    }
}

#[cfg(test)]
mod tests;
