//! Who gives way when places, or memory, for connections that have proved nothing get scarce
//! (`docs/operations.md`, "Places").
//!
//! Connections that have proved who they are are not kept here: they hold their place whatever others do. Of the others
//! the source with the most of them gives way first, its oldest first; a source that exceeds its share of the memory,
//! or the one that holds the most, gives way in the same manner. No number per source is fixed: nobody gives way while
//! there is room.
//!
//! A healthy peer proves itself within a second, so whoever is younger than [`QUIET`], or waits for us, is passed over
//! where that is possible: otherwise a crowd of newcomers from one address could push each other out for ever. All
//! operations take constant time, except those on memory, which take logarithmic time.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::core::model::time::Tick;
use crate::core::policy::limits::SourceKey;

/// Whoever has been here for less than this does not give way to newcomers of a source that holds as many places.
pub const QUIET: Duration = Duration::from_secs(1);

/// Who waits for us is passed over for this long after it has come.
pub const SERVED_WITHIN: Duration = Duration::from_secs(10);

/// How many entries that are passed over are looked at in one search.
const LOOKS: usize = 16;

/// No entry.
const NONE: u32 = u32::MAX;

/// What a connection without proof is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The peer has to send something.
    AwaitsPeer,
    /// The peer waits for our answer.
    AwaitsUs,
    /// It has shown a credential that is valid for its present request.
    Authenticated,
}

/// The place of a connection; valid until it is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlaceId(u32);

/// Bounds of the memory of all connections without proof, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// In all.
    pub total: usize,
    /// Of one source.
    pub source: usize,
}

impl Budget {
    /// A source may hold a quarter of `total`.
    pub const fn new(total: usize) -> Self {
        Self { total, source: total / 4 }
    }
}

/// Room for a newcomer.
#[derive(Debug, PartialEq, Eq)]
pub enum Room<T> {
    /// There is room.
    Free,
    /// This one gives way and is removed.
    Instead(T),
    /// Somebody may give way after this time.
    Later(Duration),
    /// Nobody gives way.
    None,
}

#[derive(Debug, Clone, Copy)]
struct Link {
    prev: u32,
    next: u32,
}

#[derive(Debug, Clone, Copy)]
struct List {
    head: u32,
    tail: u32,
}

const UNLINKED: Link = Link { prev: NONE, next: NONE };
const EMPTY: List = List { head: NONE, tail: NONE };

/// The lists that an entry is in, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// All entries.
    All = 0,
    /// Those of its source.
    Source = 1,
}

#[derive(Debug)]
struct Entry<T> {
    /// `None`: not in use.
    who: Option<T>,
    source: u32,
    since: Tick,
    number: u64,
    bytes: usize,
    links: [Link; 2],
}

/// What one source holds.
#[derive(Debug)]
struct Share {
    source: SourceKey,
    entries: List,
    count: usize,
    bytes: usize,
    /// Among the sources with the same count.
    link: Link,
}

/// Connections that have proved nothing, by source.
#[derive(Debug)]
pub struct Places<T> {
    entries: Vec<Entry<T>>,
    unused: Vec<u32>,
    all: List,
    len: usize,
    numbers: u64,
    sources: HashMap<SourceKey, u32>,
    shares: Vec<Share>,
    unused_shares: Vec<u32>,
    /// The first source with each count.
    counts: Vec<u32>,
    /// The highest count of a source.
    most: usize,
    bytes: usize,
    /// Sources that hold memory, by how much.
    heavy: BTreeSet<(usize, u32)>,
    /// Entries that hold memory, by source and age.
    holders: BTreeSet<(u32, u64, u32)>,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            unused: Vec::new(),
            all: EMPTY,
            len: 0,
            numbers: 0,
            sources: HashMap::new(),
            shares: Vec::new(),
            unused_shares: Vec::new(),
            counts: vec![NONE],
            most: 0,
            bytes: 0,
            heavy: BTreeSet::new(),
            holders: BTreeSet::new(),
        }
    }
}

impl<T> Places<T> {
    /// How many there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many of this source there are.
    pub fn of(&self, source: SourceKey) -> usize {
        self.sources.get(&source).map_or(0, |&share| self.shares[share as usize].count)
    }

    /// Bytes that are held in all.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes in a connection, without regard to bounds.
    pub fn enter(&mut self, source: SourceKey, now: Tick, who: T) -> PlaceId {
        let share = self.share_of(source);
        self.numbers += 1;
        let entry =
            Entry { who: Some(who), source: share, since: now, number: self.numbers, bytes: 0, links: [UNLINKED; 2] };
        let id = if let Some(id) = self.unused.pop() {
            self.entries[id as usize] = entry;
            id
        } else {
            self.entries.push(entry);
            // More than four thousand million open connections do not fit into the memory of a machine.
            u32::try_from(self.entries.len() - 1).unwrap_or(NONE)
        };
        self.append(Order::All, id);
        self.append(Order::Source, id);
        self.len += 1;
        self.recount(share, 1);
        PlaceId(id)
    }

    /// Takes a connection out: it has ended, proved itself, or gives way.
    pub fn remove(&mut self, PlaceId(id): PlaceId) -> Option<T> {
        let who = self.entries.get_mut(id as usize)?.who.take()?;
        self.weigh(PlaceId(id), 0);
        self.unlink(Order::All, id);
        self.unlink(Order::Source, id);
        self.len -= 1;
        self.recount(self.entries[id as usize].source, -1);
        self.unused.push(id);
        Some(who)
    }

    /// Makes room for a newcomer if there are `most` or more.
    pub fn make_room(
        &mut self,
        newcomer: SourceKey,
        now: Tick,
        most: usize,
        standing: impl Fn(&T) -> Standing,
    ) -> Room<T> {
        if self.len < most {
            return Room::Free;
        }
        match self.gives_way(newcomer, now, standing) {
            Ok(id) => self.remove(id).map_or(Room::None, Room::Instead),
            Err(Some(after)) => Room::Later(after),
            Err(None) => Room::None,
        }
    }

    /// Removes one that gives way although there are places, because something else is short.
    pub fn evict(&mut self, newcomer: SourceKey, now: Tick, standing: impl Fn(&T) -> Standing) -> Option<T> {
        let id = self.gives_way(newcomer, now, standing).ok()?;
        self.remove(id)
    }

    /// Who gives way; else after which time somebody may.
    fn gives_way(
        &mut self,
        newcomer: SourceKey,
        now: Tick,
        standing: impl Fn(&T) -> Standing,
    ) -> Result<PlaceId, Option<Duration>> {
        let Some(&biggest) = self.counts.get(self.most).filter(|_| self.most > 0) else { return Err(None) };
        let of_biggest = self.oldest(Order::Source, self.shares[biggest as usize].entries.head, now, &standing);
        let of_all = self.oldest(Order::All, self.all.head, now, &standing);
        let age = |id: u32| now.since(self.entries[id as usize].since);
        let quiet = [of_biggest, of_all].into_iter().flatten().find(|id| age(*id) >= QUIET);
        if let Some(id) = quiet {
            return Ok(PlaceId(id));
        }
        // A young one only if that makes the shares more even; then even one that waits for us.
        if self.most > self.of(newcomer) + 1 {
            let head = self.shares[biggest as usize].entries.head;
            let hurried = |who: &T| match standing(who) {
                Standing::Authenticated => Standing::Authenticated,
                Standing::AwaitsPeer | Standing::AwaitsUs => Standing::AwaitsPeer,
            };
            if let Some(id) = of_biggest.or_else(|| self.oldest(Order::Source, head, now, hurried)) {
                return Ok(PlaceId(id));
            }
        }
        let age = |id: u32| now.since(self.entries[id as usize].since);
        Err([of_biggest, of_all].into_iter().flatten().map(|id| QUIET.saturating_sub(age(id))).min())
    }

    /// The oldest of a list that is not passed over. Those that are go to its end, so that they are not looked at by
    /// each newcomer.
    fn oldest(&mut self, order: Order, head: u32, now: Tick, standing: impl Fn(&T) -> Standing) -> Option<u32> {
        let mut id = head;
        for _ in 0..LOOKS {
            let entry = self.entries.get(id as usize)?;
            let next = entry.links[order as usize].next;
            let passed_over = match entry.who.as_ref().map(&standing)? {
                Standing::AwaitsPeer => false,
                Standing::AwaitsUs => now.since(entry.since) < SERVED_WITHIN,
                Standing::Authenticated => true,
            };
            if !passed_over {
                return Some(id);
            }
            if next == NONE {
                return None;
            }
            self.unlink(order, id);
            self.append(order, id);
            id = next;
        }
        None
    }

    /// This connection holds so many bytes now.
    pub fn weigh(&mut self, PlaceId(id): PlaceId, bytes: usize) {
        let Some(entry) = self.entries.get_mut(id as usize) else { return };
        let (source, number) = (entry.source, entry.number);
        let before = std::mem::replace(&mut entry.bytes, bytes);
        if before == bytes {
            return;
        }
        let share = &mut self.shares[source as usize];
        let held = share.bytes;
        share.bytes = held - before + bytes;
        let holds = share.bytes;
        self.bytes = self.bytes - before + bytes;
        if held > 0 {
            self.heavy.remove(&(held, source));
        }
        if holds > 0 {
            self.heavy.insert((holds, source));
        }
        if before == 0 {
            self.holders.insert((source, number, id));
        } else if bytes == 0 {
            self.holders.remove(&(source, number, id));
        }
    }

    /// Removes one that gives way because the memory is more than the budget allows: the oldest holder of the source that
    /// holds the most. To be called until there is none.
    pub fn over_budget(&mut self, budget: Budget) -> Option<T> {
        let &(held, source) = self.heavy.last()?;
        if self.bytes <= budget.total && held <= budget.source {
            return None;
        }
        let &(_, _, id) = self.holders.range((source, 0, 0)..=(source, u64::MAX, u32::MAX)).next()?;
        self.remove(PlaceId(id))
    }

    fn share_of(&mut self, source: SourceKey) -> u32 {
        if let Some(&share) = self.sources.get(&source) {
            return share;
        }
        let share = Share { source, entries: EMPTY, count: 0, bytes: 0, link: UNLINKED };
        let number = if let Some(number) = self.unused_shares.pop() {
            self.shares[number as usize] = share;
            number
        } else {
            self.shares.push(share);
            u32::try_from(self.shares.len() - 1).unwrap_or(NONE)
        };
        self.sources.insert(source, number);
        number
    }

    /// The source has one more or one fewer.
    fn recount(&mut self, share: u32, by: isize) {
        let before = self.shares[share as usize].count;
        let after = before.saturating_add_signed(by);
        self.shares[share as usize].count = after;
        if before > 0 {
            let Link { prev, next } = std::mem::replace(&mut self.shares[share as usize].link, UNLINKED);
            if prev == NONE {
                self.counts[before] = next;
            } else {
                self.shares[prev as usize].link.next = next;
            }
            if next != NONE {
                self.shares[next as usize].link.prev = prev;
            }
        }
        if after == 0 {
            self.sources.remove(&self.shares[share as usize].source);
            self.unused_shares.push(share);
        } else {
            if self.counts.len() <= after {
                self.counts.resize(after + 1, NONE);
            }
            let first = std::mem::replace(&mut self.counts[after], share);
            self.shares[share as usize].link = Link { prev: NONE, next: first };
            if first != NONE {
                self.shares[first as usize].link.prev = share;
            }
        }
        if after > self.most {
            self.most = after;
        } else if self.most > 0 && self.counts[self.most] == NONE {
            // A count changes by one, so the next one is taken, or there is no source left.
            self.most -= 1;
        }
    }

    fn list(&mut self, order: Order, id: u32) -> &mut List {
        match order {
            Order::All => &mut self.all,
            Order::Source => &mut self.shares[self.entries[id as usize].source as usize].entries,
        }
    }

    fn append(&mut self, order: Order, id: u32) {
        let list = self.list(order, id);
        let tail = std::mem::replace(&mut list.tail, id);
        if tail == NONE {
            list.head = id;
        } else {
            self.entries[tail as usize].links[order as usize].next = id;
        }
        self.entries[id as usize].links[order as usize] = Link { prev: tail, next: NONE };
    }

    fn unlink(&mut self, order: Order, id: u32) {
        let Link { prev, next } = std::mem::replace(&mut self.entries[id as usize].links[order as usize], UNLINKED);
        let list = self.list(order, id);
        if prev == NONE {
            list.head = next;
        }
        if next == NONE {
            list.tail = prev;
        }
        if prev != NONE {
            self.entries[prev as usize].links[order as usize].next = next;
        }
        if next != NONE {
            self.entries[next as usize].links[order as usize].prev = prev;
        }
    }
}

#[cfg(test)]
mod tests;
