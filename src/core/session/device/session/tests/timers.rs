//! The timers of `docs/protocol/sysclient.md` 1.2 and section 5.

use super::*;

#[test]
fn a_connection_has_thirty_seconds_to_identify() {
    let mut desk = Desk::new();
    assert_eq!(desk.deadline(), 30_000);
    assert!(desk.at(29_999).tick().is_empty());
    assert_eq!(desk.at(30_000).tick(), ["close 1008 too late"]);
}

#[test]
fn words_other_than_identify_do_not_stop_the_first_timer() {
    let mut desk = Desk::new();
    desk.at(20_000).on(Event::Heard);
    assert_eq!(desk.bytes(&b"\x01\x00\x07{}"[..]), ["dropped"]);
    assert_eq!(desk.deadline(), 30_000);
    assert_eq!(desk.at(30_000).tick(), ["close 1008 too late"]);
}

#[test]
fn a_challenged_device_has_sixty_seconds() {
    let mut desk = Desk::challenged(device());
    assert_eq!(desk.deadline(), 30_000);
    assert_eq!(desk.at(30_000).tick(), ["ping"]);
    assert_eq!(desk.deadline(), 60_000);
    desk.at(59_000).hear(plain());
    assert!(desk.at(59_999).tick().iter().all(|w| w == "ping"));
    assert_eq!(desk.at(60_000).tick(), ["close 1008 too late"]);
}

#[test]
fn a_shorter_time_for_the_answer_is_kept_to_the_point() {
    let mut desk = Desk::challenged(device());
    desk.timing.challenged = Duration::from_secs(5);
    assert_eq!(desk.deadline(), 5_000);
    assert_eq!(desk.at(5_000).tick(), ["close 1008 too late"]);
}

#[test]
fn a_tick_that_comes_too_late_lets_nobody_in_on_a_closed_connection() {
    let mut desk = Desk::new();
    desk.hear(plain());
    let auto = Device { tentative: true, way: Way::Auto, ..device() };
    desk.claimed(Claimed::Known { membership: membership(auto), again_by_query: true, bad_code: false });
    assert_eq!(desk.at(60_000).tick(), ["close 1008 too late"]);
}

#[test]
fn pings_go_out_every_thirty_seconds() {
    let mut desk = Desk::member();
    for round in 1..10 {
        assert_eq!(desk.deadline(), round * 30_000);
        assert!(desk.at(round * 30_000 - 1).tick().is_empty());
        assert_eq!(desk.at(round * 30_000).tick(), ["ping"]);
        assert!(desk.tick().is_empty());
        desk.on(Event::Heard);
    }
}

#[test]
fn ninety_seconds_of_silence_are_the_end_in_every_state_that_lasts() {
    for mut desk in [Desk::unassigned(), Desk::member()] {
        assert_eq!(desk.at(30_000).tick(), ["ping"]);
        assert_eq!(desk.at(60_000).tick(), ["ping"]);
        assert!(desk.at(89_999).tick().is_empty());
        assert_eq!(desk.deadline(), 90_000);
        assert_eq!(desk.at(90_000).tick(), ["close 1008 silent"]);
    }
}

#[test]
fn any_frame_is_a_sign_of_life() {
    let mut desk = Desk::member();
    desk.at(80_000).on(Event::Heard);
    assert_eq!(desk.at(100_000).tick(), ["ping"]);
    desk.at(160_000).bytes(&b"\x01\x00\x07{}"[..]);
    assert_eq!(desk.at(249_999).tick(), ["ping"]);
    assert_eq!(desk.at(250_000).tick(), ["close 1008 silent"]);
}

#[test]
fn the_tick_at_a_deadline_moves_the_deadline() {
    for mut desk in [Desk::new(), Desk::unassigned(), Desk::challenged(device()), Desk::member()] {
        let mut closed = false;
        for _ in 0..20 {
            let due = desk.deadline();
            closed = desk.at(due).tick().iter().any(|w| w.starts_with("close"));
            if closed {
                break;
            }
            assert!(desk.deadline() > due);
        }
        assert!(closed, "silence ends every connection");
    }
}
