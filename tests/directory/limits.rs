//! Limits for wrong codes (`docs/protocol/directory.md` 4.4).

use std::time::Duration;

use provbroker::web::directory::WrongCodeLimits;

use crate::support::{Running, settings, start, start_with};

async fn guess(directory: &Running, from: &str, query: &str) -> u16 {
    directory.send_from(from, &format!("GET /init?{query} HTTP/1.1"), "").await.status
}

#[actix_web::test]
async fn ten_wrong_codes_of_a_phone_block_it_for_ten_minutes() {
    let directory = start();
    let code = directory.code().await;
    for n in 0..10 {
        let source = format!("127.0.0.{}", n + 2);
        assert_eq!(guess(&directory, &source, &format!("mac=009033a1b2c3&code={n}")).await, 200);
    }
    directory.pass(1);
    let looked_up = directory.store.state().calls.len();
    let answer = directory.get(&format!("/init?mac=00:90:33:A1:B2:C3&code={code}")).await;
    assert_eq!((answer.status, answer.body.as_str()), (429, "# try later\r\n"));
    assert_eq!(answer.header("retry-after"), Some("600"));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(directory.store.state().calls.len(), looked_up, "the store is not asked");
    let code_of_another = format!("mac=009033a1b2c4&code={code}");
    assert_eq!(guess(&directory, "127.0.0.1", &code_of_another).await, 200, "another phone is not concerned");
    assert_eq!(guess(&directory, "127.0.0.1", "mac=009033a1b2c3").await, 200, "nor a question without a code");

    directory.clock.fetch_add(600_000, std::sync::atomic::Ordering::SeqCst);
    let mine = format!("mac=009033a1b2c3&code={code}");
    assert_eq!(guess(&directory, "127.0.0.1", &mine).await, 200);
}

#[actix_web::test]
async fn sixty_wrong_codes_of_a_source_block_it() {
    let directory = start();
    let code = directory.code().await;
    for n in 0..60 {
        assert_eq!(guess(&directory, "127.0.0.1", &format!("mac=0090330000{n:02}&code={n}")).await, 200);
    }
    let right = format!("code={code}");
    assert_eq!(guess(&directory, "127.0.0.1", &right).await, 429);
    assert_eq!(guess(&directory, "127.0.0.1", "code=1").await, 429);
    assert_eq!(guess(&directory, "127.0.0.2", &right).await, 200);
}

#[actix_web::test]
async fn a_roll_out_behind_one_address_is_not_limited() {
    let directory = start();
    let code = directory.code().await;
    for n in 0..150 {
        assert_eq!(guess(&directory, "127.0.0.1", &format!("mac=009033000{n:03}&code={code}")).await, 200);
    }
}

/// Checks the order of answers instead of their duration: the delayed one must not be first.
#[actix_web::test]
async fn many_wrong_codes_over_all_delay_every_answer_to_a_code() {
    let limits = WrongCodeLimits { per_minute: 3, delay: Duration::from_secs(3600), ..WrongCodeLimits::default() };
    let directory = start_with(settings(), &limits);
    let code = directory.code().await;
    for n in 0..3 {
        assert_eq!(guess(&directory, "127.0.0.1", &format!("code={n}")).await, 200);
    }
    let right = format!("code={code}");
    assert_eq!(guess(&directory, "127.0.0.1", &right).await, 200, "three are not more than three");
    tokio::select! {
        biased;
        _ = guess(&directory, "127.0.0.1", "code=3") => panic!("the fourth wrong code is not delayed"),
        // Its look-up and its contact are done when the next request without a code was answered.
        () = until_counted(&directory, 5) => {}
    }
    assert_eq!(guess(&directory, "127.0.0.1", "mac=009033a1b2c3").await, 200, "without a code there is no delay");
    tokio::select! {
        biased;
        _ = guess(&directory, "127.0.0.2", &right) => panic!("a right code is not delayed"),
        () = until_counted(&directory, 6) => {}
    }
    directory.pass(120_000);
    assert_eq!(guess(&directory, "127.0.0.2", &right).await, 200, "after the wave all is as before");
}

/// Returns when the store was asked for `look_ups` codes and a whole further request was answered.
async fn until_counted(directory: &Running, look_ups: usize) {
    while directory.store.state().calls.iter().filter(|call| **call == "look_up").count() < look_ups {
        tokio::task::yield_now().await;
    }
    assert_eq!(directory.get("/healthz").await.status, 200);
}
