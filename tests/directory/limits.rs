//! Attempts at codes and credentials (`docs/protocol/directory.md` 4.4). The clock of the service stands still unless a
//! test moves it, so what waits for time does not go on by itself.

use std::pin::pin;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use crate::support::{ADDRESS, Answer, CREDENTIAL, OTHER_CREDENTIAL, Running, code_request, start};

async fn ask(directory: &Running, from: &str, query: &str) -> Answer {
    directory.send_from(from, &format!("GET /init?{query} HTTP/1.1"), "").await
}

async fn guess(directory: &Running, from: &str, query: &str) -> u16 {
    ask(directory, from, query).await.status
}

fn look_ups(directory: &Running) -> usize {
    directory.store.state().calls.iter().filter(|call| **call == "look_up").count()
}

/// Asserts that an answer does not come while whole other requests are answered.
async fn is_held<T>(directory: &Running, mut answer: impl Future<Output = T> + Unpin) {
    let others = pin!(async {
        for _ in 0..10 {
            assert_eq!(directory.get("/healthz").await.status, 200);
        }
    });
    tokio::select! {
        biased;
        _ = &mut answer => panic!("it did not wait"),
        () = others => {}
    }
}

#[actix_web::test]
async fn after_ten_wrong_codes_a_phone_waits_and_nobody_else() {
    let directory = start();
    let code = directory.code().await;
    for n in 0..10 {
        assert_eq!(guess(&directory, "127.0.0.2", &format!("mac=009033a1b2c3&code={n}")).await, 200);
    }
    let looked_up = look_ups(&directory);
    let right = format!("mac=00:90:33:A1:B2:C3&code={code}");
    let mut waiting = pin!(ask(&directory, "127.0.0.2", &right));
    is_held(&directory, &mut waiting).await;
    assert_eq!(look_ups(&directory), looked_up, "not looked at yet");

    assert_eq!(guess(&directory, "127.0.0.3", &right).await, 200, "the same address from elsewhere is not concerned");
    let other = format!("mac=009033a1b2c4&code={code}");
    assert_eq!(guess(&directory, "127.0.0.2", &other).await, 200, "nor another phone there");
    assert_eq!(guess(&directory, "127.0.0.2", "mac=009033a1b2c3").await, 200, "nor a request without a code");
    assert_eq!(guess(&directory, "127.0.0.2", "mac=009033a1b2c3&PROVISIONING-CODE=prompt").await, 200);

    directory.pass(1_000);
    let answer = waiting.await;
    assert!(answer.status == 200 && answer.body.starts_with("# ok"), "{answer:?}");
    directory.pass(600_000);
    assert_eq!(guess(&directory, "127.0.0.2", &right).await, 200, "forgotten after ten minutes");
}

#[actix_web::test]
async fn wrong_codes_count_whatever_the_path() {
    const PATHS: [&str; 3] = ["/init", "/init/", "/init/update-ip112.htm"];
    let directory = start();
    let code = directory.code().await;
    for (n, path) in (0..10).zip(PATHS.iter().cycle()) {
        assert_eq!(directory.get(&format!("{path}?mac=009033a1b2c3&code={n}")).await.status, 200);
    }
    for path in PATHS {
        let right = format!("{path}?mac=009033a1b2c3&code={code}");
        let mut waiting = pin!(directory.get(&right));
        is_held(&directory, &mut waiting).await;
        directory.pass(1_000);
        assert_eq!(waiting.await.status, 200, "{path}");
    }
}

#[actix_web::test]
async fn a_source_with_sixty_wrong_codes_gets_a_decision_every_five_seconds() {
    let directory = start();
    let code = directory.code().await;
    for n in 0..60 {
        assert_eq!(guess(&directory, "127.0.0.1", &format!("mac=0090330000{n:02}&code={n}")).await, 200);
    }
    let looked_up = look_ups(&directory);
    // Phones that have not tried anything yet, with the right code.
    let mut waiting = Vec::new();
    for n in 0..6 {
        let query = format!("mac=0090330001{n:02}&code={code}");
        let directory = &directory;
        let mut answer = Box::pin(async move { ask(directory, "127.0.0.1", &query).await });
        is_held(directory, &mut answer).await;
        waiting.push(answer);
    }
    let refused = ask(&directory, "127.0.0.1", &format!("mac=009033000199&code={code}")).await;
    assert_eq!((refused.status, refused.body.as_str()), (429, "# try later\r\n"));
    assert_eq!(refused.header("retry-after"), Some("35"), "it would be the seventh");
    assert_eq!(refused.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    assert_eq!(look_ups(&directory), looked_up, "none was looked at");
    assert_eq!(guess(&directory, "127.0.0.2", &format!("code={code}")).await, 200, "another source is not concerned");
    assert_eq!(guess(&directory, "127.0.0.1", "mac=009033000199").await, 200, "nor a request without a code");

    directory.pass(5_000);
    let mut in_order = waiting.into_iter();
    let first = in_order.next().unwrap().await;
    assert!(first.status == 200 && first.body.starts_with("# ok"), "{first:?}");
    is_held(&directory, in_order.next().unwrap()).await;
}

/// All at once, on as many connections: what reaches a look-up are the free ones.
#[actix_web::test]
async fn a_burst_reaches_no_more_look_ups_than_are_free() {
    for (same_phone, free, held) in [(true, 10, 32), (false, 60, 6)] {
        let directory = start();
        let mut burst = FuturesUnordered::new();
        for n in 0..200_u32 {
            let mac = if same_phone { 0 } else { n };
            let method = if n % 2 == 0 { "GET" } else { "HEAD" };
            let head = format!("{method} /init?mac=00903300{mac:04}&code={n} HTTP/1.1");
            let directory = &directory;
            burst.push(async move { directory.send_from("127.0.0.1", &head, "").await.status });
        }
        let answers: Vec<u16> = burst.by_ref().take(200 - held).collect().await;
        let wrong = answers.iter().filter(|status| **status == 200).count();
        assert_eq!((wrong, look_ups(&directory)), (free, free), "same phone: {same_phone}");
        assert!(answers.iter().all(|status| matches!(status, 200 | 429)), "{answers:?}");
    }
}

#[actix_web::test]
async fn the_same_code_of_the_same_phone_counts_once() {
    let directory = start();
    let code = directory.code().await;
    for n in 0..30 {
        let wrong = format!("mac=009033a1b2c3&code={}", if n % 2 == 0 { "1" } else { "000000000001" });
        assert_eq!(guess(&directory, "127.0.0.1", &wrong).await, 200);
    }
    for n in 2..9 {
        assert_eq!(guess(&directory, "127.0.0.1", &format!("mac=009033a1b2c3&code={n:012}")).await, 200);
    }
    assert_eq!(guess(&directory, "127.0.0.1", &format!("mac=009033a1b2c3&code={code}")).await, 200);
}

#[actix_web::test]
async fn a_roll_out_behind_one_address_is_not_limited() {
    let directory = start();
    let code = directory.code().await;
    for n in 0..150 {
        assert_eq!(guess(&directory, "127.0.0.1", &format!("mac=009033000{n:03}&code={code}")).await, 200);
    }
}

#[actix_web::test]
async fn after_a_wave_over_all_twenty_codes_are_decided_in_a_second() {
    let directory = start();
    let code = directory.code().await;
    directory.store.state().wrong_elsewhere = 1001;
    directory.attempts.maintain().await;
    let mut waiting = Vec::new();
    for n in 0..25 {
        let from = format!("127.0.1.{}", n + 1);
        let query = format!("mac=0090330001{n:02}&code={code}");
        let directory = &directory;
        let mut answer = Box::pin(async move { ask(directory, &from, &query).await });
        is_held(directory, &mut answer).await;
        waiting.push(answer);
    }
    assert_eq!(look_ups(&directory), 0);
    assert_eq!(guess(&directory, "127.0.0.1", "mac=009033a1b2c3").await, 200, "without a code there is no wait");
    let mut waiting: FuturesUnordered<_> = waiting.into_iter().collect();
    for decided in [20, 25] {
        directory.store.state().decisions = 20;
        directory.pass(1_000);
        directory.attempts.maintain().await;
        let answers: Vec<Answer> = waiting.by_ref().take(decided - waiting_before(decided)).collect().await;
        assert!(answers.iter().all(|answer| answer.body.starts_with("# ok")), "{answers:?}");
        assert_eq!(look_ups(&directory), decided);
    }
    directory.store.state().wrong_elsewhere = 0;
    directory.pass(60_000);
    directory.attempts.maintain().await;
    assert_eq!(guess(&directory, "127.0.0.2", &format!("code={code}")).await, 200, "after the wave all is as before");
}

/// How many were decided in the seconds before.
const fn waiting_before(decided: usize) -> usize {
    if decided == 20 { 0 } else { 20 }
}

async fn issue(directory: &Running, from: &str, credential: &str) -> Answer {
    let body = code_request(ADDRESS);
    let head =
        format!("POST /api/v1/codes HTTP/1.1\r\nAuthorization: Bearer {credential}\r\nContent-Length: {}", body.len());
    directory.send_from(from, &head, &body).await
}

#[actix_web::test]
async fn credentials_are_guessed_no_faster_and_the_right_one_is_not_delayed() {
    let directory = start();
    assert_eq!(issue(&directory, "127.0.0.1", CREDENTIAL).await.status, 201);
    let mut burst = FuturesUnordered::new();
    for n in 0..200 {
        let directory = &directory;
        burst.push(async move { issue(directory, "127.0.0.1", &format!("guess-{n}")).await });
    }
    let answers: Vec<Answer> = burst.by_ref().take(194).collect().await;
    let compared = answers.iter().filter(|answer| answer.status == 401).count();
    assert_eq!(compared, 60);
    for refused in answers.iter().filter(|answer| answer.status != 401) {
        assert_eq!((refused.status, refused.error().as_str()), (429, "rate_limited"));
        assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 5);
    }
    assert_eq!(issue(&directory, "127.0.0.1", CREDENTIAL).await.status, 201, "known from there");
    assert_eq!(issue(&directory, "127.0.0.2", OTHER_CREDENTIAL).await.status, 201, "elsewhere");
    let given_back = directory.delete("another guess", "402817739164");
    is_held_or_refused(&directory, given_back).await;
}

/// It is not answered as a credential that was compared.
async fn is_held_or_refused(directory: &Running, answer: impl Future<Output = Answer>) {
    let others = pin!(async {
        for _ in 0..10 {
            assert_eq!(directory.get("/healthz").await.status, 200);
        }
    });
    tokio::select! {
        biased;
        answer = answer => assert_eq!(answer.status, 429),
        () = others => {}
    }
}

/// A Devices service with an outdated credential asks again and again.
#[actix_web::test]
async fn an_outdated_credential_counts_once() {
    let directory = start();
    for _ in 0..100 {
        assert_eq!(issue(&directory, "127.0.0.1", "outdated").await.status, 401);
    }
    assert_eq!(issue(&directory, "127.0.0.1", CREDENTIAL).await.status, 201);
}
