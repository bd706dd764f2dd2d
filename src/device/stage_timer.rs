//! Measures how long a device takes from its connection to membership, stage by stage. It only feeds metrics and must
//! not influence what happens to the device.

use std::time::Duration;

use crate::clock::Stopwatch;
use crate::metrics::{self, EntryStage, Timer};

/// Runs until the device is a member; afterwards it costs a pointer.
pub(super) struct StageTimer(Option<Box<Running>>);

struct Running {
    watch: Stopwatch,
    last: Duration,
}

impl StageTimer {
    /// Begins now.
    pub(super) fn start() -> Self {
        Self(Some(Box::new(Running { watch: Stopwatch::start(), last: Duration::ZERO })))
    }

    /// Whether the device is not a member yet.
    pub(super) const fn is_running(&self) -> bool {
        self.0.is_some()
    }

    /// A stage is over, and the next one begins.
    pub(super) fn end_stage(&mut self, stage: EntryStage) {
        if let Some(running) = &mut self.0 {
            let now = running.watch.elapsed();
            metrics::observe(Timer::Stage(stage), now.saturating_sub(running.last));
            running.last = now;
        }
    }

    /// The device is a member.
    pub(super) fn finish(&mut self) {
        self.end_stage(EntryStage::Join);
        if let Some(running) = self.0.take() {
            metrics::observe(Timer::Registration, running.watch.elapsed());
        }
    }
}
