//! What is planned for a member goes through the tunnel line by line, part by part.

use super::*;
use crate::core::policy::jobs::plan::{ConfigOrder, UpdateOrder};
use crate::core::protocol::sysclient::frame::DeviceEvent;
use crate::core::session::device::event::{TunnelId, TunnelRequest};

/// The answer to the line with this session number.
pub(super) fn answer(desk: &mut Desk, session: u32, status: u16) -> Vec<String> {
    let mut say = |event| desk.bytes(FromDevice::Tunnel { session, event }.encode());
    assert_eq!(say(DeviceEvent::SendResult), ["receive"]);
    let head = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n");
    let mut words = say(DeviceEvent::ReceiveResult(head.into()));
    words.extend(say(DeviceEvent::Shutdown));
    let shutdown = words.iter().position(|word| word == "shutdown").unwrap();
    words.remove(shutdown);
    words
}

fn update() -> Plan {
    let lines = vec!["mod cmd UP0 prot http://f/1 ser 1".into(), "iresetn".into()];
    Plan { update: Some(UpdateOrder { job: JobId(1), lines }), ..Plan::default() }
}

pub(super) fn config(text: &str) -> ConfigOrder {
    ConfigOrder {
        job: JobId(2),
        kind: Kind::Ntp,
        fingerprint: text.into(),
        lines: vec![format!("config change {text}")],
    }
}

pub(super) fn owing() -> Desk {
    let mut desk = Desk::new();
    desk.hear(with_code(7));
    desk.claimed(Claimed::Entered(membership(entered_device())));
    assert_eq!(desk.on(Event::Joined(true)), ["plan"]);
    desk
}

#[test]
fn update_goes_before_configuration_and_the_notice_comes_last() {
    let mut desk = owing();
    let plan = Plan { configs: vec![config("A"), config("B")], clean_up: true, ..update() };
    assert_eq!(desk.planned(plan), ["keep", "line mod cmd UP0 prot http://f/1 ser 1"]);
    assert_eq!(answer(&mut desk, 1, 200), ["line iresetn"]);
    assert_eq!(answer(&mut desk, 2, 200), ["note UpdateOrdered(\"prot 1\")", "keep", "plan"]);
    let waits = Plan {
        update_open: true,
        configs: vec![config("A")],
        again_in: Some(Duration::from_secs(9)),
        ..Plan::default()
    };
    assert!(desk.planned(waits).is_empty(), "everything else comes after the restart");
    assert_eq!(desk.at(9_000).tick(), ["plan"]);

    let configs = Plan { configs: vec![config("A"), config("B")], clean_up: true, ..Plan::default() };
    assert_eq!(desk.planned(configs), ["line config change A"]);
    assert_eq!(answer(&mut desk, 3, 200), ["line config change B"]);
    assert_eq!(answer(&mut desk, 4, 200), ["line config write"]);
    assert_eq!(answer(&mut desk, 5, 200), ["line config activate"]);
    let words = answer(&mut desk, 6, 200);
    assert_eq!(words, ["note Configured(\"ntp\")", "note Configured(\"ntp\")", "keep", "plan"]);

    assert_eq!(desk.planned(Plan { clean_up: true, ..Plan::default() }), ["deposit"]);
    assert_eq!(desk.on(Event::Deposited(true)), ["line config rem UP1 /provisioning"]);
    assert_eq!(answer(&mut desk, 7, 200), ["line config rem UP1 /provision"]);
    assert_eq!(answer(&mut desk, 8, 200), ["line vars del UPDATE/PROVISIONING-CODE"]);
    assert_eq!(answer(&mut desk, 9, 200), ["line config write"]);
    assert_eq!(answer(&mut desk, 10, 200), ["line config activate"]);
    assert_eq!(answer(&mut desk, 11, 200), ["note CleanedUp", "keep", "plan"]);
    assert!(desk.planned(Plan::default()).is_empty());
}

#[test]
fn a_configuration_that_fails_is_left_out_and_the_others_are_put_into_effect() {
    let mut desk = owing();
    assert_eq!(
        desk.planned(Plan { configs: vec![config("A"), config("B")], ..Plan::default() }),
        ["line config change A"]
    );
    let words = answer(&mut desk, 1, 404);
    assert_eq!(words, ["note ConfigFailed(\"ntp: the device answered with status 404\")", "line config change B"]);
    assert_eq!(answer(&mut desk, 2, 200), ["line config write"]);
    assert_eq!(answer(&mut desk, 3, 200), ["line config activate"]);
    assert_eq!(answer(&mut desk, 4, 200), ["note Configured(\"ntp\")", "keep", "plan"]);
}

#[test]
fn when_everything_fails_nothing_is_put_into_effect() {
    let mut desk = owing();
    desk.planned(Plan { configs: vec![config("A")], ..Plan::default() });
    let words = answer(&mut desk, 1, 500);
    assert_eq!(words, ["note ConfigFailed(\"ntp: the device answered with status 500\")", "keep", "plan"]);
}

#[test]
fn a_device_that_does_not_answer_fails_after_the_time_of_the_tunnel() {
    let mut desk = owing();
    desk.planned(update());
    assert_eq!(
        desk.at(10_000).tick(),
        ["shutdown", "note UpdateFailed(\"the device did not answer in time\")", "keep", "plan"]
    );
}

#[test]
fn new_jobs_are_planned_at_once_unless_lines_are_under_way() {
    let mut desk = Desk::member();
    assert_eq!(desk.on(Event::Replan), ["plan"]);
    desk.planned(Plan { configs: vec![config("A")], ..Plan::default() });
    assert!(desk.on(Event::Replan).is_empty(), "after these lines everything is planned anew");
}

#[test]
fn later_only_changed_items_go_to_devices_of_other_makers() {
    let mut desk = Desk::challenged(device());
    desk.hear(answer_with(PASSWORD, identify(Facts { other: true, ..facts() }, OfferedCode::None)));
    desk.on(Event::Joined(true));
    let first = Plan { items: vec![item("ntp", false), item("ldap", true)], ..Plan::default() };
    assert_eq!(desk.planned(first), ["item ntp", "item ldap last", "keep"]);
    desk.on(Event::Replan);
    let later = Plan { items: vec![item("ntp", true), item("ldap", false)], ..Plan::default() };
    assert_eq!(desk.planned(later), ["item ntp", "keep"]);
    desk.on(Event::Replan);
    assert!(desk.planned(Plan { items: vec![item("ntp", false)], ..Plan::default() }).is_empty());
}

#[test]
fn a_store_that_is_away_is_asked_again() {
    let mut desk = Desk::challenged(device());
    desk.hear(answer_with(PASSWORD, plain()));
    desk.on(Event::Joined(true));
    assert!(desk.on(Event::Planned(Planned::Unavailable)).is_empty());
    assert_eq!(desk.at(5_000).tick(), ["plan"]);
}

#[test]
fn an_endless_answer_is_not_read_to_its_end() {
    let mut desk = owing();
    desk.planned(update());
    let mut say = |event| desk.bytes(FromDevice::Tunnel { session: 1, event }.encode());
    assert_eq!(say(DeviceEvent::SendResult), ["receive"]);
    assert_eq!(say(DeviceEvent::ReceiveResult("HTTP/1.1 200 OK\r\n\r\n".into())), ["receive"]);
    for _ in 0..8 {
        assert_eq!(say(DeviceEvent::ReceiveResult(vec![b'x'; 8000].into())), ["receive"]);
    }
    assert_eq!(say(DeviceEvent::ReceiveResult(vec![b'x'; 8000].into())), ["shutdown", "line iresetn"]);
}

#[test]
fn requests_of_others_go_on_when_the_member_enters_again() {
    let mut desk = Desk::member();
    let request = || TunnelRequest::get("/admin.xml");
    assert_eq!(desk.on(Event::Open(TunnelId(1), request())), ["line /admin.xml"]);
    desk.hear(with_code(7));
    desk.claimed(Claimed::Entered(membership(entered_device())));
    desk.on(Event::Joined(true));
    assert_eq!(answer(&mut desk, 1, 204).last().unwrap(), "tunnel 1 Done");
}

#[test]
fn nobody_but_a_member_has_tunnels() {
    let mut desk = Desk::unassigned();
    let refused = desk.on(Event::Open(TunnelId(1), TunnelRequest::get("/")));
    assert_eq!(refused, ["tunnel 1 Refused(NotMember)"]);
}
