//! Case 12: a thousand orders at once.

use std::collections::BTreeSet;
use std::time::Duration;

use provbroker::core::session::exchange::settings::Settings;
use provbroker::sim::exchange::switches::Switches;

use super::world::{Direction, World};

const HOUR: Duration = Duration::from_secs(3_600);

fn mac(n: usize) -> String {
    format!("00903341{n:04x}")
}

#[test]
fn case_12_a_thousand_orders_at_once() {
    let settings = Settings { updates_per_second: 5, ..Settings::default() };
    let switches = Switches {
        delay: Duration::from_millis(5),
        update_delay: Duration::from_millis(40),
        registered_after: Some(Duration::from_secs(7)),
        strange_registrations: true,
        fragments: true,
        ..Switches::default()
    };
    let mut world = World::with(Direction::Inbound, switches, settings);
    let users: Vec<_> = (0..1_000).map(|n| world.user(n)).collect();
    world.run(Duration::from_secs(30));
    for (n, user) in users.iter().enumerate() {
        world.order(user, &mac(n));
    }
    world.run_orders(HOUR);
    assert_eq!(world.sim.observed.most_updates, 1, "never two in flight");
    let times = world.sim.observed.times("UpdateObject");
    assert_eq!(times.len(), 1_000);
    assert!(times.windows(6).all(|six| six[5].since(six[0]) >= Duration::from_secs(1)), "at most five a second");
    assert!(times[999].since(times[0]) < Duration::from_secs(220), "and not much less: {:?}", times[999]);
    for (n, user) in users.iter().enumerate() {
        assert_eq!(world.hardware(user), [mac(n)]);
    }
    world.run(HOUR);
    let online: BTreeSet<_> = world.registered.iter().cloned().collect();
    let expected: BTreeSet<_> = users.iter().enumerate().map(|(n, user)| (user.clone(), mac(n).into())).collect();
    assert_eq!(online, expected, "the right users are online");
    assert_eq!(world.registered.len(), 1_000, "each once");
    let polls = world.sim.observed.times("GetRegs");
    assert!(polls.windows(11).all(|window| window[10].since(window[0]) >= Duration::from_secs(1)), "ten a second");
}

#[test]
fn in_any_second_no_more_requests_than_allowed_and_never_more_than_four_in_flight() {
    let settings = Settings { updates_per_second: 1_000, ..Settings::default() };
    let delay = Duration::from_millis(100);
    let mut world = World::with(Direction::Inbound, Switches { delay, ..Switches::default() }, settings);
    let users: Vec<_> = (0..300).map(|n| world.user(n)).collect();
    for (n, user) in users.iter().enumerate() {
        world.order(user, &mac(n));
    }
    world.run_orders(HOUR);
    let counted = ["GetObject", "GetAppObjects", "GetRegs", "SearchUsers", "GetPbxConfig"];
    let all = world.sim.observed.messages.iter().filter(|(_, mt)| counted.contains(&&**mt)).map(|(at, _)| *at);
    let all: Vec<_> = all.collect();
    assert!(all.windows(51).all(|window| window[50].since(window[0]) >= Duration::from_secs(1)));
    assert!(world.sim.observed.most_open <= 4, "{}", world.sim.observed.most_open);
}
