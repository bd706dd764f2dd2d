//! Ordering, verifying and retrying of updates.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::plan::tests::{config_job, device, domain, update_job};
use super::super::plan::{self, Plan};
use super::super::{Hours, JobSpec};
use super::*;

const MINUTE: u64 = 60_000;
const RESTART_WITHIN: Duration = Duration::from_secs(600);

fn plan(device: &Device, jobs: &[Job], occasion: Occasion, now: UnixMillis) -> Plan {
    plan::plan(device, &domain(), jobs, occasion, now, &RetryPolicy::default())
}

fn lines(device: &Device, job: &Job) -> Vec<String> {
    preview(device, std::slice::from_ref(job))
}

fn at(millis: u64) -> UnixMillis {
    UnixMillis(millis)
}

#[test]
fn different_builds_are_ordered() {
    let job = update_job(1, r#"{"IP112":{"firmware":"136044","bootcode":"136044"}}"#);
    let mut device = device();
    let (prot, boot) = (
        "mod cmd UP0 prot https://ap.example.org/fw/ip112.bin ser 136044",
        "mod cmd UP0 boot https://ap.example.org/fw/boot112.bin ser 136044",
    );
    assert_eq!(lines(&device, &job), [prot, boot, "iresetn"]);
    device.facts.fw_build = Some("136044".into());
    assert_eq!(lines(&device, &job), [boot, "iresetn"]);
    device.facts.bc_build = Some("136044".into());
    assert!(lines(&device, &job).is_empty());
    device.facts.mini = true;
    assert_eq!(lines(&device, &job), ["vars del UPDATE/PROT", prot, "iresetn"]);
}

#[test]
fn builds_are_taken_from_the_version_if_they_are_not_named() {
    let job = update_job(1, r#"{"IP112":{"firmware":"136044","bootcode":"136044"}}"#);
    let ordered = |version: &str| {
        let mut device = device();
        (device.facts.fw_build, device.facts.bc_build) = (None, None);
        device.facts.version = version.into();
        lines(&device, &job).len()
    };
    assert_eq!(ordered("13r3 sr9 [13.6012/136012/300]"), 3);
    assert_eq!(ordered("13r3 sr9 [13.6044/136012/300]"), 2);
    assert_eq!(ordered("13r3 [x] [13.6044/136044/300]"), 0);
    // An unknown build is not replaced: the update could not be verified.
    assert_eq!(ordered("13r3 sr9 [13.6012/0/300]"), 2);
    assert_eq!(ordered("13r3 sr9"), 0);
    assert_eq!(ordered("[/]"), 0);
}

#[test]
fn names_of_files() {
    let mut device = device();
    let prot = |device: &Device, build: &str| {
        let job = update_job(1, &format!(r#"{{"IP112":{build}}}"#));
        lines(device, &job)[0].clone()
    };
    device.facts.fw = Some("lab112.bin".into());
    assert_eq!(
        prot(&device, r#"{"firmware":"2000000"}"#),
        "mod cmd UP0 prot https://ap.example.org/fw/lab112.bin ser 2000000"
    );
    let listed = r#"{"firmware":"2000000","firmwareFile":"a+b.bin"}"#;
    assert_eq!(prot(&device, listed), "mod cmd UP0 prot https://ap.example.org/fw/a%2Bb.bin ser 2000000");
    // A file name from the device is used only if it is a plain name.
    device.facts.fw = Some("../x ser 1".into());
    assert_eq!(
        prot(&device, r#"{"firmware":"2000000"}"#),
        "mod cmd UP0 prot https://ap.example.org/fw/ip112.bin ser 2000000"
    );
}

#[test]
fn a_downgrade_deletes_the_variable_of_the_loaded_build() {
    let job = update_job(1, r#"{"IP112":{"firmware":"99","bootcode":"136044"}}"#);
    let lines = lines(&device(), &job);
    assert_eq!(lines[0], "vars del UPDATE/PROT");
    assert!(lines[1].ends_with(" ser 99") && lines[2].starts_with("mod cmd UP0 boot ") && lines.len() == 4);
}

#[test]
fn virtual_appliances_have_no_boot_code_and_devices_of_other_makers_no_updates() {
    let job = update_job(1, r#"{"IP112":{"bootcode":"136044"}}"#);
    let mut device = device();
    assert_eq!(lines(&device, &job).len(), 2);
    device.facts.platform = "VA".into();
    assert!(lines(&device, &job).is_empty());
    device.facts.platform = "PHONE".into();
    device.facts.other = true;
    assert!(lines(&device, &job).is_empty());
}

#[test]
fn the_latest_matching_job_counts() {
    let older = update_job(1, r#"{"IP112":{"firmware":"1"}}"#);
    let newer = update_job(7, r#"{"IP112":{"firmware":"136012"}}"#);
    let mut foreign = update_job(9, r#"{"IP112":{"firmware":"3"}}"#);
    foreign.order.category = Some(crate::core::model::ids::CategoryId(99));
    assert!(preview(&device(), &[newer, foreign.clone(), older.clone()]).is_empty());
    assert_eq!(preview(&device(), &[foreign, older]).len(), 3);
}

#[test]
fn an_update_is_ordered_verified_and_done() {
    let jobs = [update_job(1, r#"{"IP112":{"firmware":"136044"}}"#), config_job(2)];
    let mut device = device();
    let first = plan(&device, &jobs, Occasion::Registered, at(0));
    let order = first.update.unwrap();
    assert!(first.update_open && first.configs.is_empty() && !first.clean_up && order.job == JobId(1));
    device.work = first.work;
    device.work.update_ordered(&order, at(0));
    let waiting = plan(&device, &jobs, Occasion::Meanwhile, at(MINUTE));
    assert!(waiting.update.is_none() && waiting.update_open && waiting.configs.is_empty());
    assert_eq!(waiting.recheck_after, Some(RESTART_WITHIN.saturating_sub(Duration::from_secs(60))));
    device.facts.fw_build = Some("136044".into());
    let after = plan(&device, &jobs, Occasion::Registered, at(2 * MINUTE));
    assert!(after.update.is_none() && !after.update_open && after.configs.len() == 1);
    let progress = after.work.update.unwrap();
    assert_eq!((progress.state, progress.attempts, progress.at), (State::Done, 1, at(2 * MINUTE)));
}

#[test]
fn a_device_that_comes_back_unchanged_is_tried_again_and_then_given_up() {
    let jobs = [update_job(1, r#"{"IP112":{"firmware":"136044"}}"#), config_job(2)];
    let mut device = device();
    let mut now = 0;
    for (attempt, wait) in (1..).zip([1, 2, 4, 8]) {
        let ordered = plan(&device, &jobs, Occasion::Meanwhile, at(now));
        let order = ordered.update.unwrap();
        assert_eq!(order.lines[0] == "vars del UPDATE/PROT", attempt > 1, "{attempt}");
        device.work = ordered.work;
        device.work.update_ordered(&order, at(now));
        now += 1;
        let back = plan(&device, &jobs, Occasion::Registered, at(now));
        assert!(back.update.is_none() && back.update_open && back.configs.is_empty());
        assert_eq!(back.recheck_after, Some(Duration::from_secs(60 * wait)), "{attempt}");
        device.work = back.work;
        let early = plan(&device, &jobs, Occasion::Registered, at(now + wait * MINUTE - 1));
        assert!(early.update.is_none() && early.work == device.work);
        now += wait * MINUTE;
    }
    let last = plan(&device, &jobs, Occasion::Meanwhile, at(now));
    device.work = last.work;
    device.work.update_ordered(&last.update.unwrap(), at(now));
    let given_up = plan(&device, &jobs, Occasion::Registered, at(now + 1));
    assert!(given_up.update.is_none() && !given_up.update_open && given_up.configs.len() == 1);
    let progress = given_up.work.update.clone().unwrap();
    assert_eq!(progress.state, State::Failed("still running: firmware 136012 instead of 136044".into()));
    assert_eq!((given_up.recheck_after, progress.attempts), (None, 5));
    device.work = given_up.work;
    // A newer job starts with new attempts.
    let newer = [update_job(3, r#"{"IP112":{"firmware":"136044"}}"#)];
    assert!(plan(&device, &newer, Occasion::Meanwhile, at(now + 2)).update.is_some());
}

#[test]
fn a_device_that_never_comes_back_has_failed_after_ten_minutes() {
    let jobs = [update_job(1, r#"{"IP112":{"firmware":"136044"}}"#)];
    let mut device = device();
    let ordered = plan(&device, &jobs, Occasion::Registered, at(0));
    device.work.update_ordered(&ordered.update.unwrap(), at(0));
    let waiting = plan(&device, &jobs, Occasion::Meanwhile, at(10 * MINUTE - 1));
    assert_eq!((waiting.recheck_after, waiting.work == device.work), (Some(Duration::from_millis(1)), true));
    let failed = plan(&device, &jobs, Occasion::Meanwhile, at(10 * MINUTE));
    assert!(matches!(failed.work.update.unwrap().state, State::Failed(_)));
    assert_eq!(failed.recheck_after, Some(Duration::from_secs(60)));
}

#[test]
fn maintenance_hours_delay_only_the_update() {
    let mut job = update_job(1, r#"{"IP112":{"firmware":"136044"}}"#);
    if let Task::Update(update) = &mut job.order.task {
        update.hours = Hours { allow: vec![22, 23, 0], utc_offset: 60 };
    }
    let jobs = [job, config_job(2)];
    let mut device = device();
    let plan_at = |device: &Device, hour: u64, minute: u64| {
        plan(device, &jobs, Occasion::Registered, at((hour * 60 + minute) * MINUTE))
    };
    // 12:30 UTC is 13:30 in that zone.
    let day = plan_at(&device, 12, 30);
    assert!(day.update.is_none() && !day.update_open && day.configs.len() == 1);
    assert_eq!(day.recheck_after, Some(Duration::from_secs((8 * 60 + 30) * 60)));
    for (hour, minute) in [(21, 0), (22, 59), (23, 59)] {
        assert!(plan_at(&device, hour, minute).update.is_some(), "{hour}:{minute}");
    }
    assert!(plan_at(&device, 24, 0).update.is_none());
    device.facts.mini = true;
    assert!(plan_at(&device, 12, 0).update.is_some(), "out of use anyway");
    device.facts.mini = false;
    device.pending = crate::core::model::ids::Code::from_number(1);
    assert!(plan_at(&device, 12, 0).update.is_some(), "not in use yet");
}

#[test]
fn the_emergency_firmware_only_loads_updates() {
    let mut device = device();
    device.facts.mini = true;
    let jobs = [update_job(1, r#"{"IP112":{"firmware":"136012"}}"#), config_job(2)];
    assert!(plan(&device, &jobs, Occasion::Registered, at(0)).update.is_some());
    let helpless = plan(&device, &jobs[1..], Occasion::Registered, at(0));
    assert!(helpless.update.is_none() && !helpless.update_open && helpless.configs.is_empty() && !helpless.clean_up);
}

#[test]
fn hours_are_checked() {
    let check = |allow: &[u8], utc_offset| {
        let hours = Hours { allow: allow.to_vec(), utc_offset };
        let builds = Arc::new(BuildList { base_url: "http://h/".into(), ..BuildList::default() });
        let order = JobSpec { category: None, desc: None, task: Task::Update(Update { builds, hours }) };
        order.check().map_err(|error| error.to_string())
    };
    assert_eq!(check(&[0, 23], -720), Ok(()));
    assert_eq!(check(&[24], 0).unwrap_err(), "hours.allow: an hour is 0 to 23");
    assert_eq!(check(&[1, 2, 1], 0).unwrap_err(), "hours.allow: an hour is named twice");
    assert_eq!(check(&[], 841).unwrap_err(), "hours.utcOffset: more than 14 hours");
}

/// What happens to a device between two plans.
#[derive(Debug, Clone)]
enum Event {
    Passed(u64),
    BackWith(&'static str),
    NotDelivered,
    NewJob,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        4 => (1_u64..900_000).prop_map(Event::Passed),
        3 => prop::sample::select(vec!["136012", "136044", "136012", "1"]).prop_map(Event::BackWith),
        1 => Just(Event::NotDelivered),
        1 => Just(Event::NewJob),
    ];
    prop::collection::vec(event, 0..80)
}

proptest! {
    #[test]
    fn updates_are_rare_and_finite(events in events(), hours in prop::collection::vec(0_u8..24, 0..3)) {
        let job = |id| {
            let mut job = update_job(id, r#"{"IP112":{"firmware":"136044"}}"#);
            if let Task::Update(update) = &mut job.order.task {
                update.hours.allow.clone_from(&hours);
            }
            job
        };
        let mut device = device();
        let (mut now, mut id) = (0, 1);
        let mut orders: Vec<u64> = Vec::new();
        let turn = |device: &mut Device, occasion, now: u64, id, orders: &mut Vec<u64>| {
            let plan = plan(device, &[job(id)], occasion, at(now));
            device.work = plan.work;
            if let Some(order) = plan.update {
                assert!(hours.is_empty() || hours.iter().any(|hour| u64::from(*hour) == now / (60 * MINUTE) % 24));
                device.work.update_ordered(&order, at(now));
                orders.push(now);
            }
            plan.recheck_after
        };
        for event in events {
            let mut occasion = Occasion::Meanwhile;
            match event {
                Event::Passed(millis) => now += millis,
                Event::BackWith(build) => (device.facts.fw_build, occasion) = (Some(build.into()), Occasion::Registered),
                Event::NotDelivered => device.work.update_failed("no answer", at(now)),
                Event::NewJob => {
                    id += 1;
                    orders.clear();
                }
            }
            turn(&mut device, occasion, now, id, &mut orders);
            for (attempt, pair) in (0_u32..).zip(orders.windows(2)) {
                prop_assert!(pair[1] - pair[0] >= MINUTE << attempt, "{orders:?}");
            }
            prop_assert!(orders.len() <= 5);
        }
        // In the end a device that behaves gets the update, and one that does not is given up.
        let mut turns = 0;
        while let Some(wait) = turn(&mut device, Occasion::Meanwhile, now, id, &mut orders) {
            now += u64::try_from(wait.as_millis()).unwrap();
            turns += 1;
            prop_assert!(turns < 40);
        }
        let state = device.work.update.as_ref().map(|progress| progress.state.clone());
        if device.facts.fw_build.as_deref() == Some("136044") {
            prop_assert!(matches!(state, None | Some(State::Done)), "{state:?}");
        } else {
            prop_assert!(matches!(state, Some(State::Failed(_))) && orders.len() == 5, "{state:?} {orders:?}");
        }
    }
}
