//! Case 8: another client edits the same user.

use std::time::Duration;

use proptest::prelude::*;
use provbroker::core::session::exchange::event::{Outcome, Report, RetryReason};
use provbroker::sim::exchange::switches::{Edit, Editor, Switches};

use super::world::{Direction, M, World};

const MINUTE: Duration = Duration::from_secs(60);
const THEIRS: &str = r#"{"hw":"theirs","text":"Theirs"}"#;

fn world(editors: Vec<Editor>) -> World {
    World::new(Direction::Inbound, Switches { editors, delay: Duration::from_millis(7), ..Switches::default() })
}

fn editor(mt: &'static str, nth: usize, edit: Edit) -> Editor {
    Editor { mt, nth, edit }
}

#[test]
fn case_8_an_entry_added_between_our_two_messages_is_there_in_the_end() {
    let mut world = world(vec![editor("GetObject", 1, Edit::Add(THEIRS.into()))]);
    let user = world.user(1);
    world.order(&user, M);
    world.run_orders(MINUTE);
    assert_eq!(world.hardware(&user), [M, "theirs"]);
    assert_eq!(world.sim.observed.updates.len(), 2, "the second adds theirs again");
    assert_eq!(world.outcome(0), Some(&Outcome::Done { wrote: true }));
}

#[test]
fn case_8_an_editor_overwrites_all_after_our_two_messages() {
    let mut world = world(vec![editor("UpdateObject", 1, Edit::Overwrite(THEIRS.into()))]);
    let user = world.user(1);
    let now = world.now;
    world.sim.set_devices(user.as_str(), r#"[{"hw":"old"}]"#, now);
    world.order(&user, M);
    world.run_orders(MINUTE);
    assert_eq!(world.hardware(&user), ["old", "theirs", M]);
    assert!(world.sim.observed.updates.len() <= 3);
}

#[test]
fn case_8_what_somebody_removes_meanwhile_stays_removed() {
    let mut world = world(vec![editor("UpdateObject", 1, Edit::Remove("old".into()))]);
    let user = world.user(1);
    let now = world.now;
    world.sim.set_devices(user.as_str(), r#"[{"hw":"old"},{"hw":"kept"}]"#, now);
    world.order(&user, M);
    world.run_orders(MINUTE);
    assert_eq!(world.hardware(&user), ["kept", M]);
    assert_eq!(world.sim.observed.updates.len(), 1);
    assert!(world.reports.contains(&Report::RemovedMeanwhile { user, hw: "old".into() }));
}

#[test]
fn case_8_after_three_rounds_of_concurrent_edits_the_order_waits() {
    let overwrites = (1..=9).map(|nth| editor("UpdateObject", nth, Edit::Overwrite(THEIRS.into()))).collect();
    let mut world = world(overwrites);
    let user = world.user(1);
    world.order(&user, M);
    world.run_orders(Duration::from_secs(3_600));
    let waits = |outcome: &&Outcome| matches!(outcome, Outcome::Later(RetryReason::ConcurrentEdits, wait) if wait.as_secs() == 300);
    assert_eq!(world.tracked[0].outcomes.iter().filter(waits).count(), 3);
    assert_eq!(world.sim.observed.updates.len(), 10, "three rounds each, and the one that persisted");
    assert!(world.reports.contains(&Report::ConcurrentEdits(user.clone())), "alarm after three times");
    assert_eq!(world.hardware(&user), ["theirs", M]);
}

#[derive(Debug, Clone)]
struct ConcurrentEdit {
    mt: &'static str,
    nth: usize,
    overwrite: bool,
    hw: u8,
}

fn concurrent_edit() -> impl Strategy<Value = ConcurrentEdit> {
    // An edit that overwrites everything after our last check cannot be detected any more.
    let which = prop_oneof![Just(("GetObject", false)), Just(("UpdateObject", false)), Just(("UpdateObject", true))];
    (which, 1..4_usize, 0..3_u8).prop_map(|((mt, overwrite), nth, hw)| ConcurrentEdit { mt, nth, overwrite, hw })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever other clients do, the order ends with exactly one entry of ours, and entries that they only add are
    /// kept.
    #[test]
    fn case_8_our_entry_is_there_in_the_end_whatever_others_do(
        nuisances in prop::collection::vec(concurrent_edit(), 0..4),
        delay in 0..400_u64,
    ) {
        let editors = nuisances.iter().map(|n| {
            let entry: Box<str> = format!(r#"{{"hw":"theirs{}"}}"#, n.hw).into();
            editor(n.mt, n.nth, if n.overwrite { Edit::Overwrite(entry) } else { Edit::Add(entry) })
        });
        let mut world = world(editors.collect());
        world.sim.switches.delay = Duration::from_millis(delay);
        let user = world.user(1);
        world.order(&user, M);
        world.run_orders(Duration::from_secs(3_600));
        let ours = world.devices(&user).iter().filter(|entry| entry.is(M)).count();
        prop_assert_eq!(ours, 1);
        if nuisances.iter().all(|concurrent_edit| !concurrent_edit.overwrite) {
            let (looks, writes) = (world.sim.observed.count("GetObject"), world.sim.observed.count("UpdateObject"));
            for n in nuisances.iter().filter(|n| n.nth <= if n.mt == "GetObject" { looks } else { writes }) {
                let theirs = format!("theirs{}", n.hw);
                prop_assert!(world.hardware(&user).contains(&theirs), "{} is lost", theirs);
            }
        }
        prop_assert_eq!(world.sim.observed.created, 0);
        prop_assert!(world.sim.observed.most_updates <= 1);
    }
}
