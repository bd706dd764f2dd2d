//! The gate and its parts: lanes, ranks, the adaptive limit, and waits.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::core::policy::admission::queue::MAX_PASSED_OVER;

const SECOND: Duration = Duration::from_secs(1);

fn bounds(floor: usize, start: usize, ceiling: usize) -> Bounds {
    Bounds { floor, ceiling, start, target: Duration::from_millis(100) }
}

fn gate(at_once: usize, waiting: usize) -> Gate<u8, u32> {
    Gate::new(GateBounds { limit: bounds(at_once, at_once, at_once), waiting, longest: 20 * SECOND })
}

/// A gate at its limit, so that every new entry has to wait.
fn full_gate(at_once: usize, waiting: usize) -> Gate<u8, u32> {
    let mut gate = gate(at_once, waiting);
    for _ in 0..at_once {
        assert!(gate.enter());
    }
    gate
}

fn served_next(gate: &mut Gate<u8, u32>) -> Option<u32> {
    gate.leave();
    gate.admit(Tick(0)).map(|(entry, _)| entry)
}

proptest! {
    #[test]
    fn a_new_lane_is_admitted_within_two_grants(crowd in 1_u32..500, before in 0_u32..500, grants in 0_u32..100) {
        let mut gate = full_gate(1, 1000);
        for n in 0..crowd {
            if n == before.min(crowd - 1) {
                for _ in 0..grants.min(n) {
                    served_next(&mut gate);
                }
                gate.wait(Rank::Known, &2, 1000, Tick(0)).unwrap();
            }
            gate.wait(Rank::Known, &1, n, Tick(0)).unwrap();
        }
        let mut order = Vec::new();
        for _ in 0..2 {
            order.extend(served_next(&mut gate));
        }
        prop_assert!(order.contains(&1000), "{order:?}");
    }

    #[test]
    fn lanes_get_equal_shares_while_all_wait(lanes in 1_u8..20, each in 1_u32..30) {
        let mut gate = full_gate(1, 1000);
        for lane in 0..lanes {
            for _ in 0..each {
                gate.wait(Rank::Known, &lane, u32::from(lane), Tick(0)).unwrap();
            }
        }
        let mut served: HashMap<u32, u32> = HashMap::new();
        for _ in 0..u32::from(lanes) * each {
            *served.entry(served_next(&mut gate).unwrap()).or_default() += 1;
            let least = (0..u32::from(lanes)).map(|lane| served.get(&lane).copied().unwrap_or(0)).min().unwrap();
            prop_assert!(served.values().all(|most| most - least <= 1));
        }
        prop_assert_eq!(served_next(&mut gate), None);
    }

    #[test]
    fn better_ranks_go_first_and_no_rank_starves(counts in prop::array::uniform3(0_u32..60)) {
        let mut gate = full_gate(1, 1000);
        for (rank, count) in Rank::ALL.into_iter().zip(counts) {
            for n in 0..count {
                gate.wait(rank, &u8::try_from(n % 5).unwrap(), rank as u32, Tick(0)).unwrap();
            }
        }
        let (mut left, mut passed) = (counts, [0_u32; 3]);
        for _ in 0..counts.iter().sum::<u32>() {
            let rank = served_next(&mut gate).unwrap() as usize;
            let best = left.iter().position(|count| *count > 0).unwrap();
            let overdue = passed.iter().any(|passed| *passed >= MAX_PASSED_OVER);
            prop_assert!(rank == best || overdue, "{left:?} {passed:?} {rank}");
            left[rank] -= 1;
            for other in 0..3 {
                passed[other] = if other == rank || left[other] == 0 { 0 } else { passed[other] + 1 };
                prop_assert!(passed[other] <= MAX_PASSED_OVER + 1, "rank {other} starves");
            }
        }
    }

    /// In every sequence of operations no entry is admitted twice or lost, and never more are under way than allowed.
    #[test]
    fn no_entry_is_lost_or_admitted_twice(steps in prop::collection::vec((0_u8..6, 0_u8..4, 0_u8..3), 1..400)) {
        let mut gate = gate(3, 10);
        let (mut positions, mut under_way, mut next, mut now) = (HashMap::new(), 0_usize, 0_u32, 0);
        for (step, lane, rank) in steps {
            match step {
                0..=2 if gate.enter() => under_way += 1,
                0..=2 => {
                    next += 1;
                    let before = positions.len();
                    match gate.wait(Rank::ALL[usize::from(rank)], &lane, next, Tick(now)) {
                        Ok((position, displaced)) => {
                            prop_assert_eq!(displaced.is_some(), before == 10);
                            if let Some(displaced) = displaced {
                                prop_assert!(positions.remove(&displaced).is_some());
                            }
                            positions.insert(next, position);
                        }
                        Err(why) => prop_assert!(why == Refused::TooLong || before == 10),
                    }
                }
                3 if under_way > 0 => {
                    gate.leave();
                    under_way -= 1;
                    while let Some((entry, _)) = gate.admit(Tick(now)) {
                        prop_assert!(positions.remove(&entry).is_some(), "was not waiting");
                        under_way += 1;
                    }
                }
                4 => {
                    if let Some((&entry, &position)) = positions.iter().next() {
                        positions.remove(&entry);
                        prop_assert_eq!(gate.withdraw(position), Some(entry));
                        prop_assert_eq!(gate.withdraw(position), None);
                    }
                }
                _ => {
                    now += 3000;
                    while let Some(entry) = gate.expire(Tick(now)) {
                        prop_assert!(positions.remove(&entry).is_some());
                    }
                }
            }
            prop_assert_eq!(gate.waiting(), positions.len());
            prop_assert_eq!(gate.under_way(), under_way);
            prop_assert!(under_way <= gate.limit());
            prop_assert!(positions.is_empty() || under_way == gate.limit(), "somebody waits although there is room");
        }
    }

    #[test]
    fn the_limit_stays_within_its_bounds(
        floor in 0_usize..50,
        more in 0_usize..500,
        start in 0_usize..1000,
        samples in prop::collection::vec((0_u64..1000, any::<bool>(), 0_usize..1000, 0_u64..300), 0..500),
    ) {
        let mut limit = Limit::new(bounds(floor, start, floor + more));
        let mut now = Tick(0);
        for (took, failed, under_way, later) in samples {
            now = now + Duration::from_millis(later);
            limit.sample(Duration::from_millis(took), failed, under_way, now);
            prop_assert!((floor.max(1)..=(floor + more).max(1)).contains(&limit.get()));
        }
    }
}

/// The limit after ten seconds from `from` on in which all work takes `took`.
fn settled(limit: &mut Limit, took: Duration, failed: bool, from: u64) -> usize {
    for millis in (from * 1000..(from + 10) * 1000).step_by(10) {
        limit.sample(took, failed, limit.get(), Tick(millis));
    }
    limit.get()
}

#[test]
fn the_limit_follows_the_time_that_work_takes() {
    let mut limit = Limit::new(bounds(8, 64, 1000));
    assert_eq!(settled(&mut limit, Duration::from_millis(20), false, 0), 1000);
    assert_eq!(settled(&mut limit, Duration::from_millis(300), false, 10), 8);
    assert_eq!(settled(&mut limit, Duration::from_millis(20), false, 20), 1000);
    assert_eq!(settled(&mut limit, Duration::from_millis(20), true, 30), 8, "failures do not count as speed");
}

#[test]
fn a_limit_that_is_not_used_does_not_grow() {
    let mut limit = Limit::new(bounds(8, 64, 1000));
    for millis in (0..10_000).step_by(10) {
        limit.sample(Duration::from_millis(1), false, 5, Tick(millis));
    }
    assert_eq!(limit.get(), 64);
}

/// A server that does one thing at a time: the more is under way, the longer each takes.
#[test]
fn with_a_fixed_capacity_the_time_in_service_settles_at_the_target() {
    let mut limit = Limit::new(bounds(8, 64, 10_000));
    let per_second = 5000;
    let took = |under_way: usize| Duration::from_micros(under_way as u64 * 1_000_000 / per_second);
    let mut late = Vec::new();
    for millis in 0..20_000 {
        for _ in 0..per_second / 1000 {
            let under_way = limit.get();
            limit.sample(took(under_way), false, under_way, Tick(millis));
        }
        if millis > 10_000 {
            late.push(took(limit.get()));
        }
    }
    let (least, most) = (late.iter().min().unwrap(), late.iter().max().unwrap());
    assert!(*least > Duration::from_millis(80) && *most < Duration::from_millis(120), "{least:?} to {most:?}");
}

#[test]
fn a_short_lane_takes_the_place_of_the_newest_in_the_longest() {
    let mut gate = full_gate(1, 4);
    for n in 0..4 {
        gate.wait(Rank::Known, &1, n, Tick(0)).unwrap();
    }
    assert_eq!(gate.wait(Rank::Known, &1, 4, Tick(0)), Err(Refused::Full), "its own lane is the longest");
    assert_eq!(gate.wait(Rank::Other, &2, 5, Tick(0)), Err(Refused::Full), "the others are known");
    assert_eq!(gate.wait(Rank::Known, &2, 6, Tick(0)).unwrap().1, Some(3));
    assert_eq!(gate.wait(Rank::Known, &3, 7, Tick(0)).unwrap().1, Some(2));
    assert_eq!(gate.wait(Rank::Known, &2, 8, Tick(0)), Err(Refused::Full), "the lanes are even enough");
    assert_eq!(gate.waiting(), 4);
}

#[test]
fn a_known_device_takes_the_place_of_an_unknown_one() {
    let mut gate = full_gate(1, 2);
    gate.wait(Rank::Known, &1, 1, Tick(0)).unwrap();
    gate.wait(Rank::Entering, &2, 2, Tick(0)).unwrap();
    assert_eq!(gate.wait(Rank::Known, &1, 3, Tick(0)).unwrap().1, Some(2));
}

#[test]
fn an_entry_that_would_wait_too_long_is_refused_at_once() {
    let mut gate = full_gate(1, 1000);
    for n in 0..500 {
        gate.wait(Rank::Known, &1, n, Tick(0)).unwrap();
    }
    // Ten grants a second: five hundred take fifty seconds.
    for tenth in 1..=20 {
        gate.leave();
        gate.admit(Tick(tenth * 100)).unwrap();
    }
    assert_eq!(gate.wait(Rank::Known, &1, 1000, Tick(2000)), Err(Refused::TooLong));
    assert!(gate.wait(Rank::Known, &2, 1001, Tick(2000)).is_ok(), "it would be the next but one");
    let backlog = gate.backlog(Tick(2000));
    assert!(backlog > 40 * SECOND && backlog < 60 * SECOND, "{backlog:?}");
    assert_eq!(gate.served_within(5 * SECOND), Some(50));
    assert!(gate.wait(Rank::Known, &3, 1002, Tick(3900)).is_ok(), "a pause is no stall");
    assert_eq!(gate.wait(Rank::Known, &1, 1003, Tick(60_000)), Err(Refused::TooLong), "nobody was served for a minute");
}

#[test]
fn entries_that_wait_too_long_expire_oldest_first() {
    let mut gate = full_gate(1, 1000);
    gate.wait(Rank::Known, &1, 1, Tick(0)).unwrap();
    gate.wait(Rank::Other, &2, 2, Tick(5000)).unwrap();
    assert_eq!(gate.expire(Tick(19_999)), None);
    assert_eq!(gate.expire(Tick(20_000)), Some(1));
    assert_eq!(gate.expire(Tick(20_000)), None);
    assert_eq!(gate.expire(Tick(25_000)), Some(2));
}

#[test]
fn a_resumed_entry_is_never_refused() {
    let mut gate = full_gate(2, 10);
    gate.resume();
    gate.wait(Rank::Known, &1, 1, Tick(0)).unwrap();
    gate.leave();
    assert_eq!(gate.admit(Tick(0)), None, "still as many as allowed");
    gate.leave();
    assert!(gate.admit(Tick(0)).is_some());
}

#[test]
fn a_cap_admits_nobody_else_and_revokes_nothing() {
    let mut gate = gate(5, 10);
    assert!(gate.enter() && gate.enter());
    gate.set_cap(1);
    assert!(!gate.enter());
    assert_eq!(gate.under_way(), 2);
    gate.set_cap(usize::MAX);
    assert!(gate.enter());
}

#[test]
fn when_resources_are_exhausted_only_a_shorter_lane_gets_a_place() {
    let mut gate = full_gate(1, 10);
    for n in 0..3 {
        gate.wait(Rank::Other, &1, n, Tick(0)).unwrap();
    }
    gate.set_exhausted(true);
    assert_eq!(gate.wait(Rank::Other, &1, 3, Tick(0)), Err(Refused::Full));
    assert_eq!(gate.wait(Rank::Other, &2, 4, Tick(0)).unwrap().1, Some(2));
    assert_eq!((served_next(&mut gate), served_next(&mut gate)), (Some(0), Some(4)), "who waits is served as before");
    gate.set_exhausted(false);
    assert!(gate.wait(Rank::Other, &1, 5, Tick(0)).is_ok());
}

#[test]
fn the_spread_of_retry_after_grows_with_the_backlog() {
    let mut last = Duration::ZERO;
    for seconds in 0..200 {
        let (from, spread) = retry_after(seconds * SECOND);
        assert!(from >= SECOND && from + spread <= 120 * SECOND, "{seconds}: {from:?} and {spread:?}");
        assert!(spread >= last && spread >= 5 * SECOND);
        last = spread;
    }
}
