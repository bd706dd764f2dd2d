//! Planned work goes through the tunnel line by line, part by part.

use super::*;
use crate::core::policy::jobs::plan::{ConfigOrder, UpdateOrder};
use crate::core::protocol::sysclient::frame::DeviceEvent;
use crate::core::session::device::event::{TunnelId, TunnelRequest};

/// Answers the line with this session number.
pub(super) fn answer(harness: &mut Harness, session: u32, status: u16) -> Vec<String> {
    let mut say = |event| harness.bytes(FromDevice::Tunnel { session, event }.encode());
    assert_eq!(say(DeviceEvent::SendResult), ["receive"]);
    let head = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n");
    let mut output = say(DeviceEvent::ReceiveResult(head.into()));
    output.extend(say(DeviceEvent::Shutdown));
    let shutdown = output.iter().position(|summary| summary == "shutdown").unwrap();
    output.remove(shutdown);
    output
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

pub(super) fn owing() -> Harness {
    let mut harness = Harness::new();
    harness.receive(with_code(7));
    harness.claimed(Claimed::Entered(membership(entered_device())));
    assert_eq!(harness.on(Event::Joined(true)), ["plan"]);
    harness
}

#[test]
fn update_goes_before_configuration_and_the_notice_comes_last() {
    let mut harness = owing();
    let plan = Plan { configs: vec![config("A"), config("B")], clean_up: true, ..update() };
    assert_eq!(harness.planned(plan), ["keep", "line mod cmd UP0 prot http://f/1 ser 1"]);
    assert_eq!(answer(&mut harness, 1, 200), ["line iresetn"]);
    assert_eq!(answer(&mut harness, 2, 200), ["note UpdateOrdered(\"prot 1\")", "keep", "plan"]);
    let waits = Plan {
        update_open: true,
        configs: vec![config("A")],
        recheck_after: Some(Duration::from_secs(9)),
        ..Plan::default()
    };
    assert!(harness.planned(waits).is_empty(), "everything else comes after the restart");
    assert_eq!(harness.at(9_000).tick(), ["plan"]);

    let configs = Plan { configs: vec![config("A"), config("B")], clean_up: true, ..Plan::default() };
    assert_eq!(harness.planned(configs), ["line config change A"]);
    assert_eq!(answer(&mut harness, 3, 200), ["line config change B"]);
    assert_eq!(answer(&mut harness, 4, 200), ["line config write"]);
    assert_eq!(answer(&mut harness, 5, 200), ["line config activate"]);
    let output = answer(&mut harness, 6, 200);
    assert_eq!(output, ["note Configured(\"ntp\")", "note Configured(\"ntp\")", "keep", "plan"]);

    assert_eq!(harness.planned(Plan { clean_up: true, ..Plan::default() }), ["deposit"]);
    assert_eq!(harness.on(Event::Deposited(true)), ["line config rem UP1 /provisioning"]);
    assert_eq!(answer(&mut harness, 7, 200), ["line config rem UP1 /provision"]);
    assert_eq!(answer(&mut harness, 8, 200), ["line vars del UPDATE/PROVISIONING-CODE"]);
    assert_eq!(answer(&mut harness, 9, 200), ["line config write"]);
    assert_eq!(answer(&mut harness, 10, 200), ["line config activate"]);
    assert_eq!(answer(&mut harness, 11, 200), ["note CleanedUp", "keep", "plan"]);
    assert!(harness.planned(Plan::default()).is_empty());
}

#[test]
fn a_failed_configuration_is_left_out_and_the_others_are_activated() {
    let mut harness = owing();
    assert_eq!(
        harness.planned(Plan { configs: vec![config("A"), config("B")], ..Plan::default() }),
        ["line config change A"]
    );
    let output = answer(&mut harness, 1, 404);
    assert_eq!(output, ["note ConfigFailed(\"ntp: the device answered with status 404\")", "line config change B"]);
    assert_eq!(answer(&mut harness, 2, 200), ["line config write"]);
    assert_eq!(answer(&mut harness, 3, 200), ["line config activate"]);
    assert_eq!(answer(&mut harness, 4, 200), ["note Configured(\"ntp\")", "keep", "plan"]);
}

#[test]
fn when_every_configuration_fails_nothing_is_activated() {
    let mut harness = owing();
    harness.planned(Plan { configs: vec![config("A")], ..Plan::default() });
    let output = answer(&mut harness, 1, 500);
    assert_eq!(output, ["note ConfigFailed(\"ntp: the device answered with status 500\")", "keep", "plan"]);
}

#[test]
fn a_device_that_does_not_answer_fails_after_the_tunnel_timeout() {
    let mut harness = owing();
    harness.planned(update());
    assert_eq!(
        harness.at(10_000).tick(),
        ["shutdown", "note UpdateFailed(\"the device did not answer in time\")", "keep", "plan"]
    );
}

#[test]
fn new_jobs_are_planned_at_once_unless_lines_are_under_way() {
    let mut harness = Harness::member();
    assert_eq!(harness.on(Event::Replan), ["plan"]);
    harness.planned(Plan { configs: vec![config("A")], ..Plan::default() });
    assert!(harness.on(Event::Replan).is_empty(), "after these lines everything is planned anew");
}

#[test]
fn later_only_changed_items_go_to_devices_of_other_makers() {
    let mut harness = Harness::challenged(device());
    harness.receive(answer_with(PASSWORD, identify(Facts { other: true, ..facts() }, OfferedCode::None)));
    harness.on(Event::Joined(true));
    let both = |media, ntp| Plan {
        items: vec![item(ConfigType::Media, media), item(ConfigType::Ntp, ntp)],
        ..Plan::default()
    };
    let first = harness.planned(both(false, true));
    assert_eq!(first, ["item MEDIA seed 1", "item NTP seed 2 last", "keep"]);
    harness.on(Event::Replan);
    assert_eq!(harness.planned(both(true, false)), ["item MEDIA seed 1", "keep"]);
    harness.on(Event::Replan);
    assert!(harness.planned(both(false, false)).is_empty());
}

#[test]
fn an_unavailable_store_is_asked_again() {
    let mut harness = Harness::challenged(device());
    harness.receive(answer_with(PASSWORD, plain()));
    harness.on(Event::Joined(true));
    assert!(harness.on(Event::Planned(Planned::Unavailable)).is_empty());
    assert_eq!(harness.at(5_000).tick(), ["plan"]);
}

#[test]
fn an_endless_answer_is_cut_off() {
    let mut harness = owing();
    harness.planned(update());
    let mut say = |event| harness.bytes(FromDevice::Tunnel { session: 1, event }.encode());
    assert_eq!(say(DeviceEvent::SendResult), ["receive"]);
    assert_eq!(say(DeviceEvent::ReceiveResult("HTTP/1.1 200 OK\r\n\r\n".into())), ["receive"]);
    for _ in 0..8 {
        assert_eq!(say(DeviceEvent::ReceiveResult(vec![b'x'; 8000].into())), ["receive"]);
    }
    assert_eq!(say(DeviceEvent::ReceiveResult(vec![b'x'; 8000].into())), ["shutdown", "line iresetn"]);
}

#[test]
fn requests_of_others_go_on_when_the_member_enters_again() {
    let mut harness = Harness::member();
    let request = || TunnelRequest::get("/admin.xml");
    assert_eq!(harness.on(Event::Open(TunnelId(1), request())), ["line /admin.xml"]);
    harness.receive(with_code(7));
    harness.claimed(Claimed::Entered(membership(entered_device())));
    harness.on(Event::Joined(true));
    assert_eq!(answer(&mut harness, 1, 204).last().unwrap(), "tunnel 1 Done");
}

#[test]
fn only_a_member_has_tunnels() {
    let mut harness = Harness::unassigned();
    let refused = harness.on(Event::Open(TunnelId(1), TunnelRequest::get("/")));
    assert_eq!(refused, ["tunnel 1 Refused(NotMember)"]);
}
