//! SIGKILL at any point between the claim of a code and the delivery of its notice.

use super::broker::Keep;
use super::round::Lane;
use super::run;

/// Kills per store.
const KILLS: u64 = 100;

/// Every so many rounds the store is killed with the broker.
const STORE_TOO: u64 = 5;

/// In this round the new broker finds the old one's node still counted as alive, as it is for 15 seconds after a kill.
const WITH_LEASES: u64 = 50;

fn kill_again_and_again(keep: Keep, number: u64) {
    let tally = run(async {
        let mut lane = Lane::new(keep, number);
        for round in 1..=KILLS {
            lane = lane.round(round % STORE_TOO == 0, round == WITH_LEASES).await;
        }
        lane.finish().await
    });
    println!("{tally:#?}");
    assert_eq!((tally.lost, tally.stuck), (0, 0));
    assert_eq!(tally.kills, KILLS);
    // The kills have struck where it matters: before and after claims, before and after the password arrived.
    assert!(tally.claimed > 0 && tally.claimed < tally.codes);
    assert!(tally.told > 0 && tally.told < tally.claimed);
    assert!(tally.duplicates > 0, "no kill has struck behind a notice");
}

#[test]
fn a_killed_broker_loses_nothing_on_the_embedded_store() {
    kill_again_and_again(Keep::embedded(), 1);
}

#[test]
fn a_killed_broker_loses_nothing_on_redis() {
    kill_again_and_again(Keep::redis(), 2);
}
