//! A fair queue: ranks, lanes within a rank, and order of arrival within a lane.
//!
//! The lanes of a rank take turns, so a lane with many entries does not delay one with few. A better rank goes first,
//! but a waiting rank gets its turn after [`MAX_PASSED_OVER`] grants to others. Room is made by evicting from the
//! longest lane.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::Hash;

use crate::core::model::time::Tick;

/// Order at a gate, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// Devices that belong to a domain: they were in service before.
    Known,
    /// Devices without a domain that bring a code or a query: a person waits for them.
    Entering,
    /// Anybody else.
    Other,
}

impl Rank {
    /// All ranks, the best first.
    pub const ALL: [Self; 3] = [Self::Known, Self::Entering, Self::Other];
}

/// A rank that waits is passed over by this many grants at most. So each of the three ranks gets at least one of
/// `MAX_PASSED_OVER + 2` grants.
pub const MAX_PASSED_OVER: u32 = 7;

/// Position in the queue; later entries have greater ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueuePosition(u64);

/// Number of a lane, valid while entries wait in it.
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
    /// Lanes by their length, to find the longest.
    lengths: BTreeSet<(usize, LaneNumber)>,
}

/// The queue. It is unbounded; its owner bounds it.
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
    /// How many entries wait.
    pub fn len(&self) -> usize {
        self.arrivals.len()
    }

    /// Whether no entry waits.
    pub fn is_empty(&self) -> bool {
        self.arrivals.is_empty()
    }

    /// Appends an entry to its lane.
    pub fn push(&mut self, rank: Rank, lane: &L, entry: T, now: Tick) -> QueuePosition {
        self.last += 1;
        let position = QueuePosition(self.last);
        let key = (rank, lane.clone());
        let number = *self.numbers.entry(key).or_insert(self.last);
        let lane =
            self.lanes.entry(number).or_insert_with(|| Lane { name: lane.clone(), rank, entries: BTreeMap::new() });
        let class = &mut self.classes[rank as usize];
        let before = lane.entries.len();
        if before == 0 {
            class.turns.push_back(number);
        }
        lane.entries.insert(position, entry);
        class.waiting += 1;
        class.lengths.remove(&(before, number));
        class.lengths.insert((before + 1, number));
        self.arrivals.insert(position, (now, number));
        position
    }

    /// Takes the next entry, with its time of arrival.
    pub fn pop(&mut self) -> Option<(T, Tick)> {
        let chosen = self.next_class()?;
        for (at, class) in self.classes.iter_mut().enumerate() {
            class.passed = if at == chosen || class.waiting == 0 { 0 } else { class.passed + 1 };
        }
        let number = self.classes[chosen].turns.pop_front()?;
        let (&position, _) = self.lanes.get(&number)?.entries.first_key_value()?;
        // Requeue the lane before removing the entry: `remove` drops an empty lane from the end of the turns.
        self.classes[chosen].turns.push_back(number);
        self.remove(position)
    }

    fn next_class(&self) -> Option<usize> {
        let waiting = || self.classes.iter().enumerate().filter(|(_, class)| class.waiting > 0);
        let overdue =
            waiting().filter(|(_, class)| class.passed >= MAX_PASSED_OVER).max_by_key(|(_, class)| class.passed);
        overdue.or_else(|| waiting().next()).map(|(at, _)| at)
    }

    /// Removes an entry from anywhere in the queue; `None` if it is not there any more.
    pub fn remove(&mut self, position: QueuePosition) -> Option<(T, Tick)> {
        let (arrived, number) = self.arrivals.remove(&position)?;
        let lane = self.lanes.get_mut(&number)?;
        let before = lane.entries.len();
        let entry = lane.entries.remove(&position)?;
        let class = &mut self.classes[lane.rank as usize];
        class.waiting -= 1;
        class.lengths.remove(&(before, number));
        if before > 1 {
            class.lengths.insert((before - 1, number));
        } else if let Some(lane) = self.lanes.remove(&number) {
            // It is at the end if `pop` has just requeued it; elsewhere if its last entry was removed out of turn.
            if class.turns.back() == Some(&number) {
                class.turns.pop_back();
            } else {
                class.turns.retain(|other| *other != number);
            }
            self.numbers.remove(&(lane.rank, lane.name));
        }
        Some((entry, arrived))
    }

    /// Takes the oldest entry if it arrived at `by` or before.
    pub fn pop_arrived(&mut self, by: Tick) -> Option<(T, Tick)> {
        let (&position, _) = self.arrivals.first_key_value().filter(|(_, (arrived, _))| *arrived <= by)?;
        self.remove(position)
    }

    /// Makes room for one more entry of this lane: removes the newest entry of the longest lane, starting with the
    /// worst rank. `None` if no entry has to make room.
    pub fn evict(&mut self, rank: Rank, lane: &L) -> Option<T> {
        let own = self.length(rank, lane);
        let victim = Rank::ALL.into_iter().rev().take_while(|other| *other >= rank).find_map(|other| {
            let &(length, number) = self.classes[other as usize].lengths.last()?;
            // Within the same rank only if that makes the lanes more even.
            (other > rank || length > own + 1).then_some(number)
        })?;
        let (&position, _) = self.lanes.get(&victim)?.entries.last_key_value()?;
        self.remove(position).map(|(entry, _)| entry)
    }

    fn length(&self, rank: Rank, lane: &L) -> usize {
        let number = self.numbers.get(&(rank, lane.clone()));
        number.and_then(|number| self.lanes.get(number)).map_or(0, |lane| lane.entries.len())
    }

    /// About how many entries are admitted before one more of this lane.
    pub fn ahead(&self, rank: Rank, lane: &L) -> usize {
        let class = &self.classes[rank as usize];
        let own = class.waiting.min((self.length(rank, lane) + 1).saturating_mul(class.turns.len()));
        let better: usize = self.classes[..rank as usize].iter().map(|class| class.waiting).sum();
        own + better.min((own + 1).saturating_mul(MAX_PASSED_OVER as usize))
    }
}
