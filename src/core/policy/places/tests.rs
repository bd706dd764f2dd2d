use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;

fn source(number: u8) -> SourceKey {
    SourceKey::from(IpAddr::V4(Ipv4Addr::new(192, 0, 2, number)))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as it is called")]
fn waits(_: &u32) -> Standing {
    Standing::AwaitsPeer
}

#[test]
fn nobody_gives_way_while_there_is_room() {
    let mut places = Places::default();
    for number in 0..10 {
        assert_eq!(places.make_room(source(1), Tick(90_000), 10, waits), Room::Free);
        places.enter(source(1), Tick(0), number);
    }
    assert_eq!(places.make_room(source(2), Tick(90_000), 10, waits), Room::Instead(0));
}

#[test]
fn the_source_with_the_most_gives_way_and_its_oldest_first() {
    let mut places = Places::default();
    places.enter(source(1), Tick(0), 100);
    for number in 0..5 {
        places.enter(source(2), Tick(1), number);
    }
    for expected in [0, 1, 2, 3] {
        assert_eq!(places.make_room(source(3), Tick(2), 0, waits), Room::Instead(expected), "although all are young");
    }
    // One each: the newcomer would only take the place of another.
    assert_eq!(places.make_room(source(3), Tick(2), 0, waits), Room::Later(Duration::from_millis(998)));
    assert_eq!(places.make_room(source(3), Tick(1_000), 0, waits), Room::Instead(100), "the oldest of all");
}

#[test]
fn newcomers_of_the_biggest_source_do_not_push_out_who_is_about_to_prove_itself() {
    let mut places = Places::default();
    for number in 0..5 {
        places.enter(source(1), Tick(u64::from(number) * 100), number);
    }
    assert_eq!(places.make_room(source(1), Tick(600), 5, waits), Room::Later(Duration::from_millis(400)));
    assert_eq!(places.make_room(source(1), Tick(1_000), 5, waits), Room::Instead(0));
    assert_eq!(places.make_room(source(1), Tick(1_000), 4, waits), Room::Later(Duration::from_millis(100)));
}

#[test]
fn who_waits_for_us_is_passed_over_for_a_time() {
    let standing = |number: &u32| if *number < 3 { Standing::AwaitsUs } else { Standing::AwaitsPeer };
    let mut places = Places::default();
    for number in 0..5 {
        places.enter(source(1), Tick(0), number);
    }
    assert_eq!(places.make_room(source(2), Tick(5_000), 5, standing), Room::Instead(3));
    assert_eq!(places.make_room(source(2), Tick(5_000), 4, standing), Room::Instead(4));
    assert_eq!(places.make_room(source(1), Tick(5_000), 3, standing), Room::None);
    assert!(matches!(places.make_room(source(1), Tick(10_000), 3, standing), Room::Instead(_)));
    assert!(matches!(places.make_room(source(2), Tick(5_000), 2, standing), Room::Instead(_)), "it has fewer");
    let mut places = Places::default();
    places.enter(source(1), Tick(0), 0);
    let authenticated = |_: &u32| Standing::Authenticated;
    assert_eq!(places.make_room(source(2), Tick(900_000), 1, authenticated), Room::None);
}

#[test]
fn many_that_wait_for_us_do_not_hide_the_others() {
    let standing = |number: &u32| if *number < 1_000 { Standing::AwaitsUs } else { Standing::AwaitsPeer };
    let mut places = Places::default();
    for number in 0..1_001 {
        places.enter(source(1), Tick(0), number);
    }
    // Each search looks at some and puts them to the end.
    let found = (0..70).any(|_| places.make_room(source(1), Tick(2_000), 0, standing) == Room::Instead(1_000));
    assert!(found);
}

#[test]
fn memory_is_taken_from_the_source_that_holds_the_most() {
    let mut places = Places::default();
    let ids: Vec<_> = (0..4).map(|number| places.enter(source(1), Tick(0), number)).collect();
    let other = places.enter(source(2), Tick(0), 9);
    for id in &ids[1..] {
        places.weigh(*id, 20);
    }
    places.weigh(other, 50);
    assert_eq!(places.bytes(), 110);
    assert_eq!(places.over_budget(Budget { total: 110, source: 60 }), None);
    assert_eq!(places.over_budget(Budget { total: 109, source: 100 }), Some(1), "the oldest that holds something");
    assert_eq!(places.over_budget(Budget { total: 109, source: 100 }), None);
    assert_eq!(places.over_budget(Budget { total: 1_000, source: 49 }), Some(9), "more than its share");
    places.weigh(ids[2], 0);
    assert_eq!((places.bytes(), places.len()), (20, 3));
    assert_eq!(places.over_budget(Budget { total: 0, source: 0 }), Some(3));
    assert_eq!(places.over_budget(Budget { total: 0, source: 0 }), None);
}

/// What a test does to the places.
#[derive(Debug, Clone)]
enum Step {
    Enter(u8),
    Leave(usize),
    Weigh(usize, usize),
    Full(u8),
    Heavy(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..5_u8).prop_map(Step::Enter),
        2 => any::<usize>().prop_map(Step::Leave),
        2 => (any::<usize>(), 0..100_usize).prop_map(|(which, bytes)| Step::Weigh(which, bytes)),
        2 => (0..5_u8).prop_map(Step::Full),
        1 => (0..200_usize).prop_map(Step::Heavy),
    ]
}

proptest! {
    /// The same as a plain list of connections that is searched from its beginning.
    #[test]
    fn as_a_plain_list(steps in prop::collection::vec(step(), 1..200)) {
        let mut places = Places::default();
        let mut list: Vec<(u32, u8, Tick, usize, PlaceId)> = Vec::new();
        for (number, step) in (0..).zip(steps) {
            // Slow enough that some are older than a second.
            let now = Tick(u64::from(number) * 150);
            match step {
                Step::Enter(from) => list.push((number, from, now, 0, places.enter(source(from), now, number))),
                Step::Leave(which) if !list.is_empty() => {
                    let (number, _, _, _, id) = list.remove(which % list.len());
                    prop_assert_eq!(places.remove(id), Some(number));
                }
                Step::Weigh(which, bytes) if !list.is_empty() => {
                    let which = which % list.len();
                    list[which].3 = bytes;
                    places.weigh(list[which].4, bytes);
                }
                Step::Full(newcomer) => {
                    let count = |from: u8| list.iter().filter(|other| other.1 == from).count();
                    let most = (0..5).map(count).max().unwrap_or(0);
                    let held = count(newcomer);
                    let Room::Instead(gone) = places.make_room(source(newcomer), now, 0, waits) else {
                        let young = list.iter().all(|other| now.since(other.2) < QUIET);
                        prop_assert!(young && most <= held + 1);
                        continue;
                    };
                    let at = list.iter().position(|other| other.0 == gone).unwrap();
                    let victim = list.remove(at);
                    let biggest = |from: u8| list.iter().filter(|other| other.1 == from).count() + usize::from(from == victim.1) == most;
                    // The oldest of a biggest source; or the oldest of all, if the biggest have none that is old enough.
                    let oldest_of_source = list.iter().filter(|other| other.1 == victim.1).all(|other| other.0 > gone);
                    prop_assert!(oldest_of_source);
                    prop_assert!(biggest(victim.1) || (at == 0 && now.since(victim.2) >= QUIET));
                }
                Step::Heavy(total) => {
                    let budget = Budget { total, source: total };
                    while let Some(gone) = places.over_budget(budget) {
                        let held = |from: u8| list.iter().filter(|other| other.1 == from).map(|other| other.3).sum::<usize>();
                        let at = list.iter().position(|other| other.0 == gone).unwrap();
                        prop_assert_eq!(Some(held(list[at].1)), (0..5).map(held).max());
                        prop_assert!(list[at].3 > 0);
                        list.remove(at);
                    }
                    prop_assert!(places.bytes() <= total);
                }
                Step::Leave(_) | Step::Weigh(..) => {}
            }
            prop_assert_eq!(places.len(), list.len());
            prop_assert_eq!(places.bytes(), list.iter().map(|other| other.3).sum::<usize>());
            for from in 0..5 {
                prop_assert_eq!(places.of(source(from)), list.iter().filter(|other| other.1 == from).count());
            }
        }
    }
}
