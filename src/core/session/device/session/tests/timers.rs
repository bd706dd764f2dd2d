//! The timers of `docs/protocol/sysclient.md` 1.2 and section 5.

use super::*;

#[test]
fn a_connection_has_thirty_seconds_to_identify() {
    let mut harness = Harness::new();
    assert_eq!(harness.deadline(), 30_000);
    assert!(harness.at(29_999).tick().is_empty());
    assert_eq!(harness.at(30_000).tick(), ["close 1008 too late"]);
}

#[test]
fn messages_other_than_identify_do_not_stop_the_first_timer() {
    let mut harness = Harness::new();
    harness.at(20_000).on(Event::Heard);
    assert_eq!(harness.bytes(&b"\x01\x00\x07{}"[..]), ["dropped"]);
    assert_eq!(harness.deadline(), 30_000);
    assert_eq!(harness.at(30_000).tick(), ["close 1008 too late"]);
}

#[test]
fn a_challenged_device_has_sixty_seconds() {
    let mut harness = Harness::challenged(device());
    assert_eq!(harness.deadline(), 30_000);
    assert_eq!(harness.at(30_000).tick(), ["ping"]);
    assert_eq!(harness.deadline(), 60_000);
    harness.at(59_000).receive(plain());
    assert!(harness.at(59_999).tick().iter().all(|w| w == "ping"));
    assert_eq!(harness.at(60_000).tick(), ["close 1008 too late"]);
}

#[test]
fn a_shorter_time_limit_for_the_answer_applies_exactly() {
    let mut harness = Harness::challenged(device());
    harness.timing.challenged = Duration::from_secs(5);
    assert_eq!(harness.deadline(), 5_000);
    assert_eq!(harness.at(5_000).tick(), ["close 1008 too late"]);
}

#[test]
fn a_late_tick_does_not_enter_a_device_on_a_closed_connection() {
    let mut harness = Harness::new();
    harness.receive(plain());
    let auto = Device { tentative: true, way: Way::Auto, ..device() };
    harness.claimed(Claimed::Known {
        membership: membership(auto),
        again_by_query: true,
        challenge_after: Duration::ZERO,
    });
    assert_eq!(harness.at(60_000).tick(), ["close 1008 too late"]);
}

#[test]
fn pings_go_out_every_thirty_seconds() {
    let mut harness = Harness::member();
    for round in 1..10 {
        assert_eq!(harness.deadline(), round * 30_000);
        assert!(harness.at(round * 30_000 - 1).tick().is_empty());
        assert_eq!(harness.at(round * 30_000).tick(), ["ping"]);
        assert!(harness.tick().is_empty());
        harness.on(Event::Heard);
    }
}

#[test]
fn ninety_seconds_of_silence_close_in_every_lasting_state() {
    for mut harness in [Harness::unassigned(), Harness::member()] {
        assert_eq!(harness.at(30_000).tick(), ["ping"]);
        assert_eq!(harness.at(60_000).tick(), ["ping"]);
        assert!(harness.at(89_999).tick().is_empty());
        assert_eq!(harness.deadline(), 90_000);
        assert_eq!(harness.at(90_000).tick(), ["close 1008 silent"]);
    }
}

#[test]
fn any_frame_resets_the_silence_timer() {
    let mut harness = Harness::member();
    harness.at(80_000).on(Event::Heard);
    assert_eq!(harness.at(100_000).tick(), ["ping"]);
    harness.at(160_000).bytes(&b"\x01\x00\x07{}"[..]);
    assert_eq!(harness.at(249_999).tick(), ["ping"]);
    assert_eq!(harness.at(250_000).tick(), ["close 1008 silent"]);
}

#[test]
fn the_tick_at_a_deadline_moves_the_deadline() {
    for mut harness in [Harness::new(), Harness::unassigned(), Harness::challenged(device()), Harness::member()] {
        let mut closed = false;
        for _ in 0..20 {
            let due = harness.deadline();
            closed = harness.at(due).tick().iter().any(|w| w.starts_with("close"));
            if closed {
                break;
            }
            assert!(harness.deadline() > due);
        }
        assert!(closed, "silence ends every connection");
    }
}
