//! Cases 4 to 7, 9 and 10: an entry is made exactly once, nothing is lost, and no object is created.

use std::time::Duration;

use provbroker::core::session::exchange::entry::DeviceEntry;
use provbroker::core::session::exchange::event::{ObsoleteReason, OrderFailure, Outcome, Report, RetryReason};
use provbroker::core::session::exchange::settings::{Conflict, Settings};
use provbroker::sim::exchange::switches::{Cut, Switches};

use super::world::{Direction, M, World};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const WAYS: [Direction; 2] = [Direction::Inbound, Direction::Outbound];

fn world(switches: Switches) -> World {
    World::new(Direction::Inbound, switches)
}

#[test]
fn case_4_the_first_device_of_a_user() {
    for direction in WAYS {
        let mut world = World::new(direction, Switches::default());
        let user = world.user(1);
        assert!(world.sim.objects.get(user.as_str()).unwrap().json("devices").is_none());
        world.order(&user, M);
        world.run_orders(MINUTE);
        let [update] = &world.sim.observed.updates[..] else { panic!("{:?}", world.sim.observed.updates) };
        let src = update.split(r#""src":""#).nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(
            *update,
            format!(
                r#"{{"mt":"UpdateObject","api":"PbxAdminApi","src":"{src}","guid":"{user}","devices":[{{"hw":"{M}","text":"IP112","app":"phone","tls":true,"trusted":true}}]}}"#
            )
        );
        assert_eq!(world.outcome(0), Some(&Outcome::Done { wrote: true }));
    }
}

#[test]
fn case_5_entries_are_kept_member_for_member() {
    let first =
        r#"{"hw":"softphone_anna","text":"Softphone","x-new":{"a":[1.50,null]},"tls":true,"sreg":true,"voip":"v"}"#;
    let second = r#"{"hw":"00-90-33-00-00-01","sreg":true,"text":"IP112","voip":"w","app":"old"}"#;
    let third = r#"{"hw":"00903341a0b1","text":"IP112 a0b1","app":"phone","tls":true,"trusted":true}"#;
    for hide in [false, true] {
        let mut world = world(Switches { hide, ..Switches::default() });
        let user = world.user(1);
        let now = world.now;
        world.sim.set_devices(user.as_str(), &format!("[{first},{second}]"), now);
        world.order(&user, M);
        world.run_orders(MINUTE);
        let after = world.devices(&user);
        assert_eq!(after.iter().map(DeviceEntry::hw).collect::<Vec<_>>(), ["softphone_anna", "00-90-33-00-00-01", M]);
        assert_eq!(after[2].json(), third);
        for (entry, before) in after.iter().zip([first, second]) {
            let mut members: Vec<_> = members(entry.json());
            let mut expected: Vec<_> = self::members(before);
            if hide {
                // Hidden members come from the mirror, which does not know their position.
                members.sort();
                expected.sort();
            }
            assert_eq!(members, expected, "hidden: {hide}");
        }
    }
}

fn members(json: &str) -> Vec<(String, String)> {
    let object = provbroker::core::protocol::json::Object::parse(json.as_bytes()).unwrap();
    object.members().map(|(name, value)| (name.to_owned(), value.canonical())).collect()
}

#[test]
fn case_6_provisioned_twice_and_again_after_a_restart() {
    for direction in WAYS {
        let mut world = World::new(direction, Switches::default());
        let user = world.user(1);
        world.order(&user, M);
        world.order(&user, M);
        world.run_orders(MINUTE);
        world.restart_us();
        world.order(&user, "00-90-33-41-A0-B1");
        world.run_orders(10 * MINUTE);
        assert_eq!(world.sim.observed.updates.len(), 1);
        assert_eq!(world.hardware(&user), [M]);
        assert_eq!(world.outcome(2), Some(&Outcome::Done { wrote: false }));
    }
}

#[test]
fn case_7_the_device_moves_though_users_stops_in_between() {
    let mut world = world(Switches::default());
    let (x, y) = (world.user(1), world.user(2));
    let now = world.now;
    world.sim.set_devices(y.as_str(), r#"[{"hw":"keep","text":"k"},{"hw":"00-90-33-41-A0-B1","app":"phone"}]"#, now);
    world.order(&x, M);
    world.run_until(MINUTE, |world| world.hardware(&y) == ["keep"]);
    assert_eq!(world.sim.observed.updates.len(), 1, "stopped after the update of the other user");
    assert!(world.hardware(&x).is_empty());
    world.restart_us();
    world.run_orders(10 * MINUTE);
    assert_eq!((world.hardware(&x), world.hardware(&y)), (vec![M.into()], vec!["keep".into()]));
    assert_eq!(world.sim.observed.updates.len(), 2);
}

#[test]
fn a_device_of_somebody_else_may_be_refused_by_configuration() {
    let settings = Settings { conflict: Conflict::Refuse, ..Settings::default() };
    let mut world = World::with(Direction::Inbound, Switches::default(), settings);
    let (x, y) = (world.user(1), world.user(2));
    world.order(&y, M);
    world.run_orders(MINUTE);
    world.order(&x, M);
    world.run_orders(MINUTE);
    assert_eq!(world.outcome(1), Some(&Outcome::Failed(OrderFailure::AtOtherUser)));
    assert_eq!((world.hardware(&x).len(), world.hardware(&y)), (0, vec![M.into()]));
}

#[test]
fn two_users_who_swap_their_phones_at_the_same_time() {
    let mut world = world(Switches { delay: Duration::from_millis(20), ..Switches::default() });
    let (x, y) = (world.user(1), world.user(2));
    world.order(&x, M);
    world.order(&y, "other");
    world.run_orders(MINUTE);
    world.order(&x, "other");
    world.order(&y, M);
    world.run_orders(MINUTE);
    assert_eq!((world.hardware(&x), world.hardware(&y)), (vec!["other".into()], vec![M.into()]));
}

#[test]
fn the_newer_of_two_orders_for_a_device_counts() {
    let mut world = world(Switches { delay: Duration::from_millis(20), ..Switches::default() });
    let (x, y) = (world.user(1), world.user(2));
    world.run(10 * MINUTE);
    world.order(&x, M);
    world.order(&y, M);
    world.run_orders(MINUTE);
    assert_eq!(world.outcome(0), Some(&Outcome::Obsolete(ObsoleteReason::Superseded)));
    assert_eq!((world.hardware(&x).len(), world.hardware(&y)), (0, vec![M.into()]));
}

#[test]
fn case_9_cut_before_or_after_the_update_was_applied() {
    for direction in WAYS {
        for (cut, writes) in [(Cut::Before, 2), (Cut::After, 1)] {
            let mut world = World::new(direction, Switches { cut: Some(cut), ..Switches::default() });
            let user = world.user(1);
            world.order(&user, M);
            world.run_orders(10 * MINUTE);
            assert_eq!(world.hardware(&user), [M], "exactly one entry");
            assert_eq!(world.sim.observed.updates.len(), writes, "{cut:?}");
            assert_eq!(world.sim.observed.created, 0);
        }
    }
}

#[test]
fn an_update_without_an_answer_is_read_before_it_is_repeated() {
    let mut world = world(Switches { update_delay: Duration::from_secs(29), ..Switches::default() });
    let user = world.user(1);
    world.order(&user, M);
    world.run_orders(HOUR);
    assert_eq!((world.sim.observed.updates.len(), world.hardware(&user)), (1, vec![M.to_owned()]));
    world.sim.switches.update_delay = Duration::from_secs(31);
    world.order(&user, "other");
    world.run_orders(HOUR);
    assert_eq!((world.sim.observed.updates.len(), world.hardware(&user).len()), (2, 2));
}

#[test]
fn case_10_without_the_interface_for_single_objects_the_table_is_written() {
    for echo in [true, false] {
        let apis = ["PbxTableUsers"].map(Into::into).into();
        let mut world = world(Switches { apis, echo, ..Switches::default() });
        let user = world.user(1);
        let now = world.now;
        world.sim.set_devices(user.as_str(), r#"[{"hw":"keep","sreg":true}]"#, now);
        world.order(&user, M);
        world.run_orders(HOUR);
        assert_eq!(world.hardware(&user), ["keep", M]);
        assert_eq!(world.sim.observed.count("ReplicateUpdate"), 1, "echo: {echo}");
        assert_eq!(world.outcome(0), Some(&Outcome::Done { wrote: true }));
        let start = world.sent.iter().find(|text| text.contains("ReplicateStart")).unwrap();
        assert!(start.contains(r#""devices":{"update":true}"#) && start.matches("update").count() == 1, "{start}");
        assert_eq!(world.sim.observed.created, 0);
        assert!(world.reports.contains(&Report::NotGranted("PbxAdminApi")));
    }
}

#[test]
fn case_10_without_any_interface_the_order_waits() {
    let mut world = world(Switches { apis: ["Services"].map(Into::into).into(), ..Switches::default() });
    let user = world.user(1);
    world.order(&user, M);
    world.run(HOUR);
    assert!(matches!(world.outcome(0), Some(Outcome::Later(RetryReason::NotGranted, _))));
    assert!(world.sent.is_empty(), "{:?}", world.sent);
}

#[test]
fn case_10_errors_as_number_and_text_are_reported_after_three_more_tries() {
    for (error, text) in [("7", "7: refused"), ("\"denied\"", "denied: refused")] {
        let mut world = world(Switches { refuse: Some((100, error.into())), ..Switches::default() });
        let user = world.user(1);
        world.order(&user, M);
        world.run_orders(HOUR);
        let later = |seconds| Outcome::Later(RetryReason::Refused, Duration::from_secs(seconds));
        let refused = Outcome::Failed(OrderFailure::Refused);
        // The first attempts are made before there is a connection.
        let outcomes =
            world.tracked[0].outcomes.iter().filter(|o| !matches!(o, Outcome::Later(RetryReason::NoConnection, _)));
        assert_eq!(outcomes.cloned().collect::<Vec<_>>(), [later(5), later(30), later(120), refused]);
        assert!(world.reports.contains(&Report::Error("UpdateObject", text.into())));
        assert_eq!((world.sim.observed.updates.len(), world.sim.observed.created), (4, 0));

        world.sim.switches.refuse = Some((2, error.into()));
        world.order(&user, M);
        world.run_orders(HOUR);
        assert_eq!(world.hardware(&user), [M], "it worked the third time");
    }
}

#[test]
fn case_10_the_user_is_deleted_while_the_order_waits() {
    for unknown_is_error in [true, false] {
        let mut world = world(Switches { unknown_is_error, ..Switches::default() });
        let (user, other) = (world.user(1), world.user(2));
        world.run(MINUTE);
        let now = world.now;
        // Once before the mirror shows the deletion, once after.
        world.order(&user, M);
        world.sim.objects.remove(user.as_str());
        world.run_orders(MINUTE);
        assert_eq!(world.outcome(0), Some(&Outcome::Obsolete(ObsoleteReason::UserDeleted)));
        world.order(&other, M);
        world.sim.delete(other.as_str(), now);
        world.run_orders(MINUTE);
        assert_eq!(world.outcome(1), Some(&Outcome::Obsolete(ObsoleteReason::UserDeleted)));
        assert_eq!((world.sim.observed.updates.len(), world.sim.observed.created), (0, 0));
        assert_eq!(world.deleted, [other]);
    }
}

#[test]
fn an_unknown_phone_app_waits_for_the_administrator() {
    let mut world = world(Switches::default());
    let user = world.user(1);
    world.sim.apps.clear();
    world.order(&user, M);
    world.run(MINUTE);
    assert!(matches!(world.outcome(0), Some(Outcome::Later(RetryReason::UnknownApp, _))));
    assert!(world.sim.observed.updates.is_empty());
    world.sim.apps.push(("phone".into(), None));
    world.run_orders(10 * MINUTE);
    assert_eq!(world.hardware(&user), [M]);
}

#[test]
fn an_object_that_was_created_is_reported_and_no_second_one_is_made() {
    for direction in WAYS {
        let mut world = World::new(direction, Switches { create_instead: 3, ..Switches::default() });
        let (user, other) = (world.user(1), world.user(2));
        world.order(&user, M);
        world.run_orders(MINUTE);
        world.run(HOUR);
        assert_eq!(world.outcome(0), Some(&Outcome::Failed(OrderFailure::ObjectCreated)));
        assert_eq!((world.sim.observed.created, world.sim.observed.updates.len()), (1, 1));
        let [Report::ObjectCreated { user: reported, created: Some(created) }] = &world.reports[..] else {
            panic!("{:?}", world.reports)
        };
        assert_eq!(*reported, user);
        assert_ne!(*created, user);
        assert!(world.sim.objects.get(created.as_str()).is_some());
        assert!(world.hardware(&user).is_empty());
        // The write slot is free again.
        world.sim.switches.create_instead = 0;
        world.order(&other, "009033ffffff");
        world.run_orders(MINUTE);
        assert_eq!(world.hardware(&other), ["009033ffffff"]);
    }
}

#[test]
fn an_answer_that_names_the_changed_user_is_reported_and_the_order_goes_on() {
    let mut world = world(Switches { name_updated: true, ..Switches::default() });
    let user = world.user(1);
    world.order(&user, M);
    world.run_orders(MINUTE);
    assert_eq!(world.outcome(0), Some(&Outcome::Done { wrote: true }));
    assert_eq!(world.reports, [Report::ObjectCreated { user: user.clone(), created: Some(user.clone()) }]);
    assert_eq!((world.sim.observed.created, world.hardware(&user)), (0, vec![M.into()]));
}
