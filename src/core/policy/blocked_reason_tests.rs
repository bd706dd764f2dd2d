//! The blocked reason of devices and codes in each situation.

use super::*;
use crate::core::model::device::{Facts, Requester, Way};
use crate::core::model::ids::JobId;
use crate::core::model::ids::{CategoryId, Code, DeviceId, DeviceKey, DomainName, Secret};
use crate::core::model::time::UnixMillis;
use crate::core::model::work::{Configured, Work};
use crate::core::policy::jobs::config::Kind;
use crate::core::policy::jobs::plan::UpdateOrder;

fn device() -> Device {
    Device {
        id: DeviceId(1),
        key: DeviceKey::parse("00903341a0b1").unwrap(),
        domain: DomainName::parse("example.com").unwrap(),
        category: CategoryId(3),
        way: Way::Code,
        password: Secret::default(),
        tentative: false,
        admin_password: None,
        entry_code: None,
        pending: None,
        entered: UnixMillis(5),
        name: None,
        app_ip: None,
        work: Work::default(),
        facts: Facts::default(),
    }
}

fn code(state: CodeState) -> IssuedCode {
    IssuedCode {
        code: Code::from_number(7).unwrap(),
        domain: DomainName::parse("example.com").unwrap(),
        category: CategoryId(3),
        sip: None,
        requester: Requester { app: "api".into(), sip: "".into() },
        holder: None,
        rollout: false,
        administrative: false,
        valid_until: UnixMillis(100),
        state,
    }
}

fn steps(events: impl IntoIterator<Item = TimelineEvent>) -> Vec<Step> {
    events.into_iter().enumerate().map(|(at, event)| Step { at: UnixMillis(at as u64), event }).collect()
}

fn progress(state: State) -> Progress {
    Progress { job: Some(JobId(1)), attempts: 3, at: UnixMillis(9), state }
}

fn updating(state: Option<State>) -> Plan {
    Plan { update_open: true, work: Work { update: state.map(progress), ..Work::default() }, ..Plan::default() }
}

fn reason(device: &Device, online: bool, plan: &Plan, events: &[TimelineEvent]) -> Option<Reason> {
    let steps = steps(events.iter().cloned());
    of_device(&DeviceNow { device, online, plan, steps: &steps }).map(|blocked| blocked.reason)
}

#[test]
fn a_device_with_nothing_left_to_do_is_not_blocked() {
    let done = [TimelineEvent::Entered(Way::Code), TimelineEvent::NoticeReady, TimelineEvent::NoticeSettled];
    assert_eq!(reason(&device(), true, &Plan::default(), &done), None);
    assert_eq!(reason(&device(), false, &Plan::default(), &done), Some(Reason::Offline));
    // A password stays tentative until the first reconnect; while the device is online that is no fault.
    let fresh = Device { tentative: true, ..device() };
    assert_eq!(reason(&fresh, true, &Plan::default(), &done), None);
    assert_eq!(reason(&fresh, false, &Plan::default(), &done), Some(Reason::PasswordTentative));
}

#[test]
fn an_update_comes_before_everything_else() {
    let waiting = [TimelineEvent::NoticeReady];
    for (plan, expected) in [
        (updating(Some(State::Ordered)), Reason::UpdateNotSeen),
        (updating(Some(State::Failed("no memory".into()))), Reason::UpdateFailed),
        (updating(None), Reason::WaitsForHours),
        (updating(Some(State::Done)), Reason::WaitsForHours),
    ] {
        for online in [true, false] {
            assert_eq!(reason(&device(), online, &plan, &waiting), Some(expected));
        }
    }
    let failed = updating(Some(State::Failed("no memory".into())));
    let blocked = of_device(&DeviceNow { device: &device(), online: true, plan: &failed, steps: &[] }).unwrap();
    assert_eq!(blocked.text, "the update has failed 3 times; the last time: no memory");
    // An update that is about to be ordered is not blocked.
    let order = Some(UpdateOrder { job: JobId(1), lines: Vec::new() });
    assert_eq!(reason(&device(), true, &Plan { update: order, ..updating(None) }, &[]), None);
    // An update that was given up does not block.
    let over = Plan { update_open: false, ..updating(Some(State::Failed("no memory".into()))) };
    assert_eq!(reason(&device(), true, &over, &[]), None);
}

#[test]
fn configuration_comes_before_the_notice() {
    let config = Configured {
        kind: Kind::Ntp,
        fingerprint: "".into(),
        config: None,
        progress: progress(State::Failed("no answer".into())),
    };
    let plan = Plan { work: Work { configs: vec![config], ..Work::default() }, ..Plan::default() };
    assert_eq!(reason(&device(), true, &plan, &[TimelineEvent::NoticeReady]), Some(Reason::ConfigurationFailed));
    let clean_up = Some(progress(State::Failed("no answer".into())));
    let plan = Plan { work: Work { clean_up, ..Work::default() }, ..Plan::default() };
    assert_eq!(reason(&device(), true, &plan, &[]), Some(Reason::CleanUpFailed));
}

#[test]
fn a_notice_is_followed_until_it_is_settled() {
    let (ready, sent) = (TimelineEvent::NoticeReady, TimelineEvent::NoticeSent("users".into()));
    let plan = Plan::default();
    assert_eq!(reason(&device(), true, &plan, std::slice::from_ref(&ready)), Some(Reason::NoticeWaits));
    assert_eq!(reason(&device(), true, &plan, &[ready.clone(), sent.clone()]), Some(Reason::NoticeUnsettled));
    assert_eq!(reason(&device(), true, &plan, &[ready, sent, TimelineEvent::NoticeSettled]), None);
    assert_eq!(reason(&device(), true, &plan, &[TimelineEvent::OtherDomain]), Some(Reason::OtherDomain));
}

#[test]
fn a_code_waits_for_a_device_and_then_with_it() {
    let reason = |code: Option<&IssuedCode>, events: &[TimelineEvent], device: Option<&DeviceNow<'_>>| {
        of_code(code, &steps(events.iter().cloned()), device).map(|blocked| blocked.reason)
    };
    let (open, issued) = (code(CodeState::Open), TimelineEvent::Issued);
    assert_eq!(reason(Some(&open), std::slice::from_ref(&issued), None), Some(Reason::CodeNotUsed));
    assert_eq!(reason(Some(&open), &[issued.clone(), TimelineEvent::OtherDomain], None), Some(Reason::OtherDomain));
    assert_eq!(reason(None, std::slice::from_ref(&issued), None), Some(Reason::CodeExpired));
    assert_eq!(reason(None, &[issued.clone(), TimelineEvent::Revoked], None), Some(Reason::CodeRevoked));
    let used = code(CodeState::Used { by: device().key, port: None });
    assert_eq!(reason(Some(&used), std::slice::from_ref(&issued), None), Some(Reason::DeviceGone));
    let (record, plan) = (device(), Plan::default());
    let now = DeviceNow { device: &record, online: false, plan: &plan, steps: &[] };
    assert_eq!(reason(Some(&used), std::slice::from_ref(&issued), Some(&now)), Some(Reason::Offline));
    assert_eq!(reason(Some(&used), &[issued], Some(&DeviceNow { online: true, ..now })), None);
}
