//! Case 11: the mirror.

use std::time::Duration;

use provbroker::core::model::time::Tick;
use provbroker::core::session::exchange::event::Report;
use provbroker::core::session::exchange::mirror::State;
use provbroker::sim::exchange::switches::Switches;

use super::world::{Direction, World};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn case_11_the_mirror_equals_the_pbx_with_notices_between_the_rows() {
    for end_is_empty_row in [false, true] {
        let delay = Duration::from_millis(5);
        let switches = Switches { end_is_empty_row, extra_members: true, delay, ..Switches::default() };
        let mut world = World::new(Direction::Inbound, switches);
        let users: Vec<_> = (0..5_000).map(|n| world.user(n)).collect();
        for (round, user) in users.iter().enumerate().step_by(50) {
            world.run(Duration::from_millis(250));
            assert_eq!(world.us.mirror().state(), State::Empty, "the pass is still running in round {round}");
            let now = world.now;
            world.sim.set_devices(user.as_str(), &format!(r#"[{{"hw":"d{round}","x":{round}}}]"#), now);
            world.sim.delete(users[round + 7].as_str(), now);
            world.user(10_000 + round);
        }
        world.run_until(10 * MINUTE, |world| world.us.mirror().state() == State::Complete);
        world.run(MINUTE);
        assert!(world.mirror_is_right());
        assert_eq!(world.sim.observed.count("ReplicateStart"), 1);
        let now = world.now;
        world.sim.set_devices(users[1].as_str(), r#"[{"hw":"later"}]"#, now);
        world.sim.delete(users[2].as_str(), now);
        world.run(MINUTE);
        assert!(world.mirror_is_right(), "notices after the pass");
        assert!(world.deleted.contains(&users[2]));
    }
}

#[test]
fn case_11_a_user_deleted_while_unconnected_is_swept_after_a_whole_pass_only() {
    let delay = Duration::from_millis(5);
    let mut world = World::new(Direction::Inbound, Switches { delay, ..Switches::default() });
    let users: Vec<_> = (0..100).map(|n| world.user(n)).collect();
    world.run_until(MINUTE, |world| world.us.mirror().state() == State::Complete);
    world.again = Duration::from_secs(300);
    world.drop_connection();
    assert_eq!(world.us.mirror().state(), State::Stale, "the previous mirror is used, marked stale");
    let now = world.now;
    world.sim.delete(users[40].as_str(), now);
    world.run_until(10 * MINUTE, |world| world.sim.observed.count("ReplicateNext") == 101 + 50);
    assert!(world.deleted.is_empty() && world.us.mirror().row(&users[40]).is_some(), "not before the end");
    world.drop_connection();
    world.run(MINUTE);
    assert!(world.deleted.is_empty(), "not after a broken pass");
    world.run_until(20 * MINUTE, |world| world.us.mirror().state() == State::Complete);
    assert_eq!(world.deleted, [users[40].clone()]);
    assert!(world.mirror_is_right());
}

#[test]
fn case_11_a_pbx_that_reconnects_each_second_is_slowed_down() {
    let mut world = World::new(Direction::Inbound, Switches { delay: Duration::from_millis(5), ..Switches::default() });
    for n in 0..1_000 {
        world.user(n);
    }
    world.again = Duration::from_millis(500);
    for _ in 0..1_800 {
        world.run(Duration::from_secs(1));
        world.drop_connection();
    }
    assert!(world.sim.observed.logged_in >= 1_799, "{}", world.sim.observed.logged_in);
    let starts = world.sim.observed.times("ReplicateStart");
    let gaps: Vec<u64> = starts.windows(2).map(|pair| pair[1].since(pair[0]).as_secs()).collect();
    assert!(gaps.iter().zip([60, 120, 240, 480, 900]).all(|(gap, least)| *gap >= least), "{gaps:?}");
    assert!((5..=6).contains(&starts.len()), "{starts:?}");
}

#[test]
fn a_pass_without_answers_is_begun_again_not_more_often_than_allowed() {
    let mut world = World::new(Direction::Inbound, Switches::default());
    world.user(1);
    world.sim.switches.mute = true;
    world.run(Duration::from_secs(1_500));
    let starts = world.sim.observed.times("ReplicateStart");
    assert!(starts.windows(2).all(|pair| pair[1].since(pair[0]) >= MINUTE) && starts.len() >= 4, "{starts:?}");
}

#[test]
fn a_table_without_the_needed_columns_is_no_mirror() {
    let mut world = World::new(Direction::Inbound, Switches::default());
    world.user(1);
    world.sim.switches.lacks = Some("h323".into());
    world.run(MINUTE);
    assert!(world.reports.contains(&Report::TableLacks("h323")));
    assert_eq!(world.sim.observed.count("ReplicateNext"), 0);
    world.run(MINUTE);
    assert_eq!(world.us.mirror().len(), 1, "listed by `SearchUsers` instead");
}

#[test]
fn only_two_types_are_asked_for() {
    let mut world = World::new(Direction::Inbound, Switches::default());
    world.user(1);
    world.run(MINUTE);
    let start = world.sent.iter().find(|text| text.contains("ReplicateStart")).unwrap();
    assert!(start.contains(r#""pseudo":["","executive"]"#) && !start.contains("pwd"), "{start}");
    assert!(!world.sim.is_restarting(Tick(world.now.0)));
}
