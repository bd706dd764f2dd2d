//! How many wrong attempts at a secret are free, and what waits from then on.

use std::time::Duration;

/// The rules for one kind of secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Time over which wrong attempts count.
    pub window: Duration,
    /// Wrong attempts of a pair of name and source that delay nothing.
    pub pair_free: u32,
    /// Longest delay of a pair.
    pub pair_longest: Duration,
    /// Wrong attempts of a source that delay nothing.
    pub source_free: u32,
    /// From then on one attempt of the source is decided in this time.
    pub pace: Duration,
    /// Attempts of such a source that may wait.
    pub waiting: usize,
    /// Which of them goes on first, and what happens when there are too many.
    pub queue: QueueRule,
    /// An attempt that would wait longer is refused; `None`: it waits as long as it takes.
    pub longest_wait: Option<Duration>,
    /// Wrong attempts within a minute over all, above which decisions are limited over all.
    pub per_minute: u64,
    /// That limit, in decisions per second.
    pub per_second: u32,
    /// How long a pair that was right waits for itself only; `None`: not at all.
    pub proved: Option<Duration>,
    /// Which attempts with the same secret count once.
    pub once: Once,
    /// Names and sources that are remembered.
    pub max_keys: usize,
}

/// The order of the attempts that wait for their source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueRule {
    /// In the order in which they came; one too many drops the oldest.
    DropOldest,
    /// In the order in which they came; one too many is refused.
    InOrder,
    /// One name after the other, each with at most this many, its newest first. One too many of a name takes the place of
    /// its oldest; one too many of the source is refused, or takes that of the name with the most.
    ByName(usize),
}

/// Which attempts with the same secret count once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Once {
    /// Those of a pair; an attempt without a name counts each time.
    PerPair,
    /// Those of a source, whatever name they give.
    PerSource,
}

/// The delay after `wrong` wrong attempts of which `free` delay nothing: 1, 2, 4 … seconds, at most `longest`.
pub fn delay(wrong: u32, free: u32, longest: Duration) -> Duration {
    match wrong.checked_sub(free) {
        None => Duration::ZERO,
        Some(excess) => longest.min(Duration::from_secs(1_u64 << excess.min(32))),
    }
}

impl Rules {
    /// The delay of a pair with so many wrong attempts.
    pub fn pair_delay(&self, wrong: u32) -> Duration {
        delay(wrong, self.pair_free, self.pair_longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest() {
        let codes = |bad| delay(bad, 10, Duration::from_secs(600)).as_secs();
        assert_eq!([9, 10, 11, 15, 19, 20, 21, 100].map(codes), [0, 1, 2, 32, 512, 600, 600, 600]);
        assert_eq!(delay(u32::MAX, 0, Duration::from_secs(30)), Duration::from_secs(30));
        assert_eq!(delay(5, u32::MAX, Duration::from_secs(30)), Duration::ZERO);
    }
}
