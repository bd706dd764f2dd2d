//! Lifecycle of the process: starting, running, draining; the answer of the readiness probe; work in flight; the rate
//! at which a stop closes connections.
//!
//! The first SIGTERM or SIGINT starts a soft stop, a second one ends the process at once. Which connections are closed,
//! and in which order, is decided in `src/node/draining.rs`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
pub use tokio_util::task::task_tracker::TaskTrackerToken as InFlightGuard;

/// Exit code after a second signal.
const ABORTED: i32 = 1;

/// A phase of the process; it only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not yet listening.
    Starting,
    /// Serving.
    Running,
    /// Stopping: nothing new is accepted, members are closed at a limited rate, work in flight is finished.
    Draining,
}

/// What `/readyz` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// 200.
    Ready,
    /// 503: not yet listening.
    Starting,
    /// 503: stopping.
    Draining,
    /// 503: the store does not answer or takes no writes.
    StoreUnavailable,
}

impl Readiness {
    /// The body of the answer to the probe.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Starting => "starting",
            Self::Draining => "draining",
            Self::StoreUnavailable => "store unavailable",
        }
    }

    /// The HTTP status of the answer to the probe.
    pub const fn status(self) -> u16 {
        if matches!(self, Self::Ready) { 200 } else { 503 }
    }
}

#[derive(Debug, Clone, Copy)]
struct State {
    phase: Phase,
    store_up: bool,
}

/// A handle on the lifecycle of the process; clones share it.
#[derive(Debug, Clone)]
pub struct Shutdown {
    state: Arc<watch::Sender<State>>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// In the phase [`Phase::Starting`].
    pub fn new() -> Self {
        Self { state: Arc::new(watch::Sender::new(State { phase: Phase::Starting, store_up: false })) }
    }

    /// Enters [`Phase::Running`]: the listeners are open. Has no effect once the stop has begun.
    pub fn running(&self) {
        self.advance(Phase::Running);
    }

    /// Enters [`Phase::Draining`], which begins the soft stop. May be called more than once.
    pub fn drain(&self) {
        self.advance(Phase::Draining);
    }

    fn advance(&self, to: Phase) {
        self.state.send_if_modified(|state| {
            let forward = state.phase < to;
            state.phase = state.phase.max(to);
            forward
        });
    }

    /// The current phase.
    pub fn phase(&self) -> Phase {
        self.state.borrow().phase
    }

    /// Whether the soft stop has begun.
    pub fn is_draining(&self) -> bool {
        self.phase() == Phase::Draining
    }

    /// Resolves when the soft stop begins, at once if it has.
    pub async fn draining(&self) {
        // The sender lives as long as `self`, so the wait cannot fail.
        let _ = self.state.subscribe().wait_for(|state| state.phase == Phase::Draining).await;
    }

    /// Stores whether the store answers and accepts writes.
    pub fn store_is(&self, up: bool) {
        self.state.send_if_modified(|state| std::mem::replace(&mut state.store_up, up) != up);
    }

    /// What `/readyz` answers now.
    pub fn readiness(&self) -> Readiness {
        let state = *self.state.borrow();
        match state.phase {
            Phase::Starting => Readiness::Starting,
            Phase::Draining => Readiness::Draining,
            Phase::Running if state.store_up => Readiness::Ready,
            Phase::Running => Readiness::StoreUnavailable,
        }
    }
}

/// Registers handlers for SIGTERM and SIGINT. The caller spawns the returned future, which acts on the signals.
///
/// Must be called on a tokio runtime with signals. The server's own signal handlers must be disabled.
pub fn watch_signals(shutdown: Shutdown) -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        let name = tokio::select! { _ = terminate.recv() => "SIGTERM", _ = interrupt.recv() => "SIGINT" };
        tracing::info!(signal = name, "stopping; a second signal ends the process at once");
        shutdown.drain();
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        tracing::warn!("second signal: ending at once");
        std::process::exit(ABORTED);
    })
}

/// Counts work that no caller waits for but that has to be finished before the process ends; clones share the count.
///
/// A [`TaskTracker`] that is waited for more than once, and that takes new work also while somebody waits.
#[derive(Debug, Clone, Default)]
pub struct InFlight(TaskTracker);

impl InFlight {
    /// Counts one piece of work until the guard is dropped.
    pub fn begin(&self) -> InFlightGuard {
        self.0.token()
    }

    /// Resolves when the count is zero, at once if it is zero now.
    pub async fn none(&self) {
        // A tracker reports only once it is closed. Closing it does not refuse new work.
        self.0.close();
        self.0.wait().await;
    }
}

/// Steps per second in which members are closed.
const STEPS_PER_SECOND: usize = 20;

/// Time between two steps of [`closing_steps`].
pub const CLOSING_STEP: Duration = Duration::from_millis(1000 / STEPS_PER_SECOND as u64);

/// How many of `members` to close in each step, at the rate of [`closing_rate`], until all are closed. At a low rate
/// some steps close none.
pub fn closing_steps(members: usize, per_second: u32, within: Duration) -> impl Iterator<Item = usize> {
    let rate = if within.is_zero() { usize::MAX } else { closing_rate(members, per_second, within) };
    let by = move |step: usize| rate.saturating_mul(step).div_ceil(STEPS_PER_SECOND).min(members);
    let steps = (1..).map(move |step| (by(step - 1), by(step)));
    steps.take_while(move |(before, _)| *before < members).map(|(before, now)| now - before)
}

/// How many members to close per second so that all `members` are closed within `within`: the configured rate, or a
/// higher one if that would take too long. Zero time means all at once.
pub fn closing_rate(members: usize, per_second: u32, within: Duration) -> usize {
    let configured = usize::try_from(per_second).unwrap_or(usize::MAX);
    let millis = usize::try_from(within.as_millis()).unwrap_or(usize::MAX);
    if millis == 0 {
        return members.max(1);
    }
    configured.max(members.saturating_mul(1000).div_ceil(millis)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_needs_a_running_process_and_a_store() {
        let shutdown = Shutdown::new();
        assert_eq!(shutdown.readiness(), Readiness::Starting);
        shutdown.store_is(true);
        assert_eq!(shutdown.readiness(), Readiness::Starting);
        shutdown.running();
        assert_eq!((shutdown.readiness(), shutdown.readiness().status()), (Readiness::Ready, 200));
        shutdown.store_is(false);
        assert_eq!((shutdown.readiness(), shutdown.readiness().status()), (Readiness::StoreUnavailable, 503));
        shutdown.drain();
        shutdown.running();
        assert_eq!(shutdown.readiness(), Readiness::Draining, "there is no way back");
    }

    #[tokio::test]
    async fn waiters_are_woken_by_the_stop_also_those_who_ask_late() {
        let shutdown = Shutdown::new();
        let early = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.draining().await }
        });
        shutdown.running();
        assert!(!shutdown.is_draining());
        shutdown.clone().drain();
        early.await.unwrap();
        shutdown.draining().await;
    }

    #[test]
    fn the_rate_keeps_the_time() {
        let half_minute = Duration::from_secs(30);
        assert_eq!(closing_rate(100, 500, half_minute), 500);
        assert_eq!(closing_rate(30_000, 500, half_minute), 1000);
        assert_eq!(closing_rate(30_001, 500, half_minute), 1001);
        assert_eq!(closing_rate(7, 1, Duration::ZERO), 7);
        assert_eq!(closing_rate(0, 1, Duration::ZERO), 1);
    }

    #[test]
    fn every_member_is_closed_and_no_step_is_larger_than_the_rate() {
        let steps = |members, per_second, seconds| {
            closing_steps(members, per_second, Duration::from_secs(seconds)).collect::<Vec<_>>()
        };
        assert_eq!(steps(0, 500, 30), [0; 0]);
        assert_eq!(steps(60, 500, 30), [25, 25, 10]);
        assert_eq!(steps(7, 1, 0), [7], "no time: all at once");
        // Slower than the steps: one member each second, the first one at once.
        let slow = steps(3, 1, 30);
        assert_eq!(slow.len(), 41);
        assert_eq!((slow[0], slow[20], slow[40], slow.iter().sum::<usize>()), (1, 1, 1, 3));
        // Not a multiple of the steps per second: the rate is still exact.
        let odd = steps(1010, 505, 30);
        assert_eq!((odd.len(), odd[..20].iter().sum::<usize>(), odd.iter().sum::<usize>()), (40, 505, 1010));
        // Too many for the configured rate: closed faster, in time.
        let fast = steps(30_000, 500, 10);
        assert_eq!((fast.len(), fast.iter().max(), fast.iter().sum::<usize>()), (200, Some(&150), 30_000));
    }

    #[tokio::test]
    async fn nothing_is_in_flight_when_every_guard_has_been_dropped() {
        let in_flight = InFlight::default();
        in_flight.none().await;
        // Waiting once must not end the counting.
        let (one, two) = (in_flight.begin(), in_flight.clone().begin());
        let waits = tokio::spawn({
            let in_flight = in_flight.clone();
            async move { in_flight.none().await }
        });
        drop(one);
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        drop(two);
        waits.await.unwrap();
    }
}
