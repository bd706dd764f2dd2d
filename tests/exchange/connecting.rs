//! Cases 1 and 2: connections in both directions, and when `PbxInfo` is accepted.

use std::time::Duration;

use provbroker::core::model::ids::Secret;
use provbroker::core::protocol::appws::login::{AppIdentity, login_digest};
use provbroker::sim::exchange::switches::Switches;

use super::world::{Direction, M, World};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn case_1_both_digest_forms_are_those_of_the_text() {
    for (info, expected) in [
        (None, "7d907feea449ff8941a291ec43de5e27b52f3a0c42df6692858c3551b3594b3d"),
        (Some("{}"), "6699991c46f0dda7d1c79dcdb395fdead53f2ae9ab5e1e36aea76e707889e19a"),
    ] {
        let identity = AppIdentity { app: "users-sim", info, ..AppIdentity::default() };
        assert_eq!(login_digest(&identity, "4400918273645566", &Secret::new("Simulator1")), expected);
    }
}

#[test]
fn case_1_own_connection_with_the_right_password() {
    for with_info in [false, true] {
        let mut world = World::new(Direction::Outbound, Switches::default());
        world.with_info = with_info;
        world.restart_us();
        let user = world.user(1);
        world.run_until(MINUTE, |world| world.us.is_ready());
        assert_eq!((world.sim.observed.logged_in, world.sim.observed.refused), (1, 0));
        assert_eq!(world.sent.iter().any(|text| text.contains(r#""info":{}"#)), with_info);
        world.order(&user, M);
        world.run_orders(MINUTE);
        assert_eq!(world.hardware(&user), [M]);
    }
}

#[test]
fn case_1_own_connection_with_a_wrong_password() {
    for with_info in [false, true] {
        let mut world = World::new(Direction::Outbound, Switches::default());
        (world.password, world.with_info) = ("wrong", with_info);
        world.restart_us();
        let user = world.user(1);
        world.order(&user, M);
        world.run(Duration::from_secs(901));
        let seen = &world.sim.observed;
        let kinds: Vec<&str> = seen.messages.iter().map(|(_, mt)| &**mt).collect();
        assert_eq!(kinds, ["AppChallenge", "AppLogin", "AppChallenge", "AppLogin"], "no request is sent");
        let times = seen.times("AppLogin");
        assert_eq!(times[1].since(times[0]), Duration::from_secs(900));
        assert_eq!((seen.logged_in, seen.refused), (0, 2));
        assert!(world.devices(&user).is_empty());
    }
}

#[test]
fn case_2_pbx_info_before_and_after_app_info() {
    for app_info_first in [false, true] {
        let mut world = World::new(Direction::Inbound, Switches { app_info_first, ..Switches::default() });
        let user = world.user(1);
        world.order(&user, M);
        world.run_orders(MINUTE);
        assert_eq!(world.hardware(&user), [M]);
        assert_eq!(world.sim.observed.count("AppInfoResult"), 1);
        assert!(world.mirror_is_right());
    }
}

#[test]
fn case_2_forged_pbx_info_on_a_users_log_in() {
    let mut world = World::new(Direction::Inbound, Switches::default());
    let user = world.user(1);
    world.order(&user, M);
    // A user who logs in through the exchange and then claims to be the exchange.
    world.sim.forged_sip = Some("anna".into());
    world.run(MINUTE);
    assert_eq!(world.forged, 1, "not believed");
    assert!(!world.us.is_ready() && world.sent.is_empty(), "no request is sent there: {:?}", world.sent);
    assert!(world.devices(&user).is_empty());
    // The real one is accepted.
    world.sim.forged_sip = None;
    world.drop_connection();
    world.run_orders(MINUTE);
    assert_eq!(world.hardware(&user), [M]);
}

#[test]
fn an_interface_that_is_not_there_is_found_out_by_its_silence() {
    for not_granted_is_error in [false, true] {
        let apis = ["PbxAdminApi"].map(Into::into).into();
        let mut world = World::new(Direction::Outbound, Switches { apis, not_granted_is_error, ..Switches::default() });
        let user = world.user(1);
        world.order(&user, M);
        world.run_orders(MINUTE);
        assert_eq!(world.hardware(&user), [M]);
        assert_eq!(world.sim.observed.logged_in, 1, "the connection stays");
        world.run(Duration::from_secs(3_600));
        assert_eq!(world.sim.observed.logged_in, 1);
        assert_eq!(world.us.mirror().len(), 1, "listed by `SearchUsers`");
    }
}

#[test]
fn a_pbx_that_is_silent_is_left() {
    let mut world = World::new(Direction::Inbound, Switches::default());
    world.user(1);
    world.run(Duration::from_secs(30));
    world.sim.switches.mute = true;
    world.run(Duration::from_secs(25));
    assert_eq!(world.sim.observed.count("GetPbxConfig"), 0);
    world.run(Duration::from_secs(22));
    assert_eq!(world.sim.observed.count("GetPbxConfig"), 2, "two signs of life are asked for");
    world.run(Duration::from_secs(10));
    assert_eq!(world.sim.observed.logged_in, 2, "then the connection is made anew");
}
