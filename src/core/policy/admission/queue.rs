//! Who is next: ranks, lanes within a rank, and arrival within a lane.
//!
//! Lanes of a rank take turns, so one with many entries does not delay another one with few. A better rank goes first, but
//! after [`PATIENCE`] grants that passed it over a worse one has its turn. When there is no room, it is made in the longest lane.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::Hash;

use crate::core::model::time::Tick;

/// Who goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// Devices that belong to a domain: they were in service and are missed.
    Known,
    /// Devices without a domain that bring a code or a query: somebody waits beside them.
    Entering,
    /// Anybody else.
    Other,
}

impl Rank {
    /// All ranks, the best first.
    pub const ALL: [Self; 3] = [Self::Known, Self::Entering, Self::Other];
}

/// Grants that may pass over a rank that waits. Of three ranks each is so served at least once in `PATIENCE + 2` grants.
pub const PATIENCE: u32 = 7;

/// A place in the queue; later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueuePosition(u64);

/// A lane has a number for as long as somebody waits in it.
type LaneNumber = u64;

#[derive(Debug)]
struct Lane<L, T> {
    name: L,
    rank: Rank,
    entries: BTreeMap<QueuePosition, T>,
}

#[derive(Debug, Default)]
struct Class {
    turns: VecDeque<LaneNumber>,
    waiting: usize,
    passed: u32,
    /// By length, for the longest.
    lengths: BTreeSet<(usize, LaneNumber)>,
}

/// Everybody who waits. It has no bound of its own; its owner has.
#[derive(Debug)]
pub struct FairQueue<L, T> {
    classes: [Class; 3],
    lanes: HashMap<LaneNumber, Lane<L, T>>,
    numbers: HashMap<(Rank, L), LaneNumber>,
    arrivals: BTreeMap<QueuePosition, (Tick, LaneNumber)>,
    last: u64,
}

impl<L, T> Default for FairQueue<L, T> {
    fn default() -> Self {
        Self {
            classes: Default::default(),
            lanes: HashMap::new(),
            numbers: HashMap::new(),
            arrivals: BTreeMap::new(),
            last: 0,
        }
    }
}

impl<L: Clone + Eq + Hash, T> FairQueue<L, T> {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.arrivals.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.arrivals.is_empty()
    }

    /// Puts an entry at the end of its lane.
    pub fn push(&mut self, rank: Rank, lane: &L, entry: T, now: Tick) -> QueuePosition {
        self.last += 1;
        let ticket = QueuePosition(self.last);
        let key = (rank, lane.clone());
        let number = *self.numbers.entry(key).or_insert(self.last);
        let lane =
            self.lanes.entry(number).or_insert_with(|| Lane { name: lane.clone(), rank, entries: BTreeMap::new() });
        let class = &mut self.classes[rank as usize];
        let before = lane.entries.len();
        if before == 0 {
            class.turns.push_back(number);
        }
        lane.entries.insert(ticket, entry);
        class.waiting += 1;
        class.lengths.remove(&(before, number));
        class.lengths.insert((before + 1, number));
        self.arrivals.insert(ticket, (now, number));
        ticket
    }

    /// Takes the next one, with its arrival.
    pub fn pop(&mut self) -> Option<(T, Tick)> {
        let chosen = self.next_class()?;
        for (at, class) in self.classes.iter_mut().enumerate() {
            class.passed = if at == chosen || class.waiting == 0 { 0 } else { class.passed + 1 };
        }
        let number = self.classes[chosen].turns.pop_front()?;
        let (&ticket, _) = self.lanes.get(&number)?.entries.first_key_value()?;
        // Its turn is given back before the entry goes: a lane that is empty then loses it again.
        self.classes[chosen].turns.push_back(number);
        self.remove(ticket)
    }

    fn next_class(&self) -> Option<usize> {
        let waiting = || self.classes.iter().enumerate().filter(|(_, class)| class.waiting > 0);
        let overdue = waiting().filter(|(_, class)| class.passed >= PATIENCE).max_by_key(|(_, class)| class.passed);
        overdue.or_else(|| waiting().next()).map(|(at, _)| at)
    }

    /// Takes one out, wherever it stands; `None` if it is not there any more.
    pub fn remove(&mut self, ticket: QueuePosition) -> Option<(T, Tick)> {
        let (arrived, number) = self.arrivals.remove(&ticket)?;
        let lane = self.lanes.get_mut(&number)?;
        let before = lane.entries.len();
        let entry = lane.entries.remove(&ticket)?;
        let class = &mut self.classes[lane.rank as usize];
        class.waiting -= 1;
        class.lengths.remove(&(before, number));
        if before > 1 {
            class.lengths.insert((before - 1, number));
        } else if let Some(lane) = self.lanes.remove(&number) {
            // At the end if it was just its turn; elsewhere only when its last entry went away by itself.
            if class.turns.back() == Some(&number) {
                class.turns.pop_back();
            } else {
                class.turns.retain(|other| *other != number);
            }
            self.numbers.remove(&(lane.rank, lane.name));
        }
        Some((entry, arrived))
    }

    /// Takes the first that arrived at `by` or before.
    pub fn pop_arrived(&mut self, by: Tick) -> Option<(T, Tick)> {
        let (&ticket, _) = self.arrivals.first_key_value().filter(|(_, (arrived, _))| *arrived <= by)?;
        self.remove(ticket)
    }

    /// Makes room for one more of this lane: takes the newest of the longest lane, from the worst rank first. `None` if
    /// nobody has to stand back for it.
    pub fn push_out(&mut self, rank: Rank, lane: &L) -> Option<T> {
        let own = self.length(rank, lane);
        let victim = Rank::ALL.into_iter().rev().take_while(|other| *other >= rank).find_map(|other| {
            let &(length, number) = self.classes[other as usize].lengths.last()?;
            // Among equals only if that makes the lanes more even.
            (other > rank || length > own + 1).then_some(number)
        })?;
        let (&ticket, _) = self.lanes.get(&victim)?.entries.last_key_value()?;
        self.remove(ticket).map(|(entry, _)| entry)
    }

    fn length(&self, rank: Rank, lane: &L) -> usize {
        let number = self.numbers.get(&(rank, lane.clone()));
        number.and_then(|number| self.lanes.get(number)).map_or(0, |lane| lane.entries.len())
    }

    /// About how many would be served before one more of this lane.
    pub fn ahead(&self, rank: Rank, lane: &L) -> usize {
        let class = &self.classes[rank as usize];
        let own = class.waiting.min((self.length(rank, lane) + 1).saturating_mul(class.turns.len()));
        let better: usize = self.classes[..rank as usize].iter().map(|class| class.waiting).sum();
        own + better.min((own + 1).saturating_mul(PATIENCE as usize))
    }
}
