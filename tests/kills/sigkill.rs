//! SIGKILL at any point between the claim of a code and the delivery of its notice.

use super::broker::Keep;
use super::round::Lane;
use super::run;

/// Kills per store.
const KILLS: u64 = 100;

/// The store is killed together with the broker in every round of this number.
const STORE_TOO: u64 = 5;

/// In this round the node of the old broker still counts as alive, as it does for 15 seconds after a kill.
const WITH_LEASES: u64 = 50;

fn kill_again_and_again(keep: Keep, number: u64) {
    let totals = run(async {
        let mut lane = Lane::new(keep, number);
        for round in 1..=KILLS {
            lane = lane.round(round % STORE_TOO == 0, round == WITH_LEASES).await;
        }
        lane.finish().await
    });
    println!("{totals:#?}");
    assert_eq!((totals.lost, totals.stuck), (0, 0));
    assert_eq!(totals.kills, KILLS);
    // The kills have happened before and after claims, and before and after the password arrived.
    assert!(totals.claimed > 0 && totals.claimed < totals.codes);
    assert!(totals.told > 0 && totals.told < totals.claimed);
    assert!(totals.duplicates > 0, "no kill has struck behind a notice");
}

#[test]
fn a_killed_broker_loses_nothing_on_the_embedded_store() {
    kill_again_and_again(Keep::embedded(), 1);
}

#[test]
fn a_killed_broker_loses_nothing_on_redis() {
    kill_again_and_again(Keep::redis(), 2);
}
