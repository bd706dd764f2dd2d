//! Measures a roll-out through HTTP on the embedded store.
//!
//! Ignored by default, because it needs the machine for itself: `cargo test --release --test rollout -- --ignored
//! --nocapture`. It asserts completeness; the time is printed.

// The helpers of a test are tests: clippy excuses only the functions that are marked.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashSet;
use std::fmt::Write as _;

use provbroker::clock::Stopwatch;

use crate::support::broker::{Broker, DOMAIN, Keep, PASSWORD, with_broker};
use crate::support::operator::Operator;

#[path = "support/mod.rs"]
mod support;

const USERS: usize = 10_000;

#[test]
#[ignore = "measures time"]
fn ten_thousand_users() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let operator = Operator::log_in(broker.addr, Some(DOMAIN), PASSWORD).await;
            let mut list = String::from("sip,name\n");
            for number in 0..USERS {
                writeln!(list, "user{number},\"Number {number}, Floor 3\"").unwrap();
            }
            let target = "/api/v1/domains/example.com/rollouts?name=All&category=Desk%20phones";
            let watch = Stopwatch::start();
            let answer = operator.post_csv(target, &list).await;
            let took = watch.elapsed();
            assert_eq!(answer.status, 201, "{}", answer.body);
            // The name has a comma, so the code is the fourth part.
            let codes: HashSet<_> = answer.body.lines().skip(1).map(|line| line.split(',').nth(3).unwrap()).collect();
            assert_eq!(codes.len(), USERS);
            println!("{USERS} users: {:.2} s", took.as_secs_f64());
        },
    );
}
