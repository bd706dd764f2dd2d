//! Every row of the table, and a property test for what must never happen.

use proptest::prelude::*;

use super::*;
use crate::core::model::device::Facts;
use crate::core::model::ids::{Code, DeviceId, Secret};
use crate::core::model::time::UnixMillis;

fn key() -> DeviceKey {
    DeviceKey::parse("00903341a0b1").unwrap()
}

fn domain(name: &str) -> DomainName {
    DomainName::parse(name).unwrap()
}

fn device(name: &str, tentative: bool, way: Way) -> Device {
    Device {
        id: DeviceId(1),
        key: key(),
        domain: domain(name),
        category: CategoryId(4),
        way,
        password: Secret::new("x"),
        tentative,
        admin_password: None,
        entry_code: Code::from_number(1),
        pending: None,
        entered: UnixMillis(0),
        name: None,
        app_ip: None,
        work: crate::core::model::work::Work::default(),
        facts: Facts::default(),
    }
}

fn code(name: &str, number: u64, state: CodeState) -> IssuedCode {
    IssuedCode {
        code: Code::from_number(number).unwrap(),
        domain: domain(name),
        category: CategoryId(4),
        sip: None,
        requester: crate::core::model::device::Requester { app: "a".into(), sip: "s".into() },
        holder: None,
        rollout: false,
        administrative: false,
        valid_until: UnixMillis(0),
        state,
    }
}

fn used_by(text: &str) -> CodeState {
    CodeState::Used { by: DeviceKey::parse(text).unwrap(), port: None }
}

fn good(name: &str) -> AutoOffer {
    AutoOffer::Good { domain: domain(name), category: CategoryId(9) }
}

fn step(device: Option<&Device>, code: CodeOffer<'_>, auto: AutoOffer, other_member: bool, stage: Stage) -> Step {
    decide(&Situation { key: &key(), device, code, auto, other_member, stage }).step
}

#[test]
fn an_unknown_device_enters_by_code_or_query_or_stays_unassigned() {
    let open = code("a", 1, CodeState::Open);
    assert_eq!(step(None, CodeOffer::Found(&open), good("b"), false, Stage::Open), Step::EnterByCode);
    let by_query = Step::EnterByQuery { domain: domain("b"), category: CategoryId(9) };
    assert_eq!(step(None, CodeOffer::Bad, good("b"), false, Stage::Open), by_query);
    assert_eq!(step(None, CodeOffer::None, AutoOffer::Bad, false, Stage::Open), Step::Unassigned);
    let used = code("a", 1, used_by("009033000001"));
    assert_eq!(step(None, CodeOffer::Found(&used), AutoOffer::None, false, Stage::Open), Step::Unassigned);
}

#[test]
fn a_known_device_enters_again_only_while_no_other_connection_is_a_member() {
    let open = code("a", 2, CodeState::Open);
    let known = device("a", false, Way::Code);
    let ask = |other, stage| step(Some(&known), CodeOffer::Found(&open), AutoOffer::None, other, stage);
    assert_eq!(ask(false, Stage::Open), Step::EnterByCode);
    assert_eq!(ask(true, Stage::Open), Step::Challenge);
    assert_eq!(ask(false, Stage::Challenged), Step::EnterByCode);
    assert_eq!(ask(true, Stage::Challenged), Step::Stay);
    assert_eq!(ask(true, Stage::Member), Step::EnterByCode);
}

#[test]
fn a_code_of_another_domain_moves_no_device() {
    let open = code("b", 2, CodeState::Open);
    let known = device("a", true, Way::Code);
    for (stage, expected) in
        [(Stage::Open, Step::Challenge), (Stage::Challenged, Step::Stay), (Stage::Member, Step::Stay)]
    {
        let offer = CodeOffer::Found(&open);
        let situation =
            Situation { key: &key(), device: Some(&known), code: offer, auto: good("b"), other_member: false, stage };
        let verdict = decide(&situation);
        assert_eq!(verdict.step, expected);
        assert!(verdict.other_domain && verdict.bad_code);
    }
}

#[test]
fn a_used_code_lets_its_own_device_in_again_until_the_password_is_proved() {
    let used = code("a", 1, used_by("00903341a0b1"));
    let offer = CodeOffer::Found(&used);
    let tentative = device("a", true, Way::Code);
    assert_eq!(step(Some(&tentative), offer, AutoOffer::None, false, Stage::Open), Step::EnterByCode);
    let proved = device("a", false, Way::Code);
    let situation = Situation {
        key: &key(),
        device: Some(&proved),
        code: offer,
        auto: AutoOffer::None,
        other_member: false,
        stage: Stage::Open,
    };
    let verdict = decide(&situation);
    assert_eq!((verdict.step, verdict.bad_code), (Step::Challenge, false));
    // A member needs no code, whether its password is proved or not.
    assert_eq!(step(Some(&tentative), offer, AutoOffer::None, false, Stage::Member), Step::Stay);
    // An older code of the same device does not admit it again.
    let older = code("a", 7, used_by("00903341a0b1"));
    assert_eq!(step(Some(&tentative), CodeOffer::Found(&older), AutoOffer::None, false, Stage::Open), Step::Challenge);
}

#[test]
fn the_shared_token_is_accepted_again_only_after_an_unanswered_challenge() {
    let again = Step::EnterByQuery { domain: domain("a"), category: CategoryId(9) };
    let tentative = device("a", true, Way::Auto);
    assert_eq!(step(Some(&tentative), CodeOffer::None, good("a"), false, Stage::Open), Step::Challenge);
    assert_eq!(step(Some(&tentative), CodeOffer::None, good("a"), false, Stage::Challenged), again);
    assert_eq!(step(Some(&tentative), CodeOffer::None, good("a"), true, Stage::Challenged), Step::Stay);
    let proved = device("a", false, Way::Auto);
    assert_eq!(step(Some(&proved), CodeOffer::None, good("a"), false, Stage::Challenged), Step::Stay);
    let by_code = device("a", true, Way::Code);
    assert_eq!(step(Some(&by_code), CodeOffer::None, good("a"), false, Stage::Challenged), Step::Stay);
}

#[test]
fn only_wrong_guesses_count() {
    let verdict = |code, device: Option<&Device>, stage| {
        let auto = AutoOffer::Bad;
        decide(&Situation { key: &key(), device, code, auto, other_member: false, stage })
    };
    let known = device("a", false, Way::Code);
    assert!(verdict(CodeOffer::Bad, None, Stage::Open).bad_code);
    assert!(verdict(CodeOffer::Bad, Some(&known), Stage::Challenged).bad_code);
    assert!(verdict(CodeOffer::Bad, Some(&known), Stage::Member).bad_code, "a member guesses like anybody else");
    assert!(!verdict(CodeOffer::None, None, Stage::Open).bad_code);
    let own = code("a", 1, used_by("00903341a0b1"));
    assert!(!verdict(CodeOffer::Found(&own), Some(&known), Stage::Member).bad_code, "a member repeats its code");
    assert!(query_matters(None) && query_matters(Some(&device("a", true, Way::Auto))));
    assert!(!query_matters(Some(&known)));
}

proptest! {
    /// In no combination a known device enters another domain, or any device enters without a ticket.
    #[test]
    fn no_situation_moves_a_device_to_another_domain(
        known in proptest::option::of(0..2_usize), tentative: bool, auto_way: bool,
        code_domain in proptest::option::of(0..2_usize), code_number in 1..3_u64, used in 0..3_u8,
        auto in 0..4_u8, other_member: bool, stage in 0..3_u8,
    ) {
        let names = ["a", "b"];
        let way = if auto_way { Way::Auto } else { Way::Code };
        let device = known.map(|n| device(names[n], tentative, way));
        let state = match used { 0 => CodeState::Open, 1 => used_by("00903341a0b1"), _ => used_by("009033000001") };
        let issued = code_domain.map(|n| code(names[n], code_number, state));
        let offer = issued.as_ref().map_or(CodeOffer::None, CodeOffer::Found);
        let auto = match auto { 0 => AutoOffer::None, 1 => AutoOffer::Bad, 2 => good("a"), _ => good("b") };
        let stage = [Stage::Open, Stage::Challenged, Stage::Member][usize::from(stage)];
        let verdict = decide(&Situation {
            key: &key(), device: device.as_ref(), code: offer, auto: auto.clone(), other_member, stage,
        });
        match verdict.step {
            Step::EnterByCode => {
                let issued = issued.as_ref().unwrap();
                prop_assert!(device.as_ref().is_none_or(|d| d.domain == issued.domain));
                prop_assert_ne!(&issued.state, &used_by("009033000001"));
                prop_assert!(device.is_none() || !other_member || stage == Stage::Member);
            }
            Step::EnterByQuery { domain, .. } => {
                let offered = AutoOffer::Good { domain: domain.clone(), category: CategoryId(9) };
                prop_assert_eq!(auto, offered);
                prop_assert!(device.as_ref().is_none_or(|d| d.domain == domain && d.tentative && !other_member));
            }
            Step::Challenge => prop_assert!(device.is_some() && stage == Stage::Open),
            Step::Unassigned => prop_assert!(device.is_none()),
            Step::Stay => prop_assert!(device.is_some() && stage != Stage::Open),
        }
    }
}
