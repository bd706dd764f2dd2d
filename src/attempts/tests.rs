//! The service over a store in memory: who waits, who is told, and what is left when somebody goes away.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::FutureExt as _;

use super::*;
use crate::core::model::ids::DeviceKey;
use crate::core::model::time::Tick;
use crate::core::policy::limits::SourceKey;
use crate::core::policy::limits::decisions::Decisions;
use crate::store::{self, StoreError};

/// A store that counts what it is asked.
#[derive(Default)]
struct Shared {
    wrong: Mutex<HashMap<String, u64>>,
    taken: Mutex<HashMap<String, u32>>,
    commands: AtomicU64,
    away: AtomicBool,
}

impl Shared {
    fn asked(&self) -> store::Result<()> {
        self.commands.fetch_add(1, Ordering::Relaxed);
        if self.away.load(Ordering::Relaxed) { Err(StoreError::Unavailable("away".into())) } else { Ok(()) }
    }

    fn commands(&self) -> u64 {
        self.commands.swap(0, Ordering::Relaxed)
    }

    fn next_second(&self) {
        self.taken.lock().unwrap().clear();
    }
}

#[async_trait]
impl store::Attempts for Shared {
    async fn report_wrong(&self, kind: &str, _: &str, wrong: u32) -> store::Result<u64> {
        self.asked()?;
        let mut all = self.wrong.lock().unwrap();
        let all = all.entry(kind.into()).or_default();
        *all += u64::from(wrong);
        Ok(*all)
    }

    async fn take_decisions(&self, kind: &str, want: u32, per_second: u32) -> store::Result<u32> {
        self.asked()?;
        let mut taken = self.taken.lock().unwrap();
        let taken = taken.entry(kind.into()).or_default();
        let got = want.min(per_second - *taken);
        *taken += got;
        Ok(got)
    }
}

/// A node with a clock that the test sets.
struct Node {
    attempts: AttemptService,
    clock: Arc<AtomicU64>,
}

impl Node {
    fn on(store: &Arc<Shared>) -> Self {
        let clock = Arc::new(AtomicU64::new(0));
        let its = Arc::clone(&clock);
        let now = move || Tick(its.load(Ordering::Relaxed));
        Self { attempts: AttemptService::new(Arc::clone(store) as _, AttemptRules::default(), now), clock }
    }

    fn pass(&self, seconds: u64) {
        self.clock.fetch_add(seconds * 1000, Ordering::Relaxed);
    }

    fn ask(&self, who: &str, from: SourceKey) -> Asked {
        self.attempts.ask(SecretKind::DeviceCode, Some(who), from)
    }

    fn now(&self, who: &str, from: SourceKey) -> Attempt {
        match self.ask(who, from) {
            Asked::Now(attempt) => attempt,
            other => panic!("{other:?}"),
        }
    }

    fn later(&self, who: &str, from: SourceKey) -> Waiting {
        match self.ask(who, from) {
            Asked::Later(waiting) => waiting,
            other => panic!("{other:?}"),
        }
    }
}

fn source(number: u32) -> SourceKey {
    SourceKey::from(IpAddr::from((0x0a00_0000 + number).to_be_bytes()))
}

/// 601 wrong codes from as many sources.
fn too_many(node: &Node) {
    for number in 0..601 {
        node.now("phone", source(number)).wrong_secret(b"000000000001");
    }
}

#[tokio::test]
async fn the_next_one_passes_when_the_one_before_is_settled() {
    let node = Node::on(&Arc::default());
    for _ in 0..9 {
        node.now("a", source(1)).wrong();
    }
    let last = node.now("a", source(1));
    let waiting = node.later("a", source(1));
    last.right();
    waiting.turn().await.unwrap().right();
    let unsettled = node.now("a", source(1));
    let waiting = node.later("a", source(1));
    drop(unsettled);
    drop(waiting.turn().await.unwrap());
    node.now("a", source(1)).right();
}

#[tokio::test]
async fn whoever_goes_away_gives_the_place_back() {
    let node = Node::on(&Arc::default());
    let hold: Vec<_> = (0..60).map(|n| node.now(&n.to_string(), source(1))).collect();
    let gone = node.later("x", source(1));
    let stays = node.later("y", source(1));
    assert_eq!(node.attempts.waiting(SecretKind::DeviceCode), 2);
    drop(gone);
    assert_eq!(node.attempts.waiting(SecretKind::DeviceCode), 1);
    drop(hold);
    stays.turn().await.unwrap().right();
    let rest: Vec<_> = (0..60).map(|n| node.now(&n.to_string(), source(1))).collect();
    assert_eq!(rest.len(), 60, "everything was given back");
}

#[tokio::test]
async fn a_turn_that_nobody_takes_goes_to_the_next() {
    let node = Node::on(&Arc::default());
    for _ in 0..10 {
        node.now("a", source(1)).wrong();
    }
    let mut waiting = Box::pin(node.later("a", source(1)).turn());
    assert!(waiting.as_mut().now_or_never().is_none());
    node.pass(1);
    node.attempts.shared.act(SecretKind::DeviceCode, Decisions::advance_all);
    // It was told, and goes away before it has looked.
    drop(waiting);
    let mut next = Box::pin(node.later("a", source(1)).turn());
    node.pass(1);
    node.attempts.shared.act(SecretKind::DeviceCode, Decisions::advance_all);
    next.as_mut().now_or_never().unwrap().unwrap().right();
}

#[tokio::test]
async fn a_node_does_not_wait_for_a_report_to_limit_itself() {
    let node = Node::on(&Arc::default());
    too_many(&node);
    let mut next = Box::pin(node.later("phone", source(100_000)).turn());
    assert!(next.as_mut().now_or_never().is_none());
}

#[tokio::test]
async fn codes_that_were_replaced_while_they_waited_hold_up_their_source_and_nobody_else() {
    let store = Arc::<Shared>::default();
    let node = Node::on(&store);
    for number in 0..20_000_u64 {
        let code = number.to_be_bytes();
        node.attempts.count_unchecked(SecretKind::DeviceCode, Some("phone"), source(1), &code);
    }
    node.attempts.maintain().await;
    assert_eq!(store.wrong.lock().unwrap().values().sum::<u64>(), 0, "nothing is reported to other nodes");
    drop([node.now("another phone", source(2)), node.now("a third one", source(3))]);
    node.now("another phone", source(1)).wrong_secret(b"000000000001");
    let mut next = Box::pin(node.later("another phone", source(1)).turn());
    assert!(next.as_mut().now_or_never().is_none(), "its own source waits 5 s after each");
}

#[tokio::test]
async fn nodes_share_the_limit_over_all_and_a_restart_does_not_forget() {
    let store = Arc::<Shared>::default();
    let (one, two) = (Node::on(&store), Node::on(&store));
    too_many(&one);
    one.attempts.maintain().await;
    two.attempts.maintain().await;
    let restarted = Node::on(&store);
    restarted.attempts.maintain().await;
    let mut waiting = Vec::new();
    for number in 1000..1020 {
        waiting.extend([&one, &two, &restarted].map(|node| Box::pin(node.later("phone", source(number)).turn())));
    }
    let mut decided = Vec::new();
    for _ in 0..3 {
        let before = decided.len();
        store.next_second();
        for node in [&one, &two, &restarted] {
            node.attempts.maintain().await;
        }
        let mut still = Vec::new();
        for mut turn in waiting {
            match turn.as_mut().now_or_never() {
                Some(attempt) => decided.push(attempt.unwrap()),
                None => still.push(turn),
            }
        }
        waiting = still;
        assert_eq!(decided.len() - before, 10, "all nodes together");
    }
}

#[tokio::test]
async fn without_wrong_attempts_the_store_is_asked_once_a_minute_at_most() {
    let store = Arc::<Shared>::default();
    let node = Node::on(&store);
    node.attempts.maintain().await;
    store.commands();
    for second in 0..600 {
        node.now("phone", source(second)).right();
        node.attempts.maintain().await;
        node.pass(1);
    }
    assert!(store.commands() <= 10);
    for _ in 0..600 {
        node.attempts.maintain().await;
        node.pass(1);
    }
    assert!(store.commands() <= 1, "and not at all when nothing happens");
}

#[tokio::test]
async fn without_the_store_a_node_limits_what_it_knows() {
    let store = Arc::<Shared>::default();
    let node = Node::on(&store);
    store.away.store(true, Ordering::Relaxed);
    too_many(&node);
    node.attempts.maintain().await;
    let mut waiting: Vec<_> = (0..20).map(|n| Box::pin(node.later("phone", source(n + 1000)).turn())).collect();
    node.attempts.maintain().await;
    node.attempts.maintain().await;
    let mut decided = 0;
    for turn in &mut waiting {
        decided += usize::from(turn.as_mut().now_or_never().is_some());
    }
    assert_eq!(decided, 10);
    store.away.store(false, Ordering::Relaxed);
    node.attempts.maintain().await;
    assert_eq!(store.wrong.lock().unwrap()["device_code"], 601, "it is reported later");
}

#[test]
fn a_challenge_waits_for_its_own_pair_only() {
    let node = Node::on(&Arc::default());
    let device = |key| DeviceKey::parse(key).unwrap();
    let delay = |key, from| node.attempts.challenge_delay(&device(key), source(from)).as_secs();
    for _ in 0..6 {
        node.attempts.wrong_digest(&device("00903341a0b1"), source(1));
    }
    assert_eq!([delay("00903341a0b1", 1), delay("00903341a0b1", 2), delay("00903341a0b2", 1)], [2, 0, 0]);
    node.attempts.right_digest(&device("00903341a0b1"), source(2));
    assert_eq!(delay("00903341a0b1", 1), 2);
    node.attempts.right_digest(&device("00903341a0b1"), source(1));
    assert_eq!(delay("00903341a0b1", 1), 0);
    node.attempts.wrong_digest(&device("00903341a0b1"), source(1));
    node.pass(600);
    node.attempts.forget_old();
    assert_eq!(delay("00903341a0b1", 1), 0);
}
