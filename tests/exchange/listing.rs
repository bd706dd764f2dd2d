//! Case 3: all users by `SearchUsers`.

use std::time::Duration;

use provbroker::core::session::exchange::event::Report;
use provbroker::sim::exchange::switches::Switches;

use super::world::{Direction, World};

const HOUR: Duration = Duration::from_secs(3_600);

fn world(users: usize) -> World {
    let apis = ["PbxAdminApi"].map(Into::into).into();
    let delay = Duration::from_millis(5);
    let mut world = World::new(Direction::Inbound, Switches { apis, delay, ..Switches::default() });
    for n in 0..users {
        world.user(n);
    }
    world
}

#[test]
fn case_3_every_user_once_and_the_end_is_an_empty_answer() {
    for (users, pages) in [(0, 1), (1, 2), (20, 2), (21, 3), (45, 4)] {
        let mut world = world(users);
        world.run(Duration::from_secs(10));
        assert_eq!(world.us.mirror().len(), users);
        assert_eq!(world.sim.observed.count("SearchUsers"), pages, "{users} users");
        assert!(world.mirror_is_right());
        world.run(HOUR);
        assert_eq!(world.sim.observed.count("SearchUsers"), pages * 5, "again every quarter of an hour");
    }
}

#[test]
fn case_3_a_user_is_deleted_at_the_end_of_a_page() {
    let mut world = world(45);
    world.run_until(HOUR, |world| world.sim.observed.count("SearchUsers") == 2);
    let at_the_end = world.sim.objects.called("User 00019").unwrap().guid.clone();
    let now = world.now;
    // The request for the second page, which starts after this name, has been sent; that for the third has not.
    let last_of_the_second = world.sim.objects.called("User 00039").unwrap().guid.clone();
    world.sim.delete(&at_the_end, now);
    world.sim.delete(&last_of_the_second, now);
    world.run(Duration::from_secs(10));
    assert_eq!(world.sim.observed.count("SearchUsers"), 4);
    // Both existed when their pages were read; all others are contained once.
    assert_eq!(world.us.mirror().len(), 45);
    world.run(Duration::from_secs(901));
    assert!(world.mirror_is_right(), "gone with the next listing");
    assert_eq!(world.deleted.len(), 2);
}

#[test]
fn case_3_a_pbx_that_repeats_a_page_is_stopped_and_reported() {
    let mut world = world(45);
    world.sim.switches.repeat_page = true;
    world.run(Duration::from_secs(800));
    assert_eq!(world.sim.observed.count("SearchUsers"), 2);
    assert!(world.reports.contains(&Report::ListLoops));
    world.sim.switches.repeat_page = false;
    world.run(Duration::from_secs(200));
    assert_eq!(world.us.mirror().len(), 45);
}
