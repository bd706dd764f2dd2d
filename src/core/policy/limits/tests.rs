//! Limits per key and over all, and their bounded memory.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const TEN: Quota = Quota::new(10, Duration::from_secs(600));

fn at(seconds: u64) -> Tick {
    Tick(seconds * 1000)
}

#[test]
fn the_tenth_attempt_blocks_for_the_whole_window() {
    let mut attempts = Attempts::new(TEN, MAX_KEYS);
    for n in 0..10 {
        assert_eq!(attempts.blocked(&"a", at(n)), None, "before attempt {n}");
        attempts.count(&"a", at(n));
    }
    assert_eq!(attempts.blocked(&"a", at(9)), Some(Duration::from_secs(600)));
    assert_eq!(attempts.blocked(&"b", at(9)), None);
    attempts.count(&"a", at(300));
    assert_eq!(attempts.blocked(&"a", at(608)), Some(Duration::from_secs(1)), "a block is not prolonged");
    assert_eq!(attempts.blocked(&"a", at(609)), None);
    attempts.count(&"a", at(609));
    assert_eq!(attempts.blocked(&"a", at(609)), None, "and then all starts anew");
}

#[test]
fn nine_attempts_a_window_never_block() {
    let mut attempts = Attempts::new(TEN, MAX_KEYS);
    for window in 0..50 {
        for n in 0..9 {
            attempts.count(&"a", at(window * 600 + n));
            assert_eq!(attempts.blocked(&"a", at(window * 600 + n)), None);
        }
    }
    assert_eq!(attempts.keys(), 1);
}

#[test]
fn a_block_may_be_shorter_than_its_window() {
    let quota = Quota { attempts: 2, window: Duration::from_secs(600), block: Duration::from_secs(60) };
    let mut attempts = Attempts::new(quota, MAX_KEYS);
    attempts.count(&1, at(0));
    attempts.count(&1, at(1));
    assert_eq!(attempts.blocked(&1, at(1)), Some(Duration::from_secs(60)));
    assert_eq!(attempts.blocked(&1, at(61)), None);
}

#[test]
fn the_oldest_key_is_dropped() {
    let mut attempts = Attempts::new(Quota::new(1, Duration::from_secs(600)), 3);
    for key in 0..4 {
        attempts.count(&key, at(key));
    }
    assert_eq!(attempts.keys(), 3);
    assert_eq!(attempts.blocked(&0, at(4)), None);
    assert!((1..4).all(|key| attempts.blocked(&key, at(4)).is_some()));
}

#[test]
fn a_rate_is_exceeded_by_more_than_its_limit_and_falls_slowly() {
    let mut rate = Window::new(1000, Duration::from_secs(60));
    for _ in 0..1000 {
        rate.count(at(59));
    }
    assert!(!rate.exceeded(at(59)));
    rate.count(at(59));
    assert!(rate.exceeded(at(59)));
    assert!(rate.exceeded(at(60)), "a new window does not forgive at once");
    assert!(!rate.exceeded(at(61)));
    assert_eq!(rate.events(at(120)), 0);
    assert_eq!(rate.events(at(10_000)), 0);
}

#[test]
fn requests_of_a_second() {
    let mut limit = PerSecond::new(2);
    assert_eq!(limit.take(Tick(5100)), Ok(()));
    assert_eq!(limit.take(Tick(5200)), Ok(()));
    assert_eq!(limit.take(Tick(5400)), Err(Duration::from_millis(600)));
    assert_eq!(limit.take(Tick(6000)), Ok(()));
    assert!(PerSecond::new(0).take(Tick(0)).is_err());
}

/// Attempts of an attacker: the key, and the time since the attempt before.
fn steps() -> impl Strategy<Value = Vec<(u8, u64)>> {
    proptest::collection::vec((0..6_u8, 0..200_u64), 0..400)
}

proptest! {
    /// In any period as long as a window, less than twice the quota of a key gets through.
    #[test]
    fn less_than_twice_the_quota_gets_through(steps in steps(), quota in 1..8_u32, window in 1..1500_u64) {
        let mut attempts = Attempts::new(Quota::new(quota, Duration::from_millis(window)), MAX_KEYS);
        let (mut now, mut through) = (Tick(0), vec![Vec::new(); 6]);
        for (key, pause) in steps {
            now.0 += pause;
            if attempts.blocked(&key, now).is_none() {
                attempts.count(&key, now);
                through[usize::from(key)].push(now.0);
            }
        }
        for times in through {
            for (n, &from) in times.iter().enumerate() {
                let near = times[n..].iter().take_while(|&&t| t < from + window).count();
                prop_assert!(near < 2 * quota as usize, "{near} of {quota}");
            }
        }
    }

    /// A key is blocked only by its own attempts, and never for longer than `block`.
    #[test]
    fn a_block_needs_a_full_quota_and_ends(steps in steps(), quota in 1..8_u32, window in 1..1500_u64) {
        let length = Duration::from_millis(window);
        let mut attempts = Attempts::new(Quota::new(quota, length), MAX_KEYS);
        let (mut now, mut times) = (Tick(0), vec![Vec::<u64>::new(); 6]);
        for (key, pause) in steps {
            now.0 += pause;
            let own = &mut times[usize::from(key)];
            match attempts.blocked(&key, now) {
                Some(left) => {
                    prop_assert!(left <= length && !left.is_zero());
                    let excess = *own.last().unwrap();
                    let counted = own.iter().filter(|&&t| t + window > excess).count();
                    prop_assert!(counted >= quota as usize);
                    prop_assert!(attempts.blocked(&key, now + left).is_none());
                }
                None => own.push(now.0),
            }
            attempts.count(&key, now);
        }
    }

    /// Memory stays bounded, and both indexes agree.
    #[test]
    fn keys_are_bounded(keys in proptest::collection::vec((any::<u16>(), 0..50_u64), 0..300), max in 1..20_usize) {
        let mut attempts = Attempts::new(Quota::new(3, Duration::from_millis(400)), max);
        let mut now = Tick(0);
        for (key, pause) in keys {
            now.0 += pause;
            attempts.count(&key, now);
            prop_assert!(attempts.keys() <= max);
            prop_assert_eq!(attempts.ends.len(), attempts.keys.len());
        }
    }

    /// The rate is at least the count of the running window, and at most that of the last two.
    #[test]
    fn a_rate_lies_between_one_window_and_two(pauses in proptest::collection::vec(0..300_u64, 1..300)) {
        let mut rate = Window::new(10, Duration::from_secs(1));
        let (mut now, mut times) = (Tick(0), Vec::new());
        for pause in pauses {
            now.0 += pause;
            rate.count(now);
            times.push(now.0);
            let running = times.iter().filter(|&&t| t / 1000 == now.0 / 1000).count() as u64;
            let both = times.iter().filter(|&&t| t / 1000 + 1 >= now.0 / 1000).count() as u64;
            prop_assert!((running..=both).contains(&rate.events(now)));
        }
    }
}
