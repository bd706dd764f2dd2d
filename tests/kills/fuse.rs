//! Determines when a broker is killed: after a random number of messages of a round, plus a random delay.

use std::cell::{Cell, RefCell};
use std::hint::spin_loop;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::broker::Process;

/// Random numbers from a seed (`SplitMix64`).
pub struct Rng(u64);

impl Rng {
    /// The same numbers every time, or others by `KILLS_SEED`.
    pub fn seeded(lane: u64) -> Self {
        let seed = std::env::var("KILLS_SEED").map_or(20_251_123, |seed| seed.parse().expect("KILLS_SEED is a number"));
        Self(seed ^ lane.rotate_left(32))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// From zero to 30 ms; each order of magnitude is equally likely.
    pub fn moment(&mut self) -> Duration {
        let most = 1 << self.below(16);
        Duration::from_micros(self.below(most))
    }
}

/// Kills a broker after a number of messages, or when all peers are done.
pub struct Fuse {
    victim: RefCell<Option<Process>>,
    left: Cell<u64>,
    busy: Cell<usize>,
    delay: Duration,
    blown: Cell<Option<Instant>>,
}

impl Fuse {
    /// Triggers `delay` after the `after`th message, or at once when `busy` peers are done.
    pub fn lit(victim: Process, after: u64, busy: usize, delay: Duration) -> Rc<Self> {
        let victim = RefCell::new(Some(victim));
        Rc::new(Self { victim, left: Cell::new(after), busy: Cell::new(busy), delay, blown: Cell::default() })
    }

    /// A message was sent or received.
    pub fn message(&self) {
        self.left.set(self.left.get().saturating_sub(1));
        if self.left.get() == 0 {
            self.blow();
        }
    }

    /// One of the peers is done.
    pub fn done(&self) {
        self.busy.set(self.busy.get() - 1);
        if self.busy.get() == 0 {
            self.blow();
        }
    }

    fn blow(&self) {
        let Some(victim) = self.victim.take() else { return };
        // This thread does not yield, so that the kill hits work in progress.
        let strike = Instant::now() + self.delay;
        while Instant::now() < strike {
            spin_loop();
        }
        victim.kill();
        self.blown.set(Some(Instant::now()));
    }

    /// When the broker was certainly dead.
    pub fn blown(&self) -> Instant {
        self.blown.get().expect("the fuse has blown")
    }
}
