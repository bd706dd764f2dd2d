//! Log-ins of apps and passwords at the REST interface: how many are compared, who waits and for how long
//! (`docs/protocol/appwebsocket.md` section 9).

use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use provbroker::clock::Stopwatch;
use provbroker::config::Config;
use serde_json::json;

use crate::support::app::App;
use crate::support::broker::{Broker, DOMAIN, INSTANCE_PASSWORD, Keep, OTHER, OTHER_PASSWORD, PASSWORD, with_broker};
use crate::support::peer::Device;
use crate::support::raw::{Answer, exchange};

/// Wrong log-ins of one domain and source that delay nothing.
const FREE: usize = 10;

/// Another address of the loopback.
const fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
}

async fn open(broker: &Broker, from: IpAddr) -> App {
    App::open_from(from, broker.addr).await.expect("connections are not refused because of attempts")
}

/// Failed log-ins, three on each connection.
async fn fail(broker: &Broker, from: IpAddr, domain: &str, times: usize) {
    let mut left = times;
    while left > 0 {
        let mut app = open(broker, from).await;
        for _ in 0..left.min(3) {
            assert_eq!(app.try_login("users", domain, "", "a guess").await["ok"], false);
            left -= 1;
        }
        if left > 0 {
            app.expect_close(1008).await;
        }
    }
}

/// The most wrong secrets that may have been compared after this time: the free ones, and one for each second, which is
/// more than the growing delays allow.
fn most(elapsed: Duration) -> usize {
    FREE + 1 + usize::try_from(elapsed.as_secs()).unwrap()
}

/// Seen before: 2,997 wrong passwords answered within 0.4 s on connections that had been opened before.
#[test]
fn open_connections_do_not_help_to_guess() {
    for domain in [DOMAIN, "unknown.example", ""] {
        with_broker(
            &Keep::embedded(),
            |_| {},
            async |broker: &Broker| {
                let mut apps = Vec::new();
                for _ in 0..100 {
                    apps.push(open(broker, address(6)).await);
                }
                let watch = Stopwatch::start();
                let mut log_ins: FuturesUnordered<_> =
                    apps.iter_mut().map(|app| app.try_login_or_close("users", domain, "a guess")).collect();
                let mut compared = 0;
                while compared < FREE {
                    let answer = log_ins.next().await.unwrap();
                    assert!(matches!(answer, Ok(false) | Err(1013)), "{answer:?}");
                    compared += usize::from(answer.is_ok());
                }
                // The others wait, or were sent away, while somebody else is served.
                let mut others = pin!(async {
                    App::login(broker.addr, "users", DOMAIN, "users", PASSWORD).await;
                    let mut elsewhere = open(broker, address(7)).await;
                    assert_eq!(elsewhere.try_login("users", DOMAIN, "", PASSWORD).await["ok"], true);
                    let mut another = open(broker, address(6)).await;
                    assert_eq!(another.try_login("users", OTHER, "", OTHER_PASSWORD).await["ok"], true);
                });
                loop {
                    tokio::select! {
                        biased;
                        () = &mut others => break,
                        Some(answer) = log_ins.next() => {
                            assert!(matches!(answer, Ok(false) | Err(1013)), "{answer:?}");
                            compared += usize::from(answer.is_ok());
                        }
                    }
                }
                let elapsed = watch.elapsed();
                assert!(compared <= most(elapsed), "{compared} of 100 in {elapsed:?}");
                // Who comes after the burst, with the right password, does not wait for all of it.
                let mut right = open(broker, address(6)).await;
                assert_eq!(right.try_login("users", DOMAIN, "", PASSWORD).await["ok"], true);
            },
        );
    }
}

#[test]
fn who_brings_the_right_password_waits_at_most() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let mut before = open(broker, address(8)).await;
            fail(broker, address(8), DOMAIN, FREE).await;
            let watch = Stopwatch::start();
            assert_eq!(before.try_login("users", DOMAIN, "", PASSWORD).await["ok"], true, "on an old connection");
            assert!(watch.elapsed() >= Duration::from_secs(1), "{:?}", watch.elapsed());
            let mut after = open(broker, address(8)).await;
            assert_eq!(after.try_login("users", DOMAIN, "", PASSWORD).await["ok"], true);
            Device::connect_from(address(8), broker.addr, "").await.expect("devices are counted by themselves");
        },
    );
}

/// The time limit for the log-in does not cut one that was sent in time and waits.
#[test]
fn a_log_in_that_waits_is_not_too_late() {
    let change = |config: &mut Config| config.apps.login_timeout = Duration::from_secs(1);
    with_broker(&Keep::embedded(), change, async |broker: &Broker| {
        // The delay after eleven is 2 s.
        fail(broker, address(9), DOMAIN, FREE).await;
        fail(broker, address(9), DOMAIN, 1).await;
        let mut app = open(broker, address(9)).await;
        let watch = Stopwatch::start();
        assert_eq!(app.try_login("users", DOMAIN, "", PASSWORD).await["ok"], true);
        assert!(watch.elapsed() >= Duration::from_secs(2), "{:?}", watch.elapsed());
    });
}

/// What is sent behind a log-in that waits is handled after it, in order.
#[test]
fn messages_behind_a_log_in_that_waits_keep_their_order() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            fail(broker, address(10), DOMAIN, FREE).await;
            let mut app = open(broker, address(10)).await;
            app.send_login("users", DOMAIN, "", PASSWORD).await;
            app.send(&json!({"mt": "GetLoginInfo", "src": "1"})).await;
            for src in ["2", "3"] {
                app.send(&json!({"mt": "KeepAlive", "src": src})).await;
            }
            assert_eq!(app.receive().await["ok"], true);
            for src in ["1", "2", "3"] {
                let answer = app.receive().await;
                assert_eq!(answer["src"], src, "{answer}");
            }
        },
    );
}

/// A client that sends without end behind a log-in that waits is cut.
#[test]
fn messages_behind_a_log_in_that_waits_are_bounded() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            fail(broker, address(11), DOMAIN, FREE).await;
            fail(broker, address(11), DOMAIN, 1).await;
            let mut app = open(broker, address(11)).await;
            app.send_login("users", DOMAIN, "", PASSWORD).await;
            for _ in 0..40 {
                app.send(&json!({"mt": "KeepAlive"})).await;
            }
            app.expect_close(1008).await;
        },
    );
}

/// Somebody who tries many names from one address is slowed down as a whole; who was right from there before is not.
#[test]
fn many_names_from_one_address_do_not_delay_who_was_right_before() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let mut known = open(broker, address(12)).await;
            assert_eq!(known.try_login("users", OTHER, "", OTHER_PASSWORD).await["ok"], true);
            for number in 0..20 {
                fail(broker, address(12), &format!("name{number}.example"), 3).await;
            }
            let mut apps = Vec::new();
            for _ in 0..20 {
                apps.push(open(broker, address(12)).await);
            }
            let mut guesses: FuturesUnordered<_> = apps
                .iter_mut()
                .enumerate()
                .map(|(n, app)| async move {
                    app.try_login_or_close("users", &format!("further{n}.example"), "a guess").await
                })
                .collect();
            assert_eq!(guesses.next().await, Some(Err(1013)), "who would wait longer than half a minute is sent away");
            let mut again = open(broker, address(12)).await;
            tokio::select! {
                biased;
                result = again.try_login("users", OTHER, "", OTHER_PASSWORD) => assert_eq!(result["ok"], true),
                () = async { while guesses.next().await != Some(Ok(false)) {} } => panic!("it has waited like a stranger"),
            }
        },
    );
}

async fn token_from(broker: &Broker, from: IpAddr, domain: &str, password: &str) -> Answer {
    let body = json!({"domain": domain, "password": password}).to_string();
    let request = format!(
        "POST /api/v1/token HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    exchange(from, broker.addr, &request).await
}

#[test]
fn a_burst_of_passwords_at_rest_is_not_compared() {
    for domain in [DOMAIN, "unknown.example", ""] {
        with_broker(
            &Keep::embedded(),
            |_| {},
            async |broker: &Broker| {
                let watch = Stopwatch::start();
                let mut burst: FuturesUnordered<_> = (0..100)
                    .map(|number| async move {
                        let answer = token_from(broker, address(6), domain, &format!("guess {number}")).await;
                        (answer.status, answer.field("retry-after").map(|wait| wait.parse::<u64>().unwrap()))
                    })
                    .collect();
                // Eight of a name may wait; they go when this ends.
                let answers: Vec<_> = burst.by_ref().take(92).collect().await;
                let compared = answers.iter().filter(|(status, _)| *status == 403).count();
                assert!((FREE..=most(watch.elapsed())).contains(&compared), "{compared} in {:?}", watch.elapsed());
                for (status, wait) in answers {
                    assert!(status == 403 || status == 429 && (5..=60).contains(&wait.unwrap()), "{status} {wait:?}");
                }
                let elsewhere = token_from(broker, address(7), DOMAIN, PASSWORD).await;
                assert_eq!(elsewhere.status, 200, "{}", elsewhere.body);
                let other_name = token_from(broker, address(6), OTHER, OTHER_PASSWORD).await;
                assert_eq!(other_name.status, 200, "{}", other_name.body);
            },
        );
    }
}

/// As a proxy on the same machine makes them.
#[test]
fn sixty_wrong_passwords_do_not_refuse_the_right_one() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            for number in 0..60 {
                let domain = format!("name{}.example", number % 12);
                assert_eq!(token_from(broker, address(6), &domain, &format!("guess {number}")).await.status, 403);
            }
            for (domain, password) in [(DOMAIN, PASSWORD), ("", INSTANCE_PASSWORD)] {
                let answer = token_from(broker, address(6), domain, password).await;
                assert_eq!(answer.status, 200, "{}", answer.body);
            }
            // Log-ins of apps are counted by themselves.
            assert_eq!(open(broker, address(6)).await.try_login("users", DOMAIN, "", PASSWORD).await["ok"], true);
        },
    );
}

/// A script with an outdated password asks again and again.
#[test]
fn the_same_wrong_password_counts_once() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            for _ in 0..100 {
                assert_eq!(token_from(broker, address(6), DOMAIN, "outdated").await.status, 403);
            }
            assert_eq!(token_from(broker, address(6), DOMAIN, PASSWORD).await.status, 200);
        },
    );
}

/// Neither status nor text tells whether a domain exists.
#[test]
fn an_unknown_domain_is_answered_like_a_wrong_password() {
    with_broker(
        &Keep::embedded(),
        |_| {},
        async |broker: &Broker| {
            let known = token_from(broker, address(6), DOMAIN, "wrong").await;
            for name in ["unknown.example", "a b", &"x".repeat(300)] {
                let unknown = token_from(broker, address(6), name, "wrong").await;
                assert_eq!((unknown.status, &unknown.body), (403, &known.body), "{name}");
            }
            let mut app = open(broker, address(6)).await;
            let [known, unknown] =
                [app.try_login("u", DOMAIN, "", "x").await, app.try_login("u", "unknown.example", "", "x").await];
            assert_eq!(known, unknown);
        },
    );
}
